/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the texts of cgroup files, of /proc/self/cgroup and of /proc/self/mountinfo. The
 * first byte chooses. Paths must stay terminated and absolute, whatever comes in. */
#include "base/cleanup.h"
#include "kernel/cgroup-internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const struct cgroup_place *place)
{
    if (!memchr(place->path, '\0', sizeof(place->path)) ||
        !memchr(place->root, '\0', sizeof(place->root)) ||
        !memchr(place->mount, '\0', sizeof(place->mount)))
        abort();
    if ((place->mounted && (place->mount[0] != '/' || place->root[0] != '/')) ||
        (place->member && place->path[0] != '/') || (place->covers && !place->member))
        abort();
}

/* Membership and mounts, parted by an empty line. */
static void scan(char *text)
{
    AUTO_FREE struct cgroup_scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return;
    char *mounts = strstr(text, "\n\n");
    if (mounts)
        *mounts = '\0';
    cgroup_scan_membership(text, scan);
    if (mounts)
        cgroup_scan_mounts(mounts + 2, scan);
    check_place(&scan->v2);
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        check_place(&scan->v1[i]);
}

static void parse(const char *text)
{
    struct metrics metrics = {.present = 0};
    cgroup_parse_stat(CGROUP_V1, text, &metrics);
    cgroup_parse_stat(CGROUP_V2, text, &metrics);
    cgroup_parse_events_v2(text, &metrics);
    cgroup_parse_oom_control_v1(text, &metrics);
    cgroup_parse_cpu_stat(CGROUP_V1, text, &metrics);
    cgroup_parse_cpu_stat(CGROUP_V2, text, &metrics);
    psi_parse(text, &metrics);
    if (metrics.present >> METRIC_COUNT)
        abort();
    /* Found as a word of the list means found as text. */
    if (cgroup_list_has(text, "memory") && !strstr(text, "memory"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    AUTO_FREE char *text = strndup((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    if (data[0] == 's')
        scan(text);
    else
        parse(text);
    return 0;
}
