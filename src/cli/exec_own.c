/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exec_relay.h"

#include "api/exec_stream.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* Pipes and terminals. A file's position is shared with others, and files do not block. */
static int open_anew(int fd, bool writable)
{
    char path[32];
    int mode = writable ? O_WRONLY : O_RDONLY;
    int access = fcntl(fd, F_GETFL);
    if (access < 0 || ((access & O_ACCMODE) != O_RDWR && (access & O_ACCMODE) != mode))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void own_open(int fd, bool writable, struct own *ret)
{
    struct stat status = {0};
    fstat(fd, &status);
    *ret = (struct own){.fd = fd, .is_socket = S_ISSOCK(status.st_mode), .most = EXEC_PAYLOAD_MAX};
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
        return;
    int anew = open_anew(fd, writable);
    ret->is_ours = anew >= 0;
    if (ret->is_ours)
        ret->fd = anew;
    else
        ret->most = PIPE_BUF; /* so much does not block when poll() says ready */
}

void own_close(struct own *own)
{
    if (own->is_ours)
        close_fd(&own->fd);
}
