/* SPDX-License-Identifier: Apache-2.0 */
/* What a memory cgroup's path tells about the container inside. */
#pragma once

#include <stdbool.h>

#define CGROUP_ID_MAX 80

struct cgroup_ids {
    char container_id[CGROUP_ID_MAX]; /* 64 hexadecimal digits; "" where the path has none */
    char pod_uid[CGROUP_ID_MAX];      /* with dashes, as the API spells it; "" without */
};

/* Read the ids out of a path as the kernel log or cAdvisor's `id` label spells it:
 * ".../docker-<id>.scope", "/docker/<id>", ".../libpod-<id>", ".../cri-containerd-<id>.scope",
 * ".../crio-<id>.scope", "/kubepods/burstable/pod<uid>/<id>" and
 * ".../kubepods-burstable-pod<uid with underscores>.slice/...". */
void cgroup_ids_read(const char *path, struct cgroup_ids *ret);
