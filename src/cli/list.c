/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab list: all runs in the state directory, newest last. */
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/table.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "lab/plan_value.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

struct list_arguments {
    const char *format;
};

/* By what it wrote last: its exit status, unless oomlab itself was killed; 128 and more after a
 * signal. Without evidence it says nothing, whatever its report says. */
static const char *state_of(const struct run_directory *directory, const json_t *run)
{
    const json_t *status = json_object_get(run, "exit_status");
    if (!json_is_integer(status))
        return "incomplete";
    if (!store_looks_sound(directory->path))
        return "damaged";
    return json_integer_value(status) >= STATUS_SIGNAL ? "interrupted" : "complete";
}

/* What the list shows of one run; absent fields are JSON null. */
static json_t *describe(const char *id, struct error *err)
{
    struct run_directory run;
    if (run_directory_of_id(id, &run, err) < 0)
        return NULL;
    CLEANUP(json_cleanup) json_t *result = NULL;
    struct error ignored = {0};
    bool busy = run_directory_busy(&run);
    if (!busy)
        result_load(&run, &result, &ignored);
    json_t *object = json_object_get(result, "run");
    const char *state = busy ? "running" : state_of(&run, object);
    return json_pack("{s:s, s:s, s:s, s:O?, s:O?, s:O?, s:O?}", "id", id, "directory", run.path,
                     "state", state, "lab", json_object_get(object, "lab"), "started_at",
                     json_object_get(object, "started_at"), "duration_s",
                     json_object_get(object, "duration_s"), "verdict",
                     json_object_get(json_object_get(result, "verdict"), "class"));
}

static int describe_all(char *const *ids, json_t **ret, struct error *err)
{
    CLEANUP(json_cleanup) json_t *runs = json_array();
    for (; *ids; ids++) {
        json_t *run = describe(*ids, err);
        if (!run || json_array_append_new(runs, run) < 0)
            return err->code < 0 ? err->code : error_errno(err, ENOMEM, "listing the runs");
    }
    *ret = steal_ptr(&runs);
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static int print_table(const json_t *runs, struct error *err)
{
    static const char *const headings[] = {"RUN", "LAB", ">DURATION", "STATE", "VERDICT", NULL};
    size_t index;
    const json_t *run;
    if (json_array_size(runs) == 0) {
        puts("No run yet; 'oomlab run' makes one.");
        return 0;
    }
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    json_array_foreach(runs, index, run)
    {
        char duration[DURATION_TEXT_MAX] = "-";
        const json_t *seconds = json_object_get(run, "duration_s");
        if (json_is_number(seconds))
            duration_format((int64_t)(json_number_value(seconds) * 1e9), duration);
        const char *const cells[] = {text_of(run, "id"), text_of(run, "lab"), duration,
                                     text_of(run, "state"), text_of(run, "verdict")};
        if (r == 0)
            r = table_add(table, cells);
    }
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    return r < 0 ? error_errno(err, -r, "listing the runs") : 0;
}

static int run_list(const struct invocation *invocation, struct error *err)
{
    const struct list_arguments *arguments = invocation->arguments;
    CLEANUP(strv_cleanup) char **ids = NULL;
    CLEANUP(json_cleanup) json_t *runs = NULL;
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = run_ids_list(&ids, err);
    if (r == 0)
        r = describe_all(ids, &runs, err);
    if (r < 0)
        return r;
    if (json)
        return json_print(json_pack("{s:s, s:O}", "schema", "oomlab.list/1", "runs", runs), stdout,
                          err);
    return print_table(runs, err);
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct list_arguments), {.name = NULL}};

const struct verb VERB_LIST = {
    .name = "list",
    .summary = "list all runs, newest last",
    .operands = "",
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct list_arguments),
    .run = run_list,
};
