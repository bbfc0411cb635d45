/* SPDX-License-Identifier: Apache-2.0 */
/* --ids: one command for several resources. */
#include "cli/az.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEGMENTS 8 /* subscriptions, S, resourceGroups, G, providers, P, T, N */

/* The group and the name of "/subscriptions/S/resourceGroups/G/providers/P/T/N[/...]", in `id`,
 * which is cut up. */
static bool split_id(char *id, const char **ret_group, const char **ret_name)
{
    char *segments[SEGMENTS];
    char *rest = NULL;
    if (id[0] != '/' || strstr(id, "//"))
        return false;
    for (size_t i = 0; i < SEGMENTS; i++) {
        segments[i] = strtok_r(i == 0 ? id : NULL, "/", &rest);
        if (!segments[i])
            return false;
    }
    *ret_group = segments[3];
    *ret_name = segments[7];
    return strcasecmp(segments[0], "subscriptions") == 0 &&
           strcasecmp(segments[2], "resourceGroups") == 0 &&
           strcasecmp(segments[4], "providers") == 0;
}

static int run_one(const struct invocation *invocation, const char *id, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    AUTO_FREE char *copy = strdup(id);
    if (!copy || !split_id(copy, &arguments->group, &arguments->name))
        return error_usage(err, "argument --ids: invalid ResourceId value: '%.300s'", id);
    int r = invocation->verb->run(invocation, err);
    arguments->group = arguments->name = NULL; /* they were the copy's */
    return r;
}

/* Words and, as from "-o tsv", lines in them. */
static int run_all(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    int r = 0;
    for (const char **word = arguments->ids; r == 0 && *word; word++) {
        char *rest = NULL;
        AUTO_FREE char *lines = strdup(*word);
        for (char *id = lines ? strtok_r(lines, " \r\n\t", &rest) : NULL; r == 0 && id;
             id = strtok_r(NULL, " \r\n\t", &rest))
            r = run_one(invocation, id, err);
    }
    return r;
}

/* One result is printed as it is, several are a list. */
static int print(const struct az_arguments *arguments, struct az_collection *collection,
                 struct error *err)
{
    AUTO_BUFFER table = {0};
    size_t count = json_array_size(collection->list);
    if (count == 0)
        return STATUS_DONE;
    if (count == 1)
        return az_print(arguments, json_incref(json_array_get(collection->list, 0)),
                        collection->table, err);
    if (collection->table && collection->table[0] == '{')
        buffer_printf(&table, "[].%s", collection->table);
    return az_print(arguments, json_incref(collection->list),
                    table.length > 0 ? buffer_text(&table) : NULL, err);
}

int az_run_ids(const struct invocation *invocation, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    struct az_collection collection = {.list = json_array()};
    if (!arguments->ids[0])
        return error_usage(err, "argument --ids: expected at least one argument");
    if (arguments->name && !arguments->only_show_errors)
        log_warning("option '--name' will be ignored due to use of '--ids'.");
    if (arguments->group && !arguments->only_show_errors)
        log_warning("option '--resource-group' will be ignored due to use of '--ids'.");
    arguments->collection = &collection;
    int r = run_all(invocation, err);
    arguments->collection = NULL;
    if (r == 0)
        r = print(arguments, &collection, err);
    json_decref(collection.list);
    return r;
}
