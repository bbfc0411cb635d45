/* SPDX-License-Identifier: Apache-2.0 */
/* What a user-space OOM killer left behind about one container: systemd-oomd's extended attributes
 * on its cgroup, and its or earlyoom's own line in the system's journal. */
#pragma once

#include "kernel/killer_log.h"
#include "platform/facts.h"
#include "store/store.h"

#define KILLER_TEXT_MAX 512

struct killer_line {
    enum killer killer;
    int64_t at_ns; /* realtime, by the journal */
    char text[KILLER_TEXT_MAX];
};

/* Is this a SIGKILL that nothing of the kernel's and nothing of ours explains? */
bool killer_is_wanted(const struct life_facts *facts, const struct observation *end);

/* The last line since `since_ns` (realtime) by which a killer says that it killed this container:
 * oomd its cgroup or one above it, earlyoom its main process (only where our pids are those of the
 * initial namespace). 1 found, 0 not found although such killers have logged here (it may yet
 * come), -ENOENT no killer has, -errno no journal that we may read. Reads files: some milliseconds.
 */
int killer_find_line(const struct life_facts *facts, int64_t since_ns, struct killer_line *ret);

/* Note what was found in the facts and as a row of table `killer_log`. */
void killer_add_line(struct life_facts *facts, const struct killer_line *line, struct store *store,
                     uint32_t lifetime_id);
/* The same for oomd's attributes, once facts->oomd_marks are complete; nothing if they stood still.
 */
void killer_add_marks(const struct life_facts *facts, struct store *store, uint32_t lifetime_id);
