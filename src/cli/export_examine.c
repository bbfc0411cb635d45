/* SPDX-License-Identifier: Apache-2.0 */
/* A run that was killed or is damaged is worth handing over too, but not without a word. */
#include "cli/export_examine.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/result.h"
#include "report/manifest.h"
#include "store/store.h"

#include <string.h>

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

/* Opening it also takes in the log that a killed run left beside it. True: its rows can be read. */
static bool check_evidence(const struct run_directory *run)
{
    CLEANUP(store_cleanup) struct store *store = NULL;
    CLEANUP(store_statement_done) sqlite3_stmt *check = NULL;
    struct error err = {0};
    int r = store_open(run->path, &store, &err);
    if (r == 0)
        r = store_prepare(store, "PRAGMA quick_check(1)", &check, &err);
    if (r < 0) {
        log_warning("the database cannot be read: %s", err.text);
        return false;
    }
    const char *said = NULL;
    if (sqlite3_step(check) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(check, 0);
    if (said && strcmp(said, "ok") == 0)
        return true;
    log_warning("the database " STORE_FILE " is damaged: %.200s",
                said ? said : "it cannot be read");
    return false;
}

static bool warn_of_missing(const struct file_list *files)
{
    static const char *const wanted[] = {STORE_FILE, "result.json", "report.html", "report.md",
                                         "events.ndjson"};
    AUTO_BUFFER missing = {0};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!file_list_has(files, wanted[i]))
            buffer_printf(&missing, "%s%s", missing.length ? ", " : "", wanted[i]);
    }
    if (missing.length > 0)
        log_warning("the run was not finished or is damaged; the archive lacks: %s",
                    buffer_text(&missing));
    return missing.length > 0;
}

/* Its own manifest goes along as it is: a new one would vouch for what was changed since. */
static void warn_of_altered(const struct run_directory *run)
{
    CLEANUP(json_cleanup) json_t *differ = NULL;
    struct error err = {0};
    bool found = false;
    size_t files = 0;
    size_t index;
    json_t *item;
    if (manifest_verify(run->path, &found, &files, &differ, &err) < 0) {
        log_warning("the manifest cannot be compared: %s", err.text);
        return;
    }
    json_array_foreach(differ, index, item)
        log_warning("%s since the run ended, which --verify will say, too: %s",
                    json_string_value(json_object_get(item, "how")),
                    json_string_value(json_object_get(item, "name")));
}

int export_examine(const struct run_directory *run, struct file_list *ret, struct error *err)
{
    int r = file_list_read(run->path, ret, err);
    if (r < 0)
        return r;
    if (ret->count == 0)
        return error_usage(err, "'%s' is empty: nothing was recorded that could be handed over",
                           run->path);
    bool readable = file_list_has(ret, STORE_FILE) && check_evidence(run);
    bool missing = warn_of_missing(ret);
    if (missing && readable)
        log_warning("'oomlab report %s' writes what can still be said from " STORE_FILE, run->path);
    if (file_list_has(ret, MANIFEST_FILE))
        warn_of_altered(run);
    else
        log_warning("the run has no " MANIFEST_FILE "; the archive gets one of what is in it");
    /* The database's log may be gone now. */
    file_list_done(ret);
    return file_list_read(run->path, ret, err);
}
