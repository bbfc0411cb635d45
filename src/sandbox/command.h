/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a command's name may mean, worked out before the clone, because the child may not
 * allocate; and what to say when none of them could be executed. */
#pragma once

#include "base/error.h"

struct command {
    char **candidates; /* NULL-terminated, owned; tried in order */
    char *path;        /* the PATH that was searched, owned; NULL when the name has a '/' */
    char *name;        /* argv[0], owned */
    char *directory;   /* where relative candidates start, owned; NULL: oomlab's own */
    char *root;        /* the root they will be seen from, owned, set after command_init();
                        * NULL: this machine's */
};

/* As execvp(3): a name with a '/' is itself; others are looked up in PATH of `env`, or in
 * /usr/local/bin:/usr/bin:/bin where it has none. */
int command_init(const char *name, const char *const *env, const char *directory,
                 struct command *ret, struct error *err);
void command_done(struct command *command);
/* Why executing candidate `index` failed, in words: sets `err` and returns -errnum. */
int command_error(const struct command *command, unsigned index, int errnum, struct error *err);
