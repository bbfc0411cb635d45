/* SPDX-License-Identifier: Apache-2.0 */
/* The finished runs of the state directory, and their reports. What is shown of a run is the run's
 * own word: its names, sizes and links are not trusted.
 *
 * A browser cannot be told to send the token with a frame. A report is therefore shown by a ticket:
 * who has the token gets one for one report, and it is good once, for a minute. */
#include "api/resources.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "store/run_id.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNS_PAGE    20
#define RESULT_MAX   ((size_t)8 << 20)
#define REPORT_MAX   ((off_t)256 << 20)
#define TICKETS_MAX  16
#define TICKET_TTL   (60 * NS_PER_S)
#define TICKET_CHARS 64

/* A report needs styles of its own and pictures within it, and nothing else: no script runs in it,
 * whatever stands there. */
static const char REPORT_POLICY[] = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
                                    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
                                    "sandbox";

struct run_ticket {
    char secret[TICKET_CHARS + 1];
    char run[RUN_ID_MAX];
    int64_t until_ns; /* monotonic; 0: not in use */
};

struct run_tickets {
    struct run_ticket list[TICKETS_MAX];
    unsigned next; /* the oldest one */
};

/* --- files ------------------------------------------------------------------------------------ */

static int open_run(const struct serve *serve, const char *id)
{
    AUTO_CLOSE int runs = open(serve->options->runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return runs < 0 ? -1 : openat(runs, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A regular file of the run, not what a link leads to; -1. */
static int open_file(int run, const char *name, off_t most, off_t *ret_size)
{
    AUTO_CLOSE int fd = openat(run, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > most)
        return -1;
    *ret_size = status.st_size;
    return steal_fd(&fd);
}

static json_t *load_result(int run)
{
    off_t size = 0;
    AUTO_CLOSE int fd = open_file(run, "result.json", (off_t)RESULT_MAX, &size);
    AUTO_FREE char *text = fd >= 0 ? malloc((size_t)size + 1) : NULL;
    ssize_t length = text ? pread(fd, text, (size_t)size, 0) : -1;
    return length > 0 ? json_loadb(text, (size_t)length, 0, NULL) : NULL;
}

/* --- the list -----------------------------------------------------------------------------------
 */

static json_t *verdict_json(const json_t *result)
{
    const json_t *verdict = json_object_get(result, "verdict");
    if (!json_is_object(verdict))
        return json_null();
    return json_pack("{s:O?, s:O?, s:O?}", "class", json_object_get(verdict, "class"), "level",
                     json_object_get(verdict, "level"), "summary",
                     json_object_get(verdict, "summary"));
}

static json_t *run_json(const struct serve *serve, const char *id)
{
    AUTO_CLOSE int run = open_run(serve, id);
    off_t size = 0;
    if (run < 0)
        return NULL;
    bool busy = flock(run, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    json_t *result = busy ? NULL : load_result(run);
    AUTO_CLOSE int report = busy ? -1 : open_file(run, "report.html", REPORT_MAX, &size);
    const json_t *facts = json_object_get(result, "run");
    json_t *row = json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:b, s:o}", "id", id, "state",
                            busy     ? "running"
                            : result ? "complete"
                                     : "incomplete",
                            "lab", json_object_get(facts, "lab"), "startedAt",
                            json_object_get(facts, "started_at"), "durationSeconds",
                            json_object_get(facts, "duration_s"), "hasReport", report >= 0,
                            "verdict", verdict_json(result));
    json_decref(result);
    return row;
}

static int is_run(const struct dirent *entry)
{
    return run_id_is_valid(entry->d_name);
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

/* Oldest of the page, or NULL when no older ones are left. */
static const char *collect(const struct serve *serve, struct dirent **entries, int count,
                           const char *before, json_t *list)
{
    const char *last = NULL;
    for (int i = 0; i < count; i++) {
        if (before && strcmp(entries[i]->d_name, before) >= 0)
            continue;
        if (json_array_size(list) == RUNS_PAGE)
            return last;
        json_t *row = run_json(serve, entries[i]->d_name);
        if (row)
            json_array_append_new(list, row);
        last = entries[i]->d_name;
    }
    return NULL;
}

void runs_list(struct request *request, struct reply *reply)
{
    const struct serve *serve = request->serve;
    struct dirent **entries = NULL;
    int count =
        serve->options->runs[0] ? scandir(serve->options->runs, &entries, is_run, newest_first) : 0;
    if (count < 0 && errno != ENOENT) {
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError",
                    "reading '%s': %s", serve->options->runs, strerrordesc_np(errno));
        return;
    }
    json_t *list = json_array();
    const char *next = collect(serve, entries, count, request_query(request, "before"), list);
    reply_json(reply, MHD_HTTP_OK, json_pack("{s:o, s:s?}", "value", list, "next", next));
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

/* --- reports -------------------------------------------------------------------------------------
 */

static int open_report(const struct serve *serve, const char *id, off_t *ret_size)
{
    AUTO_CLOSE int run = run_id_is_valid(id) ? open_run(serve, id) : -1;
    return run < 0 ? -1 : open_file(run, "report.html", REPORT_MAX, ret_size);
}

static void reply_no_report(struct reply *reply, const char *id)
{
    reply_error(reply, MHD_HTTP_NOT_FOUND, "ReportNotFound",
                "There is no run '%.80s' with a report; 'oomlab report' makes one.", id);
}

static void send_report(struct request *request, const char *id, struct reply *reply)
{
    off_t size = 0;
    AUTO_CLOSE int fd = open_report(request->serve, id, &size);
    if (fd < 0) {
        reply_no_report(reply, id);
        return;
    }
    reply->response = MHD_create_response_from_fd64((uint64_t)size, fd);
    if (!reply->response) {
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "out of memory");
        return;
    }
    steal_fd(&fd);
    reply_header(reply, "Content-Security-Policy", "%s", REPORT_POLICY);
    reply_header(reply, "Referrer-Policy", "no-referrer");
    reply->type = "text/html; charset=utf-8";
    reply->status = MHD_HTTP_OK;
}

void run_report_get(struct request *request, struct reply *reply)
{
    send_report(request, request->params[0], reply);
}

/* The oldest ticket gives its place up. */
static struct run_ticket *new_ticket(struct serve *serve)
{
    unsigned char bytes[TICKET_CHARS / 2];
    if (!serve->tickets)
        serve->tickets = calloc(1, sizeof(*serve->tickets));
    if (!serve->tickets || getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return NULL;
    struct run_ticket *ticket = &serve->tickets->list[serve->tickets->next++ % TICKETS_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(ticket->secret + 2 * i, 3, "%02x", bytes[i]);
    ticket->until_ns = clock_monotonic_ns() + TICKET_TTL;
    return ticket;
}

void run_ticket_post(struct request *request, struct reply *reply)
{
    off_t size = 0;
    const char *id = request->params[0];
    AUTO_CLOSE int fd = open_report(request->serve, id, &size);
    struct run_ticket *ticket = fd < 0 ? NULL : new_ticket(request->serve);
    if (fd < 0) {
        reply_no_report(reply, id);
    } else if (!ticket) {
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "no ticket");
    } else {
        char path[TICKET_CHARS + 32];
        snprintf(ticket->run, sizeof(ticket->run), "%s", id);
        snprintf(path, sizeof(path), "/oomlab/reports/%s", ticket->secret);
        reply_json(reply, MHD_HTTP_CREATED, json_pack("{s:s}", "path", path));
    }
}

void run_ticket_get(struct request *request, struct reply *reply)
{
    struct run_tickets *tickets = request->serve->tickets;
    for (size_t i = 0; tickets && i < TICKETS_MAX; i++) {
        struct run_ticket *ticket = &tickets->list[i];
        if (ticket->until_ns < clock_monotonic_ns() ||
            !secret_equal(ticket->secret, request->params[0]))
            continue;
        ticket->until_ns = 0;
        send_report(request, ticket->run, reply);
        return;
    }
    reply_error(reply, MHD_HTTP_NOT_FOUND, "TicketNotFound",
                "The ticket has been used, or a minute is over: open the report again.");
}
