/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that az has, too: commands of several words, their arguments, the client of oomlab
 * serve, and the output modes. */
#pragma once

#include "base/buffer.h"
#include "cli/verb.h"

#include <jansson.h>
#include <stdio.h>

#define AZ_API_VERSION  "2024-03-01"
#define AZ_SUBSCRIPTION "00000000-0000-0000-0000-000000000000"

/* What a command would have printed, one result for each of --ids. */
struct az_collection {
    json_t *list;
    const char *table; /* of the last result */
};

/* The arguments of all of them; each command offers some. */
struct az_arguments {
    const char *name, *group, *environment, *output, *query, *server, *subscription;
    const char *image, *cpu, *memory, *min_replicas, *max_replicas, *target_port, *ingress,
        *transport, *revision_suffix, *revisions_mode, *yaml, *location, *container_name, *tag;
    const char **command, **args, **env_vars, **set_env_vars, **replace_env_vars, **remove_env_vars,
        **tags, **ids;
    struct az_collection *collection; /* NULL: results are printed */
    const char *revision, *replica, *from_revision, *mode, *type, *tail, *format, *container,
        *exec_command;
    const char **revision_weight, **label_weight;
    const char *resource, *resource_type, *interval, *offset, *filter, *top, *orderby,
        *metric_namespace;
    const char **metrics, **dimensions, **aggregation, **start_time, **end_time;
    const char *method, *url, *body;
    const char **headers, **uri_parameters;
    bool yes, no_wait, follow, all, any_size, metadata, skip_authorization, only_show_errors,
        verbose, debug, no_headers;
};

struct az_command {
    const char *words; /* after the verb: "revision list"; NULL ends the table */
    struct verb verb;  /* its name is "containerapp revision list" */
    bool destroys;     /* asks before it does so: az_confirm() */
};

/* A row of a verb's table: AZ_COMMAND("group ", "show", ...). */
#define AZ_COMMAND(verb_words, own_words, text, option_list, function, asks)                       \
    {                                                                                              \
        own_words,                                                                                 \
            {.name = verb_words own_words,                                                         \
             .summary = (text),                                                                    \
             .operands = "",                                                                       \
             .options = (option_list),                                                             \
             .arguments_bytes = sizeof(struct az_arguments),                                       \
             .run = (function),                                                                    \
             .abbreviates = true},                                                                 \
            (asks)                                                                                 \
    }

/* Find the command among the verb's, parse its arguments and run it. */
int az_run(const struct invocation *invocation, struct error *err);
/* The help of a verb with commands: their list. */
void az_print_commands(const struct verb *verb, FILE *out);

#define AZ_OPTION(long_name, short_name, option_kind, member, value, text)                         \
    {                                                                                              \
        .name = (long_name), .letter = (short_name), .kind = (option_kind), .argument = (value),   \
        .help = (text), .offset = offsetof(struct az_arguments, member)                            \
    }
#define AZ_TEXT(long_name, short_name, member, value, text)                                        \
    AZ_OPTION(long_name, short_name, OPTION_TEXT, member, value, text)
#define AZ_FLAG(long_name, short_name, member, text)                                               \
    AZ_OPTION(long_name, short_name, OPTION_FLAG, member, NULL, text)
#define AZ_WORDS(long_name, short_name, member, value, text)                                       \
    AZ_OPTION(long_name, short_name, OPTION_WORDS, member, value, text)

/* What every command has. */
#define AZ_COMMON                                                                                  \
    {.name = "output",                                                                             \
     .letter = 'o',                                                                                \
     .kind = OPTION_TEXT,                                                                          \
     .argument = "json|jsonc|none|table|tsv|yaml",                                                 \
     .fallback = "json",                                                                           \
     .help = "output format",                                                                      \
     .values = "json jsonc none table tsv yaml yamlc",                                             \
     .offset = offsetof(struct az_arguments, output)},                                             \
        AZ_TEXT("query", 0, query, "JMESPATH", "JMESPath expression on the result"),               \
        AZ_TEXT("server", 0, server, "SOCKET|URL",                                                 \
                "where serve listens (default: $OOMLAB_SERVER, or its default socket)"),           \
        AZ_TEXT("subscription", 0, subscription, "ID", "taken and not looked at: there is one"),   \
        AZ_FLAG("only-show-errors", 0, only_show_errors, "no warnings"),                           \
        AZ_FLAG("verbose", 0, verbose, "taken and not looked at"),                                 \
        AZ_FLAG("debug", 0, debug, "taken and not looked at"),                                     \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define AZ_GROUP AZ_TEXT("resource-group", 'g', group, "NAME", "resource group")
#define AZ_NAME  AZ_TEXT("name", 'n', name, "NAME", "name of the container app")
#define AZ_IDS                                                                                     \
    AZ_WORDS("ids", 0, ids, "ID...", "resource ids, in the place of name and resource group")
#define AZ_TAGS    AZ_WORDS("tags", 0, tags, "K[=V]...", "tags of the resource; '' for none")
#define AZ_NO_WAIT AZ_FLAG("no-wait", 0, no_wait, "do not wait for the operation to finish")
#define AZ_YES     AZ_FLAG("yes", 'y', yes, "do not ask whether it is meant")

/* A missing argument is a usage error in az's words. */
int az_require(const struct invocation *invocation, const char *value, const char *option,
               struct error *err);

/* The values of options that every command has, before anything is sent; a usage error in
 * argparse's words. Also puts the output's name in small letters. */
int az_check_common(struct az_arguments *arguments, struct error *err);
/* 0 when --yes was given or the person at the terminal says so. */
int az_confirm(const struct az_arguments *arguments, struct error *err);
/* Run the command once for each of --ids, and print the results together, as az does. */
int az_run_ids(const struct invocation *invocation, struct error *err);
/* A whole number from `least` to `most`; another text is a usage error in argparse's words. */
int az_whole_number(const char *option, const char *text, long least, long most, long *ret,
                    struct error *err);
/* Append it to a query, what has a meaning there as %XX. */
void az_put_escaped(struct buffer *query, const char *value);
/* --tags as an object. New reference. */
json_t *az_tags_json(const char *const *tags);

/* --- the client ----------------------------------------------------------------------------- */

struct az_answer {
    unsigned status;
    json_t *body;         /* NULL: none */
    char *text;           /* the body as it came; owned */
    char operation[1024]; /* path of the Azure-AsyncOperation or the Location; "" none */
};
void az_answer_done(struct az_answer *answer);
#define AUTO_ANSWER __attribute__((cleanup(az_answer_done))) struct az_answer

/* Send a request to `path` (with its query). -errno only when no answer came. */
int az_send(const struct az_arguments *arguments, const char *method, const char *path,
            const json_t *body, struct az_answer *ret, struct error *err);
/* The same, and an answer of 400 or more is an error, ARM's own message. Its exit status is 3 when
 * the resource is missing: az_status(). */
int az_ask(const struct az_arguments *arguments, const char *method, const char *path,
           const json_t *body, struct az_answer *ret, struct error *err);
/* Wait for the operation that an answer began, unless --no-wait; its failure is an error. */
int az_wait(const struct az_arguments *arguments, struct az_answer *answer, struct error *err);
/* All pages of a list. New reference. */
int az_list(const struct az_arguments *arguments, const char *path, json_t **ret,
            struct error *err);

/* POST the body to `path` and have the connection upgraded to `protocol`: the socket, not blocking.
 * Another answer than that is an error, as with az_ask(). */
int az_upgrade(const struct az_arguments *arguments, const char *path, const json_t *body,
               const char *protocol, int *ret_socket, struct error *err);

/* The exit status for an error that az_ask() told: 3 for a missing resource, else the usual one. */
int az_failed(struct error *err);

/* --- paths ---------------------------------------------------------------------------------- */

#define AZ_PATH_MAX    4096
#define AZ_SEGMENT_MAX 768
/* A name as one segment of a path, whatever it is: percent-encoded, so that it can begin no query
 * and reach no other resource. A slash, which is in no name, arrives as "%2F" and is refused. What
 * is cut off is longer than any name may be. */
struct az_segment {
    char text[AZ_SEGMENT_MAX];
};
struct az_segment az_segment(const char *name);

/* "/subscriptions/S/resourceGroups/GROUP" and what follows, with api-version. The format's own
 * names are segments. */
void az_path(char path[static AZ_PATH_MAX], const struct az_arguments *arguments,
             const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The app's path and, below it, `format`. */
void az_app_path(char path[static AZ_PATH_MAX], const struct az_arguments *arguments,
                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- output --------------------------------------------------------------------------------- */

/* Apply --query and print as --output says. `table` is the JMESPath of the table's columns where az
 * has one; NULL: made from the values. Takes the reference over. */
int az_print(const struct az_arguments *arguments, json_t *result, const char *table,
             struct error *err);
/* Adds what az adds: "resourceGroup", from the id. */
void az_add_group(json_t *resource);

/* A YAML file as JSON. New reference. */
int yaml_load_json(const char *path, json_t **ret, struct error *err);
int yaml_print_json(const json_t *json, FILE *out);
