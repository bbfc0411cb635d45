/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics_query.h"

#include "base/clock.h"
#include "base/duration.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MINUTE_NS      (60 * NS_PER_S)
#define SERIES_DEFAULT 10 /* Azure's default of "top" */
#define SERIES_MAX     1000

/* --- time ----------------------------------------------------------------------------------- */

static void refuse(struct reply *reply, const char *what)
{
    reply_error(reply, MHD_HTTP_BAD_REQUEST, "BadRequest", "%s", what);
}

static bool parse_timespan(const char *timespan, struct metric_query *query)
{
    char start[ISO8601_TEXT_MAX];
    const char *slash = strchr(timespan, '/');
    int64_t start_ns = 0;
    int64_t end_ns = 0;
    bool zoned = false;
    if (!slash || (size_t)(slash - timespan) >= sizeof(start))
        return false;
    snprintf(start, sizeof(start), "%.*s", (int)(slash - timespan), timespan);
    if (iso8601_parse_time(start, &start_ns, &zoned) < 0 ||
        iso8601_parse_time(slash + 1, &end_ns, &zoned) < 0 || end_ns < start_ns)
        return false;
    query->start = start_ns / MINUTE_NS;
    query->end = (end_ns + MINUTE_NS - 1) / MINUTE_NS;
    if (query->end == query->start)
        query->end++;
    iso8601_format_time(start_ns / NS_PER_S, start);
    snprintf(query->timespan, sizeof(query->timespan), "%s/", start);
    iso8601_format_time(end_ns / NS_PER_S, start);
    strcat(query->timespan, start);
    return true;
}

static void last_hour(struct metric_query *query)
{
    char end[ISO8601_TEXT_MAX];
    query->end = clock_realtime_ns() / MINUTE_NS + 1;
    query->start = query->end - 60;
    iso8601_format_time(query->start * 60, end);
    snprintf(query->timespan, sizeof(query->timespan), "%s/", end);
    iso8601_format_time(query->end * 60, end);
    strcat(query->timespan, end);
}

/* Azure's grain of that length, or the nearest one if another will do. NULL: none. */
static const int64_t *find_grain(int64_t ns, bool adjust)
{
    static const int64_t grains[] = {1, 5, 15, 30, 60, 360, 720, 1440};
    const int64_t *best = NULL;
    for (size_t i = 0; i < sizeof(grains) / sizeof(grains[0]); i++) {
        int64_t distance = llabs(ns - grains[i] * MINUTE_NS);
        if (distance == 0 || (adjust && (!best || distance < llabs(ns - *best * MINUTE_NS))))
            best = &grains[i];
    }
    return best;
}

/* "FULL" is one point for the whole time. */
static bool parse_interval(const char *interval, bool adjust, struct metric_query *query)
{
    int64_t ns = 0;
    if (strcasecmp(interval, "FULL") == 0) {
        query->step = query->end - query->start;
        snprintf(query->interval, sizeof(query->interval), "FULL");
        return true;
    }
    const int64_t *grain =
        iso8601_parse_duration(interval, &ns) == 0 ? find_grain(ns, adjust) : NULL;
    if (!grain)
        return false;
    query->step = *grain;
    iso8601_format_duration(*grain * 60, query->interval);
    return true;
}

/* --- filter --------------------------------------------------------------------------------- */

/* One "NAME eq 'VALUE'"; what follows it, or NULL where it is none. '*': a series each. */
static const char *parse_equals(const char *text, struct metric_query *query)
{
    static const char *const NAMES[] = {"revisionName", "podName", "replicaName"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        char value[200];
        int used = 0;
        size_t length = strlen(NAMES[i]);
        if (strncasecmp(text, NAMES[i], length) != 0 ||
            sscanf(text + length, " eq '%199[^']'%n", value, &used) != 1 || used == 0)
            continue;
        bool each = strcmp(value, "*") == 0;
        *(i == 0 ? &query->by_revision : &query->by_replica) |= each;
        if (!each)
            snprintf(i == 0 ? query->revision : query->replica, sizeof(query->revision), "%s",
                     value);
        return text + length + used;
    }
    return NULL;
}

/* Terms with "and" between them: nothing that is not understood is passed over. */
static bool parse_filter(const char *filter, struct metric_query *query)
{
    filter += strspn(filter, " ");
    for (;;) {
        filter = parse_equals(filter, query);
        if (!filter)
            return false;
        filter += strspn(filter, " ");
        if (*filter == '\0')
            return true;
        if (strncasecmp(filter, "and ", 4) != 0)
            return false;
        filter += 4 + strspn(filter + 4, " ");
    }
}

static bool parse_top(const char *top, struct metric_query *query)
{
    char *end = NULL;
    query->series_max = SERIES_DEFAULT;
    if (!top)
        return true;
    unsigned long value = isdigit((unsigned char)top[0]) ? strtoul(top, &end, 10) : 0;
    query->series_max = value < SERIES_MAX ? value : SERIES_MAX;
    return value > 0 && *end == '\0';
}

const char *const METRIC_AGGREGATIONS[] = {"average", "minimum", "maximum", "total", "count", NULL};

/* The one of that name, in any case; NULL: there is none. */
static const char *find_aggregation(const char *name, size_t length)
{
    const char *const *known = METRIC_AGGREGATIONS;
    while (*known && (strlen(*known) != length || strncasecmp(*known, name, length) != 0))
        known++;
    return *known;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

/* "AGGREGATION asc|desc"; the direction may be left out. */
static bool parse_order(const char *order, struct metric_query *query)
{
    if (!order)
        return true;
    size_t length = strcspn(order, " ");
    const char *direction = order + length + strspn(order + length, " ");
    /* Azure's own example says "sum asc". */
    query->order = is_word(order, length, "sum") ? "total" : find_aggregation(order, length);
    query->descending = strcasecmp(direction, "desc") == 0;
    return query->order &&
           (query->descending || *direction == '\0' || strcasecmp(direction, "asc") == 0);
}

/* A list with commas; NULL: each metric's own. */
static bool are_aggregations(const char *list)
{
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if (!find_aggregation(list, length) && !is_word(list, length, "none"))
            return false;
        list += length;
        list += *list == ',';
    }
    return true;
}

static bool parse_result_type(const char *type, struct metric_query *query)
{
    query->metadata = type && strcasecmp(type, "Metadata") == 0;
    return !type || query->metadata || strcasecmp(type, "Data") == 0;
}

/* --- all ------------------------------------------------------------------------------------ */

static size_t count_words(const char *list)
{
    size_t count = 1;
    for (; list && *list; list++)
        count += *list == ',';
    return count;
}

/* How many points the answer may have. */
static bool fits(const struct request *request, struct metric_query *query, struct reply *reply)
{
    bool split = query->by_revision || query->by_replica;
    size_t metrics = count_words(request_query(request, "metricnames"));
    query->count = (size_t)((query->end - query->start + query->step - 1) / query->step);
    if (query->count <= METRIC_POINTS_MAX / metrics / (split ? query->series_max : 1))
        return true;
    reply_error(reply, MHD_HTTP_BAD_REQUEST, "BadRequest",
                "%zu points of %zu metrics%s are more than an answer may have (%d): choose a "
                "longer interval, a shorter timespan or fewer metrics",
                query->count, metrics, split ? ", split by a dimension," : "", METRIC_POINTS_MAX);
    return false;
}

bool metric_query_parse(struct request *request, struct metric_query *ret, struct reply *reply)
{
    const char *timespan = request_query(request, "timespan");
    const char *interval = request_query(request, "interval");
    const char *filter = request_query(request, "$filter");
    const char *adjustable = request_query(request, "AutoAdjustTimegrain");
    bool adjust = adjustable && strcasecmp(adjustable, "true") == 0;
    *ret = (struct metric_query){.step = 1, .interval = "PT1M"};
    last_hour(ret);
    if (timespan && timespan[0] && !parse_timespan(timespan, ret)) {
        refuse(reply, "timespan is START/END, both as ISO 8601 (2026-11-22T13:00:00Z, "
                      "2026-11-22T14:00+01:00, 2026-11-22), and the end is not before the start");
        return false;
    }
    if (interval && interval[0] && !parse_interval(interval, adjust, ret)) {
        reply_error(reply, MHD_HTTP_BAD_REQUEST, "BadRequest",
                    "Invalid time grain duration: %.40s, supported ones are: 00:01:00,00:05:00,"
                    "00:15:00,00:30:00,01:00:00,06:00:00,12:00:00,1.00:00:00",
                    interval);
        return false;
    }
    if (filter && !parse_filter(filter, ret)) {
        refuse(reply, "the filter is revisionName, podName or replicaName eq 'VALUE' (or '*'), "
                      "with 'and' between them; 'or' and 'ne' are not supported here");
        return false;
    }
    if (!parse_top(request_query(request, "top"), ret)) {
        refuse(reply, "top is how many series a metric may have, at least 1");
        return false;
    }
    if (!are_aggregations(request_query(request, "aggregation"))) {
        refuse(reply, "aggregation is Average, Minimum, Maximum, Total, Count or None, or several "
                      "with commas between them");
        return false;
    }
    if (!parse_order(request_query(request, "orderby"), ret)) {
        refuse(reply, "orderby is average, minimum, maximum, total or count, and then asc or desc");
        return false;
    }
    if (!parse_result_type(request_query(request, "resultType"), ret)) {
        refuse(reply, "resultType is Data or Metadata");
        return false;
    }
    return fits(request, ret, reply);
}
