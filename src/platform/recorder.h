/* SPDX-License-Identifier: Apache-2.0 */
/* Turns observations into rows (in the writer thread) and hands kills, kernel log lines and ends
 * over to the control loop once they are durable. Nothing else may act on an end: a kill record is
 * committed before anything happens to the container's cgroup. */
#pragma once

#include "base/error.h"
#include "base/terms.h"
#include "observe/observer.h"
#include "store/store.h"

#include <uv.h>

struct recorder;

/* Called in the loop's thread for each KILL, KMSG and END, in order, after its commit. */
typedef void (*recorder_deliver)(void *context, const struct observation *observation,
                                 int64_t committed_ns);

/* Called in the loop's thread for each kill, as soon as the loop gets to it: nothing of it is
 * stored by then, and nothing that changes the container may follow from it. */
typedef void (*recorder_notice)(void *context, uint32_t lifetime_id, int64_t at_ns);

/* Connect the observer's ring to the store's writer (which must be running). */
int recorder_new(struct store *store, struct observer *observer, uv_loop_t *loop,
                 recorder_deliver deliver, recorder_notice notice, void *context,
                 struct recorder **ret, struct error *err);
/* Call `notice` now for what waits: before something is done that must come after it. */
void recorder_take_notices(struct recorder *recorder);
/* Disconnect; what the ring still holds is stored first, not delivered. The memory goes once the
 * loop has closed the handle. */
void recorder_free(struct recorder *recorder);

/* Remember why the platform is about to send this lifetime a signal; call it before the signal. */
void recorder_set_platform_kill(struct recorder *recorder, uint32_t lifetime_id,
                                enum platform_kill reason);
enum platform_kill recorder_platform_kill(struct recorder *recorder, uint32_t lifetime_id);
