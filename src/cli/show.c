/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab show: what a run was: its plan, machine, verdict and files. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/size.h"
#include "base/table.h"
#include "cli/files.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "report/manifest.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

struct show_arguments {
    const char *format;
};

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

static json_t *column_json(sqlite3_stmt *row, int column)
{
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(row, column));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(row, column));
    case SQLITE_TEXT:
        return json_string((const char *)sqlite3_column_text(row, column));
    default:
        return json_null();
    }
}

/* The run's row under its columns' names; the plan is parsed out of it. */
static int read_run(struct store *store, json_t **ret_run, json_t **ret_plan, struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    CLEANUP(json_cleanup) json_t *run = json_object();
    int r =
        store_prepare(store,
                      "SELECT id, lab, command, seed, started_at_ns, "
                      "(ended_ns - monotonic_zero_ns) / 1e9 AS duration_s, tool_version, kernel, "
                      "cgroup_version, cpus, memory_bytes, sample_rate_hz, backoff, "
                      "backoff_scale, exit_status, lab_json FROM run",
                      &row, err);
    if (r < 0)
        return r;
    if (sqlite3_step(row) != SQLITE_ROW)
        return error_usage(err, "the evidence file holds no run: it ended before it began");
    int columns = sqlite3_column_count(row);
    for (int i = 0; i + 1 < columns; i++) {
        if (json_object_set_new(run, sqlite3_column_name(row, i), column_json(row, i)) < 0)
            return error_errno(err, ENOMEM, "reading the run");
    }
    char started[TIMESTAMP_TEXT_MAX];
    json_int_t at_ns = json_integer_value(json_object_get(run, "started_at_ns"));
    json_object_set_new(run, "started_at", json_string(timestamp_format(at_ns, started)));
    json_object_del(run, "started_at_ns");
    const char *plan = (const char *)sqlite3_column_text(row, columns - 1);
    *ret_plan = json_loads(plan ? plan : "null", JSON_DECODE_ANY, NULL);
    *ret_run = steal_ptr(&run);
    return 0;
}

static json_t *files_json(const struct file_list *files)
{
    json_t *list = json_array();
    for (size_t i = 0; i < files->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:I}", "name", files->items[i].path, "bytes",
                                              (json_int_t)files->items[i].bytes));
    return list;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_run(const json_t *run, const json_t *plan, const json_t *verdict,
                      const char *directory)
{
    char memory[SIZE_TEXT_MAX];
    const json_t *status = json_object_get(run, "exit_status");
    const json_t *duration = json_object_get(run, "duration_s");
    printf("Run        %s\nLab        %s\n", text_of(run, "id"), text_of(run, "lab"));
    printf("Question   %s\n", text_of(plan, "question"));
    printf("Command    %s\n", text_of(run, "command"));
    printf("Started    %s", text_of(run, "started_at"));
    if (json_is_number(duration))
        printf(", took %.1f s", json_number_value(duration));
    printf("\nMachine    Linux %s, cgroup v%d, %d CPUs, %s\n", text_of(run, "kernel"),
           (int)integer_of(run, "cgroup_version"), (int)integer_of(run, "cpus"),
           size_format((uint64_t)integer_of(run, "memory_bytes"), memory));
    const json_t *stack = json_object_get(verdict, "leading_stack");
    printf("Verdict    %s\n", verdict ? text_of(verdict, "class") : "none: the run ended early");
    if (stack)
        printf("Code       %s\n", text_of(stack, "sentence"));
    if (json_is_integer(status))
        printf("Status     %d\n", (int)json_integer_value(status));
    printf("Directory  %s\n", directory);
}

static void join_texts(const json_t *texts, char *line, size_t size)
{
    size_t index;
    const json_t *text;
    size_t used = 0;
    line[0] = '\0';
    json_array_foreach(texts, index, text)
    {
        int added =
            snprintf(line + used, size - used, "%s%s", index ? ", " : "", json_string_value(text));
        if (added < 0 || (size_t)added >= size - used)
            return;
        used += (size_t)added;
    }
}

static int add_arm(struct table *table, const json_t *scenario, const json_t *arm)
{
    char name[160], memory[SIZE_TEXT_MAX], cpu[32] = "-", kills[32] = "-", differs[1024];
    const json_t *cores = json_object_get(arm, "cpu_cores");
    const json_t *stop = json_object_get(arm, "kill_stop");
    snprintf(name, sizeof(name), "%s/%s", text_of(scenario, "name"), text_of(arm, "name"));
    size_format_quantity((uint64_t)integer_of(arm, "memory_limit_bytes"), memory);
    if (json_is_number(cores))
        snprintf(cpu, sizeof(cpu), "%g", json_number_value(cores));
    if (json_is_integer(stop))
        snprintf(kills, sizeof(kills), "%d", (int)json_integer_value(stop));
    join_texts(json_object_get(arm, "differs_in"), differs, sizeof(differs));
    const char *const cells[] = {name, memory, cpu, kills, differs};
    return table_add(table, cells);
}

static int print_arms(const json_t *plan, struct error *err)
{
    static const char *const headings[] = {
        "ARM", ">MEMORY", ">CPU", ">KILL STOP", "DIFFERS FROM TRIGGER IN", NULL};
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    size_t i, j;
    const json_t *scenario, *arm;
    json_array_foreach(json_object_get(plan, "scenarios"), i, scenario)
    {
        json_array_foreach(json_object_get(scenario, "arms"), j, arm)
        {
            if (r == 0)
                r = add_arm(table, scenario, arm);
        }
    }
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    return r < 0 ? error_errno(err, -r, "showing the arms") : 0;
}

static int print_files(const struct file_list *files, struct error *err)
{
    static const char *const headings[] = {"FILE", ">SIZE", NULL};
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        char size[SIZE_TEXT_MAX];
        const char *const cells[] = {files->items[i].path,
                                     size_format(files->items[i].bytes, size)};
        r = table_add(table, cells);
    }
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    return r < 0 ? error_errno(err, -r, "showing the files") : 0;
}

/* Is what lies there what the run left? */
struct integrity {
    bool found; /* there is a manifest */
    size_t files;
    json_t *differ;
};

static void integrity_done(struct integrity *integrity)
{
    json_decref(integrity->differ);
}

static void print_integrity(const struct integrity *integrity)
{
    size_t index;
    json_t *item;
    if (!integrity->found)
        puts("manifest: none, so nothing can be verified: the run ended early");
    else if (json_array_size(integrity->differ) == 0)
        printf("manifest: all %zu files as recorded\n", integrity->files);
    else
        printf("manifest: %zu file%s not as recorded\n", json_array_size(integrity->differ),
               json_array_size(integrity->differ) == 1 ? " is" : "s are");
    json_array_foreach(integrity->differ, index, item)
        printf("  %s: %s\n", text_of(item, "how"), text_of(item, "name"));
}

static int show(const struct run_directory *run, bool json, struct error *err)
{
    CLEANUP(integrity_done) struct integrity integrity = {0};
    CLEANUP(store_cleanup) struct store *store = NULL;
    CLEANUP(file_list_done) struct file_list files = {0};
    CLEANUP(json_cleanup) json_t *result = NULL;
    CLEANUP(json_cleanup) json_t *row = NULL;
    CLEANUP(json_cleanup) json_t *plan = NULL;
    struct error ignored = {0};
    /* Before anything opens the files. */
    int r = manifest_verify(run->path, &integrity.found, &integrity.files, &integrity.differ, err);
    bool altered = json_array_size(integrity.differ) > 0;
    if (r == 0 && (r = store_open(run->path, &store, err)) < 0 && altered)
        error_wrap(err, "the run in '%s' is not as its manifest recorded it", run->path);
    if (r == 0)
        r = read_run(store, &row, &plan, err);
    if (r == 0)
        r = file_list_read(run->path, &files, err);
    if (r < 0)
        return r;
    result_load(run, &result, &ignored);
    json_t *verdict = json_object_get(result, "verdict");
    if (json) {
        r = json_print(json_pack("{s:s, s:s, s:O, s:O?, s:O?, s:o, s:{s:b, s:I, s:O}}", "schema",
                                 "oomlab.show/1", "directory", run->path, "run", row, "plan", plan,
                                 "verdict", verdict, "files", files_json(&files), "manifest",
                                 "found", integrity.found, "files", (json_int_t)integrity.files,
                                 "differ", integrity.differ),
                       stdout, err);
        return r < 0 ? r : altered ? STATUS_FAILED : STATUS_DONE;
    }
    print_run(row, plan, verdict, run->path);
    fputc('\n', stdout);
    r = print_arms(plan, err);
    fputc('\n', stdout);
    if (r == 0)
        r = print_files(&files, err);
    if (r < 0)
        return r;
    fputc('\n', stdout);
    print_integrity(&integrity);
    return altered ? STATUS_FAILED : STATUS_DONE;
}

static int run_show(const struct invocation *invocation, struct error *err)
{
    const struct show_arguments *arguments = invocation->arguments;
    struct run_directory run = {.lock_fd = -1};
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    if (r == 0)
        r = run_directory_find(invocation->operands[0], &run, err);
    return r < 0 ? r : show(&run, json, err);
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct show_arguments), {.name = NULL}};

const struct verb VERB_SHOW = {
    .name = "show",
    .summary = "show what a run was: its plan, machine, verdict and files",
    .operands = "RUN",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'. The files are "
               "compared with MANIFEST.sha256: status 1 when one differs.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct show_arguments),
    .run = run_show,
};
