/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_failure.h"

#include "base/cleanup.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVIDENCE_FILE "evidence.db"

static void store_cleanup(struct store **store)
{
    store_close(*store);
}

static bool was_removed(const struct run_directory *run)
{
    struct stat status;
    if (fstat(run->lock_fd, &status) == 0 && status.st_nlink == 0)
        return true;
    return access(run->path, F_OK) < 0 && errno == ENOENT;
}

/* A file without the marks of a run's beginning holds nothing worth keeping; one that cannot be
 * read is kept. */
static bool has_measured(const struct run_directory *run)
{
    CLEANUP(store_cleanup) struct store *store = NULL;
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    struct error ignored = {0};
    if (faccessat(run->lock_fd, EVIDENCE_FILE, F_OK, 0) < 0 && errno == ENOENT)
        return false;
    if (store_open(run->path, &store, &ignored) < 0 ||
        store_prepare(store, "SELECT 1 FROM request LIMIT 1", &row, &ignored) < 0)
        return true;
    return sqlite3_step(row) != SQLITE_DONE;
}

/* "A: B: command not found: 'x'; searched PATH=P" becomes "x: command not found in PATH (P); A: B":
 * what helps comes first. Other errors stay as they are. */
static void put_command_first(struct error *err)
{
    static const char before[] = ": command not found: '";
    static const char between[] = "'; searched PATH=";
    char whole[ERROR_TEXT_BYTES];
    snprintf(whole, sizeof(whole), "%s", err->text);
    char *name = strstr(whole, before);
    char *path = name ? strstr(name, between) : NULL;
    if (!path)
        return;
    *name = *path = '\0';
    snprintf(err->text, sizeof(err->text), "%.120s: command not found in PATH (%.400s); %.200s",
             name + strlen(before), path + strlen(between), whole);
}

int run_failure(const struct run_directory *run, struct error *err)
{
    if (was_removed(run))
        return error_set(err, ENOENT, "the run's directory '%s' was removed while it ran",
                         run->path);
    bool never_began = err->kind == ERROR_USAGE || err->kind == ERROR_UNAVAILABLE;
    if (!never_began || has_measured(run))
        return error_wrap(err, "the run in '%s'", run->path);
    run_directory_discard(run);
    put_command_first(err);
    return err->code;
}
