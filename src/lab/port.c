/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/port.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Bind a listening socket's address, without listening. Returns the descriptor or -errno. */
static int bind_port(uint16_t port)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* As servers do: connections in TIME_WAIT from the arm before do not count. */
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return steal_fd(&fd);
}

int port_choose(uint16_t *ret, struct error *err)
{
    AUTO_CLOSE int fd = bind_port(0);
    if (fd < 0)
        return error_errno(err, -fd, "looking for a free port");
    struct sockaddr_in address = {0};
    socklen_t length = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return error_errno(err, errno, "looking for a free port");
    *ret = ntohs(address.sin_port);
    return 0;
}

int port_check_free(uint16_t port, struct error *err)
{
    AUTO_CLOSE int fd = bind_port(port);
    if (fd == -EADDRINUSE)
        return error_usage(err,
                           "port %u is in use by another process; stop it, or choose another port "
                           "with --port (auto finds a free one and passes it as $PORT)",
                           port);
    if (fd < 0)
        return error_errno(err, -fd, "port %u cannot be used", port);
    return 0;
}
