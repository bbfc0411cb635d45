/* SPDX-License-Identifier: Apache-2.0 */
/* The local container-apps platform: app -> immutable revisions -> replica -> lifetimes, in single
 * revision mode. A change of the template makes a new revision, deactivates the old one and keeps
 * its record.
 *
 * One replica a revision. Unlike Azure, which starts the new revision before it stops the old one,
 * the old one is stopped first: both would listen on the same port of this host.
 *
 * Not thread-safe: everything happens in the thread that calls platform_run_once(), which must be
 * the one that made the platform and must live as long as the process (containers die with it). */
#pragma once

#include "platform/replica.h"

struct platform;

struct platform_options {
    const char *directory; /* console logs */
    const char *run_id;
    struct store *store; /* its writer is running */
    double sample_rate_hz;
};

int platform_new(const struct platform_options *options, struct platform **ret, struct error *err);
/* Kill and remove everything. NULL is fine. */
void platform_free(struct platform *platform);

/* Let the loop handle what has happened, waiting for the first event. */
void platform_run_once(struct platform *platform);
uv_loop_t *platform_loop(struct platform *platform);
int platform_cgroup_version(const struct platform *platform);
bool platform_kernel_log(const struct platform *platform);
uint64_t platform_dropped_observations(const struct platform *platform);

/* A replica of a revision that the caller keeps itself (oomlab serve: several replicas, several
 * revisions at a time). As replica_new(); `owner_id` stands in its rows as arm_id. */
int platform_add_replica(struct platform *platform, const struct revision_template *template,
                         const char *revision, const char *name, int64_t owner_id,
                         const struct replica_listener *listener, struct replica **ret,
                         struct error *err);
/* Free one that is stopped, or kill what still runs of it. */
void platform_remove_replica(struct platform *platform, struct replica *replica);

/* A replica's name: "<revision>-<10 hexadecimal digits>-<5 letters>", Kubernetes' shape, the same
 * for the same `seed` and revision, and hardly the same for others. */
void platform_replica_name(const char *seed, const char *revision, char *name, size_t size);

/* Azure's words for a revision. Static strings. */
struct revision_states {
    const char *health, *provisioning, *running;
};

struct revision;

/* "<app>--<suffix>" in newly allocated memory, NULL on failed allocation. */
char *revision_name(const struct revision_template *template);

/* Make a revision for the template and start its replica. The app's active revision must have been
 * deactivated. The template is borrowed until platform_forget(). A container that cannot be
 * started is told through the listener's `failed`. */
int platform_deploy(struct platform *platform, const struct revision_template *template,
                    int64_t arm_id, const struct replica_listener *listener, struct revision **ret,
                    struct error *err);
/* Stop the replica; the listener's `stopped` follows, and the revision's record is closed. */
void platform_deactivate(struct platform *platform, struct revision *revision,
                         enum platform_kill reason);
/* As replica_hurry() and replica_abandon(). */
void platform_hurry(struct revision *revision);
void platform_abandon(struct revision *revision);
/* As replica_stamp_heap(). */
void platform_stamp_heap(struct revision *revision, unsigned cycle);
/* Free a revision that is stopped; its record stays in the store. */
void platform_forget(struct platform *platform, struct revision *revision);
void revision_get_states(const struct revision *revision, struct revision_states *ret);
const struct replica *revision_replica(const struct revision *revision);
