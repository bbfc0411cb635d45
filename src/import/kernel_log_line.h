/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a kernel log as somebody's tool wrote it: what stands before the kernel's words. */
#pragma once

#include "kernel/killer_log.h"
#include "kernel/kmsg.h"

#include <stdbool.h>
#include <stdint.h>

enum kernel_log_form {
    KERNEL_LOG_BARE,    /* the kernel's words alone (journalctl -o cat, a pasted line) */
    KERNEL_LOG_RAW,     /* /dev/kmsg: "4,367,1849635219,-;text" */
    KERNEL_LOG_STAMPED, /* dmesg: "[ 1849.635219] text", with -T, -x, -r or an ISO time */
    KERNEL_LOG_SYSLOG,  /* syslog, journalctl: "TIME HOST kernel: text" */
    KERNEL_LOG_FOREIGN, /* a line of such a log which the kernel did not write */
    KERNEL_LOG_KILLER,  /* such a line with the tag of a user-space OOM killer */
};

struct kernel_log_line {
    enum kernel_log_form form;
    int64_t at_ns;      /* realtime; INT64_MIN unknown */
    int64_t boot_ns;    /* since boot; INT64_MIN unknown */
    bool no_year;       /* the stamp has no year: at_ns is in the latest year that keeps it from
                           lying in the future */
    enum killer killer; /* KILLER: whose tag it has */
    const char *text;   /* the kernel's or killer's words; into the line, or `record.text` */
    struct kmsg_record record;
};

/* Take the line apart. `now_ns` (realtime) is for stamps without a year. Times without a zone are
 * taken for UTC. What a user wrote through /dev/kmsg or to syslog is FOREIGN; only behind a time
 * and a host is a killer's tag taken for one. */
void kernel_log_line_read(const char *line, int64_t now_ns, struct kernel_log_line *ret);
