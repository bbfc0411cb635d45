/* SPDX-License-Identifier: Apache-2.0 */
/* A command that runs in a replica's container for a client (az containerapp exec): the process,
 * and the client's connection, which carries exec_stream.h's frames. */
#pragma once

#include "api/model.h"
#include "sandbox/enter.h"

#include <microhttpd.h>

#define EXECS_PER_REPLICA 8

struct exec;
struct loop_daemon;

/* What to run; exec_new() copies what it needs. */
struct exec_options {
    char *const *command; /* NULL-terminated */
    bool terminal;
    unsigned short rows, columns;
    const char *term; /* TERM of the terminal, where the container has none; NULL */
};

/* Ready to begin once the connection is upgraded. -ESRCH: the replica does not run. */
int exec_new(struct serve *serve, struct app_replica *replica, const struct exec_options *options,
             struct exec **ret, struct error *err);
/* It has not begun and never will. NULL is fine. */
void exec_discard(struct exec *exec);
/* Begin: `socket` is the exec's until it is over; `extra` came in with the request. `daemon` is
 * woken when the connection is given back. */
void exec_begin(struct exec *exec, struct loop_daemon *daemon,
                struct MHD_UpgradeResponseHandle *upgrade, int socket, const char *extra,
                size_t extra_length);

/* How many run in the replica of that name. */
unsigned execs_count(const struct serve *serve, const char *replica);
/* A container of the replica has ended, and this is why. */
void execs_replica_ended(struct serve *serve, const char *replica, enum end_cause cause);
/* End all of them. serve->execs becomes NULL in the loop. */
void execs_stop(struct serve *serve);
