/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on a port: containers share the host's network, so a probe may be answered by
 * somebody else's process, and that must not count as the container's readiness. */
#pragma once

#include "kernel/cgroup.h"

#include <stdint.h>

enum listener {
    LISTENER_UNKNOWN, /* nobody is seen listening, or /proc does not tell whose socket it is */
    LISTENER_OURS,    /* a process in the cgroup holds a listening socket */
    LISTENER_OTHER,   /* there are listening sockets, and no process in the cgroup holds one */
};

/* Look through the listening sockets (listener_diag(), else /proc/net/tcp and tcp6) and the
 * descriptors of the cgroup's processes. */
enum listener listener_of_port(uint16_t port, const struct cgroup *cgroup);

/* The ports on which processes in the cgroup listen: writes at most `max` and returns how many. It
 * looks at every port that is listened to on this machine, so it is not for every probe. */
unsigned listener_ports(const struct cgroup *cgroup, uint16_t *ret_ports, unsigned max);

/* Ask the kernel over netlink for the inodes of the sockets that listen on `port`, IPv4 and IPv6:
 * writes at most `max` and returns how many, or -errno (-ENOENT: a kernel without inet_diag). */
int listener_diag(uint16_t port, uint64_t *ret_inodes, unsigned max);

/* The socket inodes that listen on `port` in the text of a /proc/net/tcp file: writes at most `max`
 * and returns how many. */
unsigned listener_parse(const char *text, uint16_t port, uint64_t *ret_inodes, unsigned max);
