/* SPDX-License-Identifier: Apache-2.0 */
/* GET .../containerApps/{app}/oomlab/logs?type=system|console&tail=N&after=CURSOR, and
 * revision, replica and container, which must be there: rows in their
 * order, and the cursor after which the next ones come. */
#include "api/resources.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define TAIL_DEFAULT  20
#define TAIL_MAX      300 /* as az */
#define FOLLOW_ROWS   5000
#define CONSOLE_CHUNK ((off_t)1 << 20)

struct log_query {
    const char *revision, *replica, *container;
    int64_t tail, after;
};

static int64_t number(const char *text, int64_t fallback)
{
    char *end = NULL;
    long long value = text ? strtoll(text, &end, 10) : 0;
    return text && *end == '\0' && value >= 0 ? value : fallback;
}

static void put_text(json_t *row, const char *key, sqlite3_stmt *rows, int column)
{
    const char *text = (const char *)sqlite3_column_text(rows, column);
    json_object_set_new(row, key, text ? json_string(text) : json_null());
}

json_t *event_json(sqlite3_stmt *rows)
{
    static const char *const keys[] = {"Type", "ContainerAppName", "RevisionName", "ReplicaName",
                                       "Msg",  "Reason",           "EventSource"};
    char time[TIMESTAMP_TEXT_MAX];
    json_t *row = json_object();
    json_object_set_new(row, "TimeStamp",
                        json_string(timestamp_format(sqlite3_column_int64(rows, 1), time)));
    for (int i = 0; i < 7; i++)
        put_text(row, keys[i], rows, 2 + i);
    json_object_set_new(row, "Count", json_integer(sqlite3_column_int64(rows, 9)));
    const char *own = (const char *)sqlite3_column_text(rows, 10);
    json_t *json = own ? json_loads(own, 0, NULL) : NULL;
    if (json)
        json_object_set_new(row, "oomlab", json);
    return row;
}

/* The newest row of the app: where to go on from when none was shown. */
static int64_t newest_event(struct app *app, struct error *err)
{
    sqlite3_stmt *rows = NULL;
    int64_t newest = 0;
    int r = state_query(app->serve->state, &rows, err,
                        "SELECT coalesce(max(id), 0) FROM event WHERE app_id = ?", "i", app->id);
    if (r == 0 && state_step(app->serve->state, rows, err))
        newest = sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    return newest;
}

/* The last `tail` rows, or, after a cursor, all that follow. */
static void system_logs(struct app *app, const struct log_query *query, struct reply *reply)
{
    struct error err = {0};
    sqlite3_stmt *rows = NULL;
    int64_t next = query->after > 0 ? query->after : 0;
    json_t *list = json_array();
    pump_run(app->serve, &err);
    err = (struct error){0};
    int r = state_query(app->serve->state, &rows, &err,
                        "SELECT * FROM (SELECT id, at_ns, type, app, revision, replica, msg, "
                        "reason, source, count, oomlab FROM event WHERE app_id = ? AND id > ? AND "
                        "(?3 IS NULL OR revision = ?3) AND (?4 IS NULL OR replica = ?4) ORDER BY "
                        "id DESC LIMIT ?5) ORDER BY id",
                        "iissi", app->id, next, query->revision, query->replica,
                        query->after >= 0 ? (int64_t)FOLLOW_ROWS : query->tail);
    while (r == 0 && state_step(app->serve->state, rows, &err)) {
        next = sqlite3_column_int64(rows, 0);
        json_array_append_new(list, event_json(rows));
    }
    sqlite3_finalize(rows);
    if (r == 0 && query->after < 0 && json_array_size(list) == 0)
        next = newest_event(app, &err);
    if (r < 0 || err.code < 0) {
        json_decref(list);
        reply_failure(reply, "InternalServerError", &err);
        return;
    }
    reply_json(reply, MHD_HTTP_OK, json_pack("{s:o, s:I}", "value", list, "next", next));
}

/* --- console -------------------------------------------------------------------------------- */

/* What is no UTF-8, and NUL, which no JSON text of ours can hold, become U+FFFD. */
static json_t *shown_text(const char *text, size_t length)
{
    AUTO_BUFFER out = {0};
    while (length > 0) {
        uint32_t point = 0;
        size_t used =
            utf8_decode(text, &point); /* a line ends in a NUL: nothing behind it is read */
        if (used > 0 && *text != '\0')
            buffer_append(&out, text, used);
        else
            buffer_puts(&out, "\xef\xbf\xbd");
        used = used > 0 ? used : 1;
        text += used;
        length -= used;
    }
    return out.failed ? NULL : json_string(buffer_text(&out));
}

/* "<time> <stream> F <text>"; the text may have NULs in it. */
static void put_line(json_t *list, char *line, size_t length)
{
    char *stream = strchr(line, ' ');
    char *flag = stream ? strchr(stream + 1, ' ') : NULL;
    char *text = flag ? strchr(flag + 1, ' ') : NULL;
    if (!text)
        return;
    *stream++ = *flag++ = *text++ = '\0';
    json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "TimeStamp", line, "Stream", stream,
                                          "Log", shown_text(text, length - (size_t)(text - line))));
}

/* Lines of the file from `from` on; `ret_end` is behind the last whole one. */
static int read_lines(const char *path, off_t from, bool partial, json_t *list, off_t *ret_end,
                      struct error *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "reading '%s'", path);
    AUTO_FREE char *text = malloc((size_t)CONSOLE_CHUNK + 1);
    ssize_t length = text ? pread(fd, text, (size_t)CONSOLE_CHUNK, from) : -1;
    if (length < 0)
        return error_errno(err, errno, "reading '%s'", path);
    *ret_end = from;
    char *at = text;
    for (char *end; (end = memchr(at, '\n', (size_t)(text + length - at))); at = end + 1) {
        *end = '\0';
        if (!partial)
            put_line(list, at, (size_t)(end - at));
        partial = false; /* the first one had been cut */
        *ret_end = from + (end + 1 - text);
    }
    return 0;
}

static off_t file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_size : 0;
}

static bool refuse(struct reply *reply, const char *code, const char *what, const char *name)
{
    reply_error(reply, MHD_HTTP_NOT_FOUND, code, "Could not find %s '%.150s' of this app", what,
                name);
    return false;
}

/* What is named must be there, as az asks before it reads a log. Replicas whose system log is read
 * may be gone. */
static bool check_names(struct app *app, const struct log_query *query, bool console,
                        struct reply *reply)
{
    struct app_revision *revision = query->revision ? revision_find(app, query->revision) : NULL;
    if (query->revision && !revision)
        return refuse(reply, "RevisionNotFound", "revision", query->revision);
    if (!console)
        return true;
    if (!revision)
        revision = revision_latest(app);
    if (query->replica && !(revision && replica_find(revision, query->replica)))
        return refuse(reply, "ReplicaNotFound", "replica", query->replica);
    const json_t *container = revision ? template_container(revision->template) : NULL;
    const char *name = json_string_value(json_object_get(container, "name"));
    if (query->container && strcasecmp(query->container, name ? name : app->name) != 0)
        return refuse(reply, "ContainerNotFound", "container", query->container);
    return true;
}

static struct app_replica *choose(struct app *app, const struct log_query *query)
{
    struct app_revision *revision =
        query->revision ? revision_find(app, query->revision) : revision_latest(app);
    if (!revision)
        return NULL;
    return query->replica ? replica_find(revision, query->replica) : revision->replicas;
}

static void console_logs(struct app *app, const struct log_query *query, struct reply *reply)
{
    struct error err = {0};
    char path[4400];
    const struct app_replica *replica = choose(app, query);
    if (!replica) {
        reply_error(reply, MHD_HTTP_NOT_FOUND, "ReplicaNotFound",
                    "Could not find a replica for this app");
        return;
    }
    snprintf(path, sizeof(path), "%s/console-%s.log", app->serve->directory, replica->name);
    off_t size = file_size(path);
    off_t from = query->after >= 0 ? (off_t)query->after : size - CONSOLE_CHUNK;
    bool cut = query->after < 0 && from > 0;
    json_t *list = json_array();
    off_t end = size;
    if (from < 0)
        from = 0;
    if (read_lines(path, from, cut, list, &end, &err) < 0) {
        json_decref(list);
        reply_failure(reply, "InternalServerError", &err);
        return;
    }
    while (query->after < 0 && json_array_size(list) > (size_t)query->tail)
        json_array_remove(list, 0);
    reply_json(reply, MHD_HTTP_OK,
               json_pack("{s:o, s:I, s:s}", "value", list, "next", (json_int_t)end, "replica",
                         replica->name));
}

void logs_get(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    const char *type = request_query(request, "type");
    if (!app)
        return;
    struct log_query query = {
        .revision = request_query(request, "revision"),
        .replica = request_query(request, "replica"),
        .container = request_query(request, "container"),
        .tail = number(request_query(request, "tail"), TAIL_DEFAULT),
        .after = number(request_query(request, "after"), -1),
    };
    if (query.tail > TAIL_MAX)
        query.tail = TAIL_MAX;
    bool system = type && strcasecmp(type, "system") == 0;
    if (type && !system && strcasecmp(type, "console") != 0)
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidParameter",
                    "type is console or system, not '%.40s'", type);
    else if (check_names(app, &query, !system, reply))
        (system ? system_logs : console_logs)(app, &query, reply);
}
