/* SPDX-License-Identifier: Apache-2.0 */
/* Kills that a counter tells. */
#pragma once

#include "store/store.h"

/* After all sources are read: where container_oom_events_total rose from one sample to the next,
 * whichever files or scrapes they stand in, that is a fact 'oom-kill' at the later one, of its row,
 * `count` times. Samples without a time follow in the order in which they were read; a fall is a
 * counter that began again, and tells of no kill. 0 or -EIO. */
int oom_counters_read(struct store *store, struct error *err);
