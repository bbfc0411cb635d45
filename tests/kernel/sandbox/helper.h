/* SPDX-License-Identifier: Apache-2.0 */
/* Common ground of the sandbox's system tests: a run's root with records of its own, containers
 * that run the guest program ($SANDBOX_GUEST), and a count of what could be left behind. */
#pragma once

#include "base/cleanup.h"
#include "sandbox/sandbox.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define OUTPUT_BYTES  65536
#define GUEST_ARGS    8
#define DEFAULT_LIMIT (64ULL << 20)

/* A private directory for records ($OOMLAB_RUNTIME_DIR); removed at the end. Skips the program (77)
 * when this machine cannot run containers, fails it under OOMLAB_MUST_WORK=1. cmocka group
 * functions. */
int suite_setup(void **state);
int suite_teardown(void **state);
const char *runtime_directory(void);
/* fork(2); a failed assertion in the child ends the child, instead of going on with other tests. */
pid_t fork_process(void);

/* A root of its own for a test, named after this process and a counter. */
struct sandbox_root *root_or_fail(void);

struct box {
    struct sandbox *sandbox;
    int output_fd; /* reading end: stdout and stderr */
};

/* Words for the guest, the last one NULL. */
struct box_request {
    const char *name; /* default "box" */
    const char *args[GUEST_ARGS];
    const char *const *env;
    const char *directory;
    const char *command; /* default: the guest */
    struct cgroup_limits limits;
};

int box_start(struct sandbox_root *root, const struct box_request *request, struct box *ret,
              struct error *err);
/* Started and released; fails the test otherwise. */
struct box box_run(struct sandbox_root *root, const struct box_request *request);
/* Read until the output ends or holds the text. */
void box_read(const struct box *box, char output[static OUTPUT_BYTES], const char *until);
/* Wait for the main process and reap it. */
siginfo_t box_wait(const struct box *box);
/* Free it, close the output. */
void box_done(struct box *box);
/* Run to the end: its output and end. */
siginfo_t box_run_to_end(struct sandbox_root *root, const struct box_request *request,
                         char output[static OUTPUT_BYTES]);
/* The counter's value; fails the test where it is absent. */
uint64_t box_metric(const struct box *box, enum metric metric);

/* Whether a pidfd's process ends within the time. */
bool ends_within(int pidfd, int ms);
/* The named line's rest ("pid 1" → "1") in `text`, copied to `ret`. */
void line_value(const char *text, const char *key, char ret[static 256]);

/* What a start could leave behind. */
struct belongings {
    int descriptors;
    int mounts;
    int cgroups;  /* directories below the root's cgroup, of every hierarchy */
    int children; /* processes of ours, dead or alive */
};
struct belongings count_belongings(struct sandbox_root *root);
void assert_same_belongings(struct belongings before, struct belongings after);
int count_records(void);
