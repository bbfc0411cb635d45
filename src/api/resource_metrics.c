/* SPDX-License-Identifier: Apache-2.0 */
/* Microsoft.Insights/metrics: Azure's names, units, aggregations and dimensions. A time without
 * data has no value, not zero. */
#include "api/metrics_query.h"
#include "api/resources.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct metric_kind {
    const char *name, *unit, *aggregation, *text;
};

static const struct metric_kind KINDS[] = {
    {"WorkingSetBytes", "Bytes", "Average", "Memory Working Set Bytes"},
    {"MemoryPercentage", "Percent", "Average", "Memory Percentage"},
    {"UsageNanoCores", "NanoCores", "Average", "CPU Usage"},
    {"RestartCount", "Count", "Maximum", "Replica Restart Count"},
    {"Replicas", "Count", "Maximum", "Replica Count"},
    {"Requests", "Count", "Total", "Requests"},
};
#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

static const struct metric_kind *kind_of(const char *name, size_t length)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strlen(KINDS[i].name) == length && strncasecmp(KINDS[i].name, name, length) == 0)
            return &KINDS[i];
    }
    return NULL;
}

/* --- series --------------------------------------------------------------------------------- */

struct point {
    int64_t count;
    double sum, min, max;
};

/* Of a point that has a value. */
static double value_of(const struct point *point, const char *aggregation)
{
    switch (aggregation[0]) {
    case 'a':
        return point->sum / (double)point->count;
    case 't':
        return point->sum;
    case 'c':
        return (double)point->count;
    default:
        return strcmp(aggregation, "minimum") == 0 ? point->min : point->max;
    }
}

static void put_values(json_t *object, const char *aggregations, const struct point *point)
{
    for (const char *const *name = METRIC_AGGREGATIONS; *name; name++) {
        if (strcasestr(aggregations, *name))
            json_object_set_new(object, *name, json_real(value_of(point, *name)));
    }
}

static json_t *points_json(const struct metric_query *query, const struct point *points,
                           size_t count, const char *aggregations)
{
    json_t *data = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[ISO8601_TEXT_MAX];
        iso8601_format_time((query->start + (int64_t)i * query->step) * 60, text);
        json_t *object = json_pack("{s:s}", "timeStamp", text);
        if (points[i].count > 0)
            put_values(object, aggregations, &points[i]);
        json_array_append_new(data, object);
    }
    return data;
}

static json_t *labels_json(const struct metric_query *query, const char *revision,
                           const char *replica)
{
    json_t *labels = json_array();
    if (query->by_revision)
        json_array_append_new(labels,
                              json_pack("{s:{s:s, s:s}, s:s}", "name", "value", "revisionName",
                                        "localizedValue", "revisionName", "value", revision));
    if (query->by_replica)
        json_array_append_new(labels, json_pack("{s:{s:s, s:s}, s:s}", "name", "value", "podName",
                                                "localizedValue", "podName", "value", replica));
    return labels;
}

struct series {
    const struct metric_query *query;
    const char *aggregations;
    struct point *points;
    double *keys; /* by which those in the list are sorted: series_max + 1 */
    size_t count;
    json_t *list;
    char revision[200], replica[200];
    bool open;
};

/* The series's points taken together. */
static double sort_key(const struct series *series)
{
    struct point all = {0};
    for (size_t i = 0; i < series->count; i++) {
        const struct point *p = &series->points[i];
        if (p->count == 0)
            continue;
        all.min = all.count == 0 || p->min < all.min ? p->min : all.min;
        all.max = all.count == 0 || p->max > all.max ? p->max : all.max;
        all.count += p->count;
        all.sum += p->sum;
    }
    double value = all.count > 0 ? value_of(&all, series->query->order) : 0;
    return series->query->descending ? -value : value;
}

/* Where it belongs among those that are there; behind its equals. */
static size_t take_place(struct series *series)
{
    size_t used = json_array_size(series->list);
    size_t at = used;
    if (!series->query->order)
        return at;
    double key = sort_key(series);
    for (; at > 0 && key < series->keys[at - 1]; at--)
        series->keys[at] = series->keys[at - 1];
    series->keys[at] = key;
    return at;
}

static json_t *series_json(const struct series *series)
{
    json_t *object = json_pack("{s:o}", "metadatavalues",
                               labels_json(series->query, series->revision, series->replica));
    if (!series->query->metadata)
        json_object_set_new(
            object, "data",
            points_json(series->query, series->points, series->count, series->aggregations));
    return object;
}

static void close_series(struct series *series)
{
    if (!series->open)
        return;
    series->open = false;
    size_t most = series->query->series_max;
    size_t at = take_place(series);
    if (at < most)
        json_array_insert_new(series->list, at, series_json(series));
    if (json_array_size(series->list) > most)
        json_array_remove(series->list, most);
    memset(series->points, 0, series->count * sizeof(*series->points));
}

/* Columns: revision, replica, minute, count, sum, min, max; sorted by the first two. */
static void take_row(struct series *series, sqlite3_stmt *row)
{
    const char *revision = (const char *)sqlite3_column_text(row, 0);
    const char *replica = (const char *)sqlite3_column_text(row, 1);
    if (series->open &&
        (strcmp(series->revision, revision) != 0 || strcmp(series->replica, replica) != 0))
        close_series(series);
    series->open = true;
    snprintf(series->revision, sizeof(series->revision), "%s", revision);
    snprintf(series->replica, sizeof(series->replica), "%s", replica);
    size_t at =
        (size_t)((sqlite3_column_int64(row, 2) - series->query->start) / series->query->step);
    if (at >= series->count)
        return;
    struct point *point = &series->points[at];
    double min = sqlite3_column_double(row, 5);
    double max = sqlite3_column_double(row, 6);
    point->min = point->count == 0 || min < point->min ? min : point->min;
    point->max = point->count == 0 || max > point->max ? max : point->max;
    point->count += sqlite3_column_int64(row, 3);
    point->sum += sqlite3_column_double(row, 4);
}

static int read_series(struct app *app, const struct metric_kind *kind, struct series *series,
                       struct error *err)
{
    const struct metric_query *query = series->query;
    sqlite3_stmt *rows = NULL;
    /* One series: its rows may come in any order. */
    static const char one[] =
        "SELECT '', '', minute, count, sum, min, max FROM metric WHERE app_id = ?1 AND name = ?2 "
        "AND minute >= ?3 AND minute < ?4 AND (?5 = '' OR revision = ?5) AND (?8 = '' OR replica = "
        "?8)";
    static const char split[] =
        "SELECT iif(?6, revision, '') AS r, iif(?7, replica, '') AS p, minute, sum(count), "
        "sum(sum), min(min), max(max) FROM metric WHERE app_id = ?1 AND name = ?2 AND minute >= "
        "?3 AND minute < ?4 AND (?5 = '' OR revision = ?5) AND (?8 = '' OR replica = ?8) GROUP BY "
        "r, p, minute ORDER BY r, p, minute";
    bool by_any = query->by_revision || query->by_replica;
    int r =
        by_any ? state_query(app->serve->state, &rows, err, split, "isiisiis", app->id, kind->name,
                             query->start, query->end, query->revision, (int64_t)query->by_revision,
                             (int64_t)query->by_replica, query->replica)
               : state_query(app->serve->state, &rows, err, one, "isiisiis", app->id, kind->name,
                             query->start, query->end, query->revision, (int64_t)0, (int64_t)0,
                             query->replica);
    if (r < 0)
        return r;
    *err = (struct error){0};
    while (state_step(app->serve->state, rows, err))
        take_row(series, rows);
    sqlite3_finalize(rows);
    return err->code;
}

static json_t *metric_json(struct request *request, struct app *app, const struct metric_kind *kind,
                           const struct metric_query *query, struct error *err)
{
    char id[ID_MAX];
    char own[ID_MAX + 100];
    const char *aggregations = request_query(request, "aggregation");
    struct series series = {
        .query = query,
        .aggregations = aggregations ? aggregations : kind->aggregation,
        .count = query->count,
        .list = json_array(),
    };
    AUTO_FREE struct point *points = calloc(series.count, sizeof(*points));
    AUTO_FREE double *keys = calloc(query->series_max + 1, sizeof(*keys));
    series.points = points;
    series.keys = keys;
    if (!points || !keys || read_series(app, kind, &series, err) < 0) {
        json_decref(series.list);
        return NULL;
    }
    /* Azure answers one series even when there is nothing in it, unless it was asked to split. */
    if (!query->by_revision && !query->by_replica)
        series.open = true;
    close_series(&series);
    app_id(app, id);
    snprintf(own, sizeof(own), "%s/providers/Microsoft.Insights/metrics/%s", id, kind->name);
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:o, s:s}", "id", own, "type",
                     "Microsoft.Insights/metrics", "name", "value", kind->name, "localizedValue",
                     kind->text, "unit", kind->unit, "displayDescription", kind->text, "timeseries",
                     series.list, "errorCode", "Success");
}

static json_t *collect(struct request *request, struct app *app, const struct metric_query *query,
                       struct reply *reply)
{
    struct error err = {0};
    const char *names = request_query(request, "metricnames");
    json_t *list = json_array();
    if (!names || names[0] == '\0')
        names = KINDS[0].name;
    while (*names) {
        size_t length = strcspn(names, ",");
        const struct metric_kind *kind = kind_of(names, length);
        json_t *metric = kind ? metric_json(request, app, kind, query, &err) : NULL;
        if (!metric) {
            json_decref(list);
            if (kind)
                reply_failure(reply, "InternalServerError", &err);
            else
                reply_error(reply, MHD_HTTP_BAD_REQUEST, "BadRequest",
                            "Failed to find metric configuration for provider: Microsoft.App, "
                            "resource Type: containerApps, metric: %.*s, Valid metrics: "
                            "WorkingSetBytes,MemoryPercentage,UsageNanoCores,RestartCount,"
                            "Replicas,Requests",
                            (int)(length < 60 ? length : 60), names);
            return NULL;
        }
        json_array_append_new(list, metric);
        names += length;
        names += *names == ',';
    }
    return list;
}

void metrics_get(struct request *request, struct reply *reply)
{
    struct metric_query query;
    struct app *app = require_app(request, reply);
    if (!app || !metric_query_parse(request, &query, reply))
        return;
    json_t *list = collect(request, app, &query, reply);
    if (!list)
        return;
    reply_json(reply, MHD_HTTP_OK,
               json_pack("{s:i, s:s, s:s, s:o, s:s, s:s}", "cost", 0, "timespan", query.timespan,
                         "interval", query.interval, "value", list, "namespace",
                         "Microsoft.App/containerapps", "resourceregion", "local"));
}

void metric_definitions_get(struct request *request, struct reply *reply)
{
    struct app *app = require_app(request, reply);
    char id[ID_MAX];
    if (!app)
        return;
    app_id(app, id);
    json_t *list = json_array();
    for (size_t i = 0; i < KIND_COUNT; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:[s,s,s,s,s]}",
                                              "resourceId", id, "namespace",
                                              "Microsoft.App/containerapps", "name", "value",
                                              KINDS[i].name, "localizedValue", KINDS[i].text,
                                              "unit", KINDS[i].unit, "primaryAggregationType",
                                              KINDS[i].aggregation, "supportedAggregationTypes",
                                              "Total", "Average", "Maximum", "Minimum", "Count"));
    reply_json(reply, MHD_HTTP_OK, json_pack("{s:o}", "value", list));
}
