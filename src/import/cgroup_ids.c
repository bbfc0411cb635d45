/* SPDX-License-Identifier: Apache-2.0 */
/* Container runtimes and the kubelet put their ids into the names of cgroups; systemd's driver
 * wraps them into unit names. A container's cgroups may have children of its own, so every
 * component is looked at and the last id wins. */
#include "import/cgroup_ids.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define CONTAINER_ID_DIGITS 64
#define POD_UID_DIGITS      32

static size_t hex_run(const char *text, size_t length)
{
    size_t n = 0;
    while (n < length && isxdigit((unsigned char)text[n]))
        n++;
    return n;
}

/* "<id>", "<prefix>-<id>" or "<prefix>-<id>.scope". */
static void read_container(const char *name, size_t length, struct cgroup_ids *ret)
{
    const char *start = name;
    const char *dash = memrchr(name, '-', length);
    if (dash)
        start = dash + 1;
    size_t left = (size_t)(name + length - start);
    size_t digits = hex_run(start, left);
    bool ends = digits == left || start[digits] == '.';
    if (digits != CONTAINER_ID_DIGITS || !ends)
        return;
    memcpy(ret->container_id, start, digits);
    ret->container_id[digits] = '\0';
}

/* The last "pod" of the component, when hexadecimal digits, dashes and underscores follow; the uid
 * of a static pod is a hash without dashes. */
static void read_pod(const char *name, size_t length, struct cgroup_ids *ret)
{
    const char *start = NULL;
    for (size_t i = 0; i + 3 <= length; i++) {
        if (memcmp(name + i, "pod", 3) == 0 && (i == 0 || name[i - 1] == '-'))
            start = name + i + 3;
    }
    if (!start)
        return;
    char uid[CGROUP_ID_MAX];
    size_t n = 0, digits = 0;
    for (const char *p = start; p < name + length && *p != '.'; p++) {
        bool hex = isxdigit((unsigned char)*p);
        if ((!hex && *p != '-' && *p != '_') || n + 1 >= sizeof(uid))
            return;
        digits += hex;
        uid[n++] = *p == '_' ? '-' : *p;
    }
    if (digits != POD_UID_DIGITS)
        return;
    uid[n] = '\0';
    memcpy(ret->pod_uid, uid, n + 1);
}

void cgroup_ids_read(const char *path, struct cgroup_ids *ret)
{
    *ret = (struct cgroup_ids){0};
    while (*path) {
        size_t length = strcspn(path, "/");
        read_pod(path, length, ret);
        read_container(path, length, ret);
        path += length + (path[length] == '/');
    }
}
