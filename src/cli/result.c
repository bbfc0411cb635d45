/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/result.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RESULT_MAX_BYTES (64 << 20)
#define SCHEMA           "oomlab.result/1"

int result_load(const struct run_directory *run, json_t **ret, struct error *err)
{
    AUTO_BUFFER text = {0};
    AUTO_CLOSE int directory = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(err, errno, "opening '%s'", run->path);
    int r = file_read_all(directory, "result.json", RESULT_MAX_BYTES, &text, err);
    if (r == -ENOENT)
        return error_usage(err, "the run '%s' has no result: it %s", run->id,
                           run_directory_busy(run) ? "is still going on"
                                                   : "ended early ('oomlab report' makes one from "
                                                     "what was recorded)");
    if (r < 0)
        return error_wrap(err, "the run '%s'", run->id);
    json_error_t fault;
    CLEANUP(json_cleanup) json_t *json = json_loadb(buffer_text(&text), text.length, 0, &fault);
    const char *schema = json_string_value(json_object_get(json, "schema"));
    if (!json)
        return error_usage(err, "%s/result.json:%d:%d: %s", run->path, fault.line, fault.column,
                           fault.text);
    if (!schema || strcmp(schema, SCHEMA) != 0)
        return error_usage(err, "%s/result.json: its schema is '%.40s', not '%s'", run->path,
                           schema ? schema : "missing", SCHEMA);
    *ret = steal_ptr(&json);
    return 0;
}

int json_print(json_t *json, FILE *out, struct error *err)
{
    if (!json)
        return error_errno(err, ENOMEM, "printing JSON");
    /* A failed write shows when standard output is flushed. */
    json_dumpf(json, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    fputc('\n', out);
    json_decref(json);
    return 0;
}
