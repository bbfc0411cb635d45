/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the names in the sources are one container. */
#pragma once

#include "import/facts.h"
#include "store/store.h"

/* Owned texts; NULL where no source says. */
struct container {
    char *app, *revision, *replica, *container, *pod_uid, *container_id, *cgroup;
    int64_t arm_id; /* its row in `arm`, once it has one; also stands in `place` */
    size_t places;
};

struct containers {
    struct container *items; /* owned */
    size_t count;
};

/* Merge the places: a row that names an app or a revision alone belongs to the only replica of it
 * that the sources know; a kernel log's path to the container whose id stands in it; what names
 * nothing (a table of times and bytes) to the only container there is. What fits several is
 * one of its own. Sets place.arm_id to 1.. in the
 * order in which the containers are first named. */
int containers_find(struct store *store, struct containers *ret, struct error *err);
void containers_done(struct containers *containers);

/* "app/replica/container", the shortest that names it. */
const char *container_name(const struct container *container, char *text, size_t size);
