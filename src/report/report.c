/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what a run leaves for people and programs. */
#include "report/report.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "report/manifest.h"
#include "report/rows.h"
#include "report/story.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

int report_dump(const json_t *result, FILE *out, struct error *err)
{
    if (json_dumpf(result, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) < 0 ||
        fputc('\n', out) == EOF)
        return error_errno(err, errno ? errno : EIO, "writing the result");
    return 0;
}

static void early_cleanup(struct manifest_early **early)
{
    manifest_early_free(*early);
}

static void result_cleanup(json_t **result)
{
    json_decref(*result);
}

static int write_stream(int dir_fd, const char *name, struct error *err,
                        int (*produce)(const void *what, FILE *out, struct error *err),
                        const void *what)
{
    AUTO_FREE char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return error_errno(err, errno, "writing '%s'", name);
    int r = produce(what, out, err);
    if (fclose(out) != 0 && r == 0)
        r = error_errno(err, errno, "writing '%s'", name);
    return r < 0 ? r : file_replace(dir_fd, name, text, length, err);
}

static int produce_result(const void *what, FILE *out, struct error *err)
{
    return report_dump(what, out, err);
}

static int produce_events(const void *what, FILE *out, struct error *err)
{
    return report_events((struct store *)what, out, err);
}

/* The plan as the run began with it: of each arm what was started and how it differs. Its secrets
 * were taken out before it was written down. */
static int produce_configuration(const void *what, FILE *out, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, (struct store *)what,
                       "SELECT id, tool_version, command, lab_json FROM run", 0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    bool known = r == 1;
    CLEANUP(result_cleanup)
    json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:o}", "schema", CONFIGURATION_SCHEMA, "run",
                               known ? row_json_text(&rows, 0) : json_null(), "tool_version",
                               known ? row_json_text(&rows, 1) : json_null(), "command_line",
                               known ? row_json_text(&rows, 2) : json_null(), "plan",
                               known ? row_json_object(&rows, 3) : json_null());
    return object ? report_dump(object, out, err)
                  : error_errno(err, ENOMEM, "writing '" CONFIGURATION_FILE "'");
}

static int write_document(int dir_fd, const char *name, const struct document *document,
                          void (*write)(const struct document *document, struct buffer *out),
                          struct error *err)
{
    AUTO_BUFFER out = {0};
    write(document, &out);
    if (out.failed)
        return error_errno(err, ENOMEM, "writing '%s'", name);
    return file_replace(dir_fd, name, buffer_text(&out), out.length, err);
}

static int write_figures(int dir_fd, const struct document *document, struct error *err)
{
    const struct block *figure;
    int r = 0;
    for (unsigned i = 1; r == 0 && (figure = document_find_figure(document, i)); i++) {
        AUTO_BUFFER out = {0};
        char name[FIGURE_NAME_MAX];
        document_figure_name(i, name);
        html_write_figure(figure, &out);
        r = out.failed ? error_errno(err, ENOMEM, "writing '%s'", name)
                       : file_replace(dir_fd, name, buffer_text(&out), out.length, err);
    }
    return r;
}

static int write_report(struct store *store, const json_t *result, int dir_fd, struct error *err)
{
    struct document *document = NULL;
    int r = story_write(store, result, &document, err);
    if (r == 0)
        r = write_document(dir_fd, "report.md", document, markdown_write, err);
    if (r == 0)
        r = write_document(dir_fd, "report.html", document, html_write, err);
    if (r == 0)
        r = write_figures(dir_fd, document, err);
    document_free(document);
    return r;
}

static int write_files(struct store *store, const json_t *result, int dir_fd, struct error *err)
{
    int r = write_stream(dir_fd, "result.json", err, produce_result, result);
    if (r == 0)
        r = write_stream(dir_fd, "events.ndjson", err, produce_events, store);
    if (r == 0)
        r = write_stream(dir_fd, CONFIGURATION_FILE, err, produce_configuration, store);
    return r < 0 ? r : write_report(store, result, dir_fd, err);
}

/* "report.md", "figure-01.svg": what this file writes, from the evidence. */
static bool is_made_here(const char *name)
{
    static const char *const names[] = {"result.json", "events.ndjson", CONFIGURATION_FILE,
                                        "report.md", "report.html"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return fnmatch("figure-*.svg", name, FNM_PATHNAME) == 0;
}

int report_write_all(struct store *store, const char *directory, json_t **ret_result,
                     struct error *err)
{
    CLEANUP(early_cleanup) struct manifest_early *early = NULL;
    CLEANUP(result_cleanup) json_t *result = NULL;
    AUTO_CLOSE int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "opening '%s'", directory);
    /* Before the checksums: the file's bytes must not change any more. A reader that is in the way
     * (busy) does no harm, all content is in the file by then. */
    int r = store_seal(store, err);
    if (r == 0 || r == -EBUSY)
        r = manifest_begin(directory, STORE_FILE, &early, err);
    if (r == 0)
        r = report_result(store, &result, err);
    if (r == 0)
        r = write_files(store, result, dir_fd, err);
    if (r == 0)
        r = manifest_write(directory, early, is_made_here, err);
    if (r == 0 && ret_result)
        *ret_result = steal_ptr(&result);
    return r;
}
