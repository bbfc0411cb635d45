/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/listener.h"

#include "base/buffer.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INODES_MAX   64
#define PROC_NET_MAX ((size_t)16 << 20)
#define TCP_LISTEN   0x0A /* include/net/tcp_states.h */
#define MEMBERS_MAX  4096

/* A line of /proc/net/tcp: sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
static bool parse_line(const char *line, unsigned *ret_port, uint64_t *ret_inode)
{
    unsigned state = 0;
    int fields = sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64,
                        ret_port, &state, ret_inode);
    return fields == 3 && state == TCP_LISTEN && *ret_inode != 0;
}

unsigned listener_parse(const char *text, uint16_t port, uint64_t *ret_inodes, unsigned max)
{
    unsigned count = 0;
    for (const char *line = text; line && count < max; line = strchr(line, '\n')) {
        line += *line == '\n';
        unsigned local_port = 0;
        uint64_t inode = 0;
        if (parse_line(line, &local_port, &inode) && local_port == port)
            ret_inodes[count++] = inode;
    }
    return count;
}

static unsigned listening_inodes(uint16_t port, uint64_t *inodes)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    int told = listener_diag(port, inodes, INODES_MAX);
    if (told >= 0)
        return (unsigned)told;
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        struct error ignored;
        AUTO_BUFFER text = {0};
        if (file_read_all(AT_FDCWD, files[i], PROC_NET_MAX, &text, &ignored) == 0)
            count += listener_parse(buffer_text(&text), port, inodes + count, INODES_MAX - count);
    }
    return count;
}

/* 1: the process holds one of the sockets; 0: it holds none; -1: its descriptors cannot be read. */
static int holds(int pid, const uint64_t *inodes, unsigned count)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? 0 : -1;
    int found = 0;
    for (struct dirent *entry; found == 0 && (entry = readdir(directory));) {
        char target[64];
        uint64_t inode = 0;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
            continue;
        for (unsigned i = 0; i < count; i++)
            found |= inodes[i] == inode;
    }
    closedir(directory);
    return found;
}

enum listener listener_of_port(uint16_t port, const struct cgroup *cgroup)
{
    uint64_t inodes[INODES_MAX];
    pid_t members[MEMBERS_MAX];
    unsigned count = listening_inodes(port, inodes);
    int member_count = count > 0 ? cgroup_members(cgroup, members, MEMBERS_MAX) : 0;
    if (member_count <= 0)
        return LISTENER_UNKNOWN;
    bool readable = member_count < MEMBERS_MAX;
    for (int i = 0; i < member_count; i++) {
        int held = members[i] > 0 ? holds(members[i], inodes, count) : -1;
        if (held > 0)
            return LISTENER_OURS;
        readable = readable && held == 0;
    }
    return readable ? LISTENER_OTHER : LISTENER_UNKNOWN;
}

static bool is_among(uint16_t port, const uint16_t *ports, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (ports[i] == port)
            return true;
    }
    return false;
}

unsigned listener_ports(const struct cgroup *cgroup, uint16_t *ret_ports, unsigned max)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        struct error ignored;
        AUTO_BUFFER text = {0};
        if (file_read_all(AT_FDCWD, files[i], PROC_NET_MAX, &text, &ignored) < 0)
            continue;
        for (const char *line = buffer_text(&text); line && count < max;
             line = strchr(line, '\n')) {
            line += *line == '\n';
            unsigned port = 0;
            uint64_t inode = 0;
            if (parse_line(line, &port, &inode) && !is_among((uint16_t)port, ret_ports, count) &&
                listener_of_port((uint16_t)port, cgroup) == LISTENER_OURS)
                ret_ports[count++] = (uint16_t)port;
        }
    }
    return count;
}
