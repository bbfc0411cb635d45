/* SPDX-License-Identifier: Apache-2.0 */
/* What was said about a lab and where, before defaults: one draft for the command line, one for a
 * lab file's top level, one for each of its scenarios. Values are texts here; plan.c reads them
 * with plan_value.h and can point at their place when they are wrong. */
#pragma once

#include "base/error.h"
#include "lab/plan.h"
#include "lab/plan_settings.h"
#include "lab/plan_value.h"

#include <stdbool.h>
#include <stddef.h>

/* The place of a value: an option of the command line, or a line of a file. */
struct origin {
    const char *file; /* borrowed; NULL: an option */
    unsigned line, column;
    const char *name; /* the option or key; borrowed, static */
};
/* Put the place in front of the error: "FILE:LINE:COLUMN: key: " or "--option: ". Returns its code.
 */
int origin_wrap(const struct origin *origin, struct error *err);

struct draft_text {
    char *text; /* NULL: not given */
    struct origin origin;
};
struct draft_words { /* a command */
    char **words;    /* NULL: not given */
    struct origin origin;
};
struct draft_variable {
    char *name, *value;
    struct origin origin;
};
struct draft_variables { /* an environment, in the order given; names are unique */
    struct draft_variable *items;
    size_t count;
};
struct draft_requests {
    struct traffic_request *items;
    size_t count;
    struct origin origin;
};

struct draft {
    struct draft_text settings[SETTING_COUNT];
    struct draft_words command, patch_command;
    struct draft_variables env, patch_env;
    struct draft_requests requests;
    struct kill_stops kills;
    bool https_given, https;
    bool heap_given, heap;
};

void draft_done(struct draft *draft);
int draft_set_text(struct draft *draft, enum setting setting, const char *text,
                   const struct origin *origin, struct error *err);
/* Split text into a command, or copy words; an empty command is refused. */
int draft_set_command(struct draft_words *command, const char *text, const struct origin *origin,
                      struct error *err);
int draft_set_words(struct draft_words *command, const char *const *words,
                    const struct origin *origin, struct error *err);
/* Add a variable; the name must be one, and new. */
int draft_add_variable(struct draft_variables *variables, const char *name, const char *value,
                       const struct origin *origin, struct error *err);
/* Take the request over (also on failure). */
int draft_add_request(struct draft_requests *requests, struct traffic_request *request,
                      const struct origin *origin, struct error *err);
/* Read requests from a file: one on each line as for --request; blank lines and '#' lines do not
 * count. Errors carry "FILE:LINE: ". */
int draft_read_requests(struct draft_requests *requests, const char *path,
                        const struct origin *origin, struct error *err);

int draft_from_options(const struct plan_options *options, struct draft *ret, struct error *err);

/* A whole lab file, or its equivalent for one's own service. */
struct scenario_draft {
    char *name;
    struct origin origin;
    struct draft draft;
};
struct lab_draft {
    char *file; /* the name in messages; owned; NULL: no file */
    struct draft top;
    struct scenario_draft *scenarios;
    size_t scenario_count;
};
void lab_draft_done(struct lab_draft *lab);
