/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets as the kernel lists them over netlink (ss -l): it looks at these alone, where
 * /proc/net/tcp is as long as the machine has connections, those in TIME_WAIT too. */
#include "base/cleanup.h"
#include "platform/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES 16384

static int ask(int fd, uint8_t family, uint16_t port)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {
        .header =
            {
                .nlmsg_len = sizeof(request),
                .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
            },
        .body =
            {
                .sdiag_family = family,
                .sdiag_protocol = IPPROTO_TCP,
                .idiag_states = 1U << TCP_LISTEN,
                .id = {.idiag_sport = htons(port)},
            },
    };
    return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

struct found {
    uint16_t port;
    uint64_t *inodes;
    unsigned count, max;
};

static void take(const struct inet_diag_msg *socket, struct found *found)
{
    if (socket->id.idiag_sport == htons(found->port) && socket->idiag_inode != 0 &&
        found->count < found->max)
        found->inodes[found->count++] = socket->idiag_inode;
}

/* 1: that was the last message, 0: more will come, or -errno. */
static int read_message(const struct nlmsghdr *message, struct found *found)
{
    const struct nlmsgerr *error = NLMSG_DATA(message);
    switch (message->nlmsg_type) {
    case NLMSG_DONE:
        return 1;
    case NLMSG_ERROR:
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
            return -EPROTO;
        return error->error < 0 ? error->error : 1;
    case SOCK_DIAG_BY_FAMILY:
        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            return -EPROTO;
        take(NLMSG_DATA(message), found);
        return 0;
    default:
        return 0;
    }
}

static int read_answers(int fd, struct found *found)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    for (;;) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPROTO;
        size_t left = (size_t)n;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)answer;
             NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            int r = read_message(message, found);
            if (r != 0)
                return r < 0 ? r : 0;
        }
    }
}

int listener_diag(uint16_t port, uint64_t *ret_inodes, unsigned max)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct found found = {.port = port, .inodes = ret_inodes, .max = max};
    int r = fd < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < sizeof(families); i++) {
        r = ask(fd, families[i], port);
        if (r == 0)
            r = read_answers(fd, &found);
    }
    return r < 0 ? r : (int)found.count;
}
