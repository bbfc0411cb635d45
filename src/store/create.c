/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a fresh evidence file. It appears under its name only when it is complete, so that whoever
 * finds one can open it, whatever happened to its maker. */
#include "base/cleanup.h"
#include "base/metrics.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STORE_METRIC_COLUMN(id, name, source) "  , \"" name "\" INTEGER -- " source "\n"
#include "schema.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

static int write_schema(sqlite3 *db)
{
    int r = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db, STORE_SCHEMA, NULL, NULL, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(db,
                         "PRAGMA application_id = " STRINGIFY(
                             STORE_APPLICATION_ID) ";"
                                                   "PRAGMA user_version = " STRINGIFY(
                                                       STORE_SCHEMA_VERSION) ";"
                                                                             "COMMIT",
                         NULL, NULL, NULL);
    return r;
}

static int make_temporary(const char *temporary, struct error *err)
{
    sqlite3 *db = NULL;
    int r = sqlite3_open_v2(temporary, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (r == SQLITE_OK)
        r = write_schema(db);
    int result = 0;
    if (r != SQLITE_OK)
        result = error_set(err, (r & 0xff) == SQLITE_FULL ? ENOSPC : EIO,
                           "creating the evidence file '%s': %s", temporary, sqlite3_errmsg(db));
    sqlite3_close(db);
    return result;
}

static int sync_directory(const char *directory, struct error *err)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, errno, "making '%s' durable", directory);
    return 0;
}

int store_create_file(const char *directory, const char *path, struct error *err)
{
    AUTO_FREE char *temporary = NULL;
    if (asprintf(&temporary, "%s.new%d", path, getpid()) < 0)
        return error_errno(err, ENOMEM, "creating '%s'", path);
    if (access(path, F_OK) == 0)
        return error_errno(err, EEXIST, "creating the evidence file '%s'", path);
    int r = make_temporary(temporary, err);
    /* link() and not rename(): it never replaces what somebody else made in the meantime. */
    if (r == 0 && link(temporary, path) < 0)
        r = error_errno(err, errno, "creating the evidence file '%s'", path);
    unlink(temporary);
    return r < 0 ? r : sync_directory(directory, err);
}
