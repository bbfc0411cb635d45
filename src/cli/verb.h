/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs: dispatch, --help, completion and the manual's check are made from it. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses; errors map to the first, second and last by their kind. */
enum exit_status {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_NEGATIVE = 3,
    STATUS_UNAVAILABLE = 4,
    STATUS_SIGNAL = 128, /* plus the signal that interrupted the run */
};

enum option_kind {
    OPTION_FLAG,  /* bool */
    OPTION_TEXT,  /* const char *; given twice: the last counts */
    OPTION_LIST,  /* const char **, NULL-terminated, freed after the verb */
    OPTION_WORDS, /* the same, and it takes all words up to the next option: --args a b c. What
                     begins with one '-' and is no option of the verb is a word, too */
};

/* One option; it sets the member at `offset` of the verb's arguments. */
struct option_spec {
    const char *name; /* without the hyphens; NULL ends the list */
    char letter;      /* 0: none */
    enum option_kind kind;
    const char *argument; /* as help shows it; NULL for a flag */
    const char *fallback; /* the default as help shows it; NULL: none or told in `help` */
    const char *help;     /* no full stop */
    const char *values;   /* what completion offers, separated by blanks; "@file", "@run"; NULL */
    size_t offset;
};

/* What was written after the verb. */
struct invocation {
    const struct verb *verb;
    void *arguments; /* the verb's own struct, options filled in */
    const char **operands;
    size_t operand_count;
    const char *const *command; /* after "--", NULL-terminated; NULL: no "--" */
    int argc;                   /* the whole command line */
    char **argv;
};

/* Returns an exit status (0 or more) or -errno with `err` set. */
typedef int (*verb_function)(const struct invocation *invocation, struct error *err);

struct az_command;

struct verb {
    const char *name;
    const char *summary;        /* one line, no full stop */
    const char *operands;       /* for the synopsis, "" for none */
    const char *operand_values; /* what completion offers for operands, as above */
    const char *details;        /* further lines of help; may be NULL */
    size_t operands_min, operands_max;
    bool takes_command;                /* "--" and a command may follow */
    const struct az_command *commands; /* of further words (cli/az.h); NULL: none */
    bool raw;                          /* options are not parsed: the verb does it itself */
    bool abbreviates;                  /* the beginning of an option's name will do, as with az */
    const struct option_spec *options;
    size_t arguments_bytes;
    verb_function run;
};

/* In the order in which help lists them; ended by NULL. */
extern const struct verb *const VERBS[];
const struct verb *verb_find(const char *name);

extern const struct verb VERB_ADVISE, VERB_CHECK, VERB_CLEAN, VERB_COMPARE, VERB_COMPLETION,
    VERB_CONTAINERAPP, VERB_DIAGNOSE, VERB_DOCTOR, VERB_EXPORT, VERB_GROUP, VERB_HEAP, VERB_HELP,
    VERB_LIST, VERB_MONITOR, VERB_REPORT, VERB_REST, VERB_RUN, VERB_SERVE, VERB_SHOW, VERB_VERSION,
    VERB_WORKLOAD;

/* The option that every data verb has; `arguments` has a member `const char *format`. */
#define OPTION_FORMAT(arguments)                                                                   \
    {                                                                                              \
        .name = "format", .kind = OPTION_TEXT, .argument = "text|json", .fallback = "text",        \
        .help = "tables for people, or one JSON object", .values = "text json",                    \
        .offset = offsetof(arguments, format),                                                     \
    }
/* Read its value; NULL is text. */
int format_parse(const char *text, bool *ret_json, struct error *err);
