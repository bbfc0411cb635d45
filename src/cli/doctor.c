/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab doctor: what this machine allows, and what to do about what it lacks. */
#include "base/table.h"
#include "cli/result.h"
#include "cli/verb.h"
#include "sandbox/sandbox.h"

#include <errno.h>

#define ITEMS_MAX 64

struct doctor_arguments {
    const char *format;
};

static const char *const STATES[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_LIMITED] = "limited",
    [DOCTOR_MISSING] = "missing",
};

static json_t *items_json(const struct doctor_item *items, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", items[i].name,
                                              "state", STATES[items[i].state], "found",
                                              items[i].found, "advice", items[i].advice));
    return list;
}

static int print_items(const struct doctor_item *items, unsigned count, struct error *err)
{
    static const char *const headings[] = {"CHECK", "STATE", "FOUND", NULL};
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    for (unsigned i = 0; r == 0 && i < count; i++) {
        const char *const cells[] = {items[i].name, STATES[items[i].state], items[i].found};
        r = table_add(table, cells);
    }
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    if (r < 0)
        return error_errno(err, -r, "printing the table");
    bool heading = false;
    for (unsigned i = 0; i < count; i++) {
        if (items[i].state == DOCTOR_OK || items[i].advice[0] == '\0')
            continue;
        if (!heading)
            puts("\nWhat to do:");
        heading = true;
        printf("  %s: %s\n", items[i].name, items[i].advice);
    }
    return 0;
}

static int run_doctor(const struct invocation *invocation, struct error *err)
{
    const struct doctor_arguments *arguments = invocation->arguments;
    struct doctor_item items[ITEMS_MAX];
    bool json = false;
    bool usable = true;
    int r = format_parse(arguments->format, &json, err);
    if (r < 0)
        return r;
    unsigned count = sandbox_examine(items, ITEMS_MAX);
    for (unsigned i = 0; i < count; i++)
        usable = usable && items[i].state != DOCTOR_MISSING;
    if (json) {
        r = json_print(json_pack("{s:s, s:b, s:o}", "schema", "oomlab.doctor/1", "usable", usable,
                                 "items", items_json(items, count)),
                       stdout, err);
    } else {
        r = print_items(items, count, err);
        printf("\n%s\n", usable ? "This machine can run oomlab."
                                : "This machine cannot run oomlab as it is.");
    }
    if (r < 0)
        return r;
    return usable ? STATUS_DONE : STATUS_UNAVAILABLE;
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct doctor_arguments),
                                             {.name = NULL}};

const struct verb VERB_DOCTOR = {
    .name = "doctor",
    .summary = "examine this machine: cgroups, delegation, swap, kernel log, namespaces, sizes",
    .operands = "",
    .details = "Exit status 4 when something is missing that oomlab cannot do without.",
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct doctor_arguments),
    .run = run_doctor,
};
