/* SPDX-License-Identifier: Apache-2.0 */
/* Lifecycle events as lines of JSON with Azure's fields. */
#include "report/report.h"
#include "report/result.h"

#include <errno.h>

static json_t *event_json(const struct rows *rows, const struct run_clock *clock)
{
    bool failed = false;
    json_t *event = json_object();
    result_set(event, "TimeStamp", run_clock_json(clock, row_integer(rows, 0)), &failed);
    result_set(event, "Type", row_json_text(rows, 1), &failed);
    result_set(event, "ContainerAppName", row_json_text(rows, 2), &failed);
    result_set(event, "RevisionName", row_json_text(rows, 3), &failed);
    result_set(event, "ReplicaName", row_json_text(rows, 4), &failed);
    result_set(event, "Msg", row_json_text(rows, 5), &failed);
    result_set(event, "Reason", row_json_text(rows, 6), &failed);
    result_set(event, "EventSource", row_json_text(rows, 7), &failed);
    result_set(event, "Count", row_json_integer(rows, 8), &failed);
    if (!row_is_null(rows, 9))
        result_set(event, "oomlab", row_json_object(rows, 9), &failed);
    if (!failed)
        return event;
    json_decref(event);
    return NULL;
}

int report_events(struct store *store, FILE *out, struct error *err)
{
    struct run_clock clock = {0};
    AUTO_ROWS rows = {0};
    int r = run_clock_read(store, &clock, err);
    if (r == 0)
        r = rows_query(
            &rows, store,
            "SELECT at_ns, type, app, revision, replica, msg, reason, event_source, count,"
            " oomlab FROM event ORDER BY id",
            0, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        json_t *event = event_json(&rows, &clock);
        int written = event ? json_dumpf(event, out, JSON_COMPACT | JSON_REAL_PRECISION(12)) : -1;
        json_decref(event);
        if (written < 0 || fputc('\n', out) == EOF)
            return error_errno(err, EIO, "writing the events");
    }
    return r;
}
