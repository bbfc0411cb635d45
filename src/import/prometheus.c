/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP API's answer to query_range (a matrix) and query (a vector), series by series. */
#include "import/formats.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "import/json_list.h"
#include "import/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_S_MAX 9e9

bool import_prometheus_matches(const struct head *head, const struct import_options *options)
{
    (void)options;
    return head_first(head) == '{' && head_has(head, "\"status\"") &&
           (head_has(head, "\"resultType\"") || head_has(head, "\"errorType\""));
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

/* [1795347399.24, "8683520"] */
static bool read_point(const json_t *point, int64_t *ret_ns, double *ret_value)
{
    double at_s = json_number_value(json_array_get(point, 0));
    const char *text = json_string_value(json_array_get(point, 1));
    char *end = NULL;
    if (!text || at_s <= 0 || at_s > EPOCH_S_MAX)
        return false;
    *ret_value = strtod(text, &end);
    *ret_ns = (int64_t)llround(at_s * 1000) * NS_PER_MS;
    return end != text && *end == '\0';
}

static int give_point(const struct series *series, const json_t *point, double *previous,
                      uint64_t line, const struct fact_sink *sink, struct error *err)
{
    int64_t at_ns;
    double value;
    if (!read_point(point, &at_ns, &value)) {
        fact_warn(sink, line, "a point that is no [time, \"value\"] was passed over");
        return 0;
    }
    int r = series_give(series, *previous, value, at_ns, line, sink, err);
    *previous = value;
    return r;
}

static void read_labels(const json_t *metric, struct series *ret)
{
    const char *name;
    json_t *value;
    *ret = (struct series){0};
    json_object_foreach((json_t *)metric, name, value)
    {
        const char *text = json_string_value(value);
        if (!text)
            continue;
        if (strcmp(name, "__name__") == 0)
            ret->name = text;
        else if (ret->count < SERIES_LABELS_MAX)
            ret->labels[ret->count++] = (struct series_label){name, text};
    }
}

static int give_series(const json_t *element, uint64_t line, const struct fact_sink *sink,
                       struct error *err)
{
    struct series series;
    double previous = NAN;
    size_t i;
    const json_t *point;
    read_labels(json_object_get(element, "metric"), &series);
    if (series.name && !series_known(series.name, strlen(series.name))) {
        fact_warn(sink, line, "series '%s' says nothing about memory or ends: left out",
                  series.name);
        return 0;
    }
    if (!series.name)
        fact_warn(sink, line, "a series without a name is taken for working set bytes");
    const json_t *single = json_object_get(element, "value");
    if (single)
        return give_point(&series, single, &previous, line, sink, err);
    json_array_foreach(json_object_get(element, "values"), i, point)
    {
        int r = give_point(&series, point, &previous, line, sink, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* {"status":"error","errorType":"bad_data","error":"..."} */
static int refuse_failed_query(struct input *input, struct error *err)
{
    CLEANUP(cleanup_json) json_t *answer = NULL;
    uint64_t line = 1;
    int r = input_json(input, &answer, &line, err);
    if (r < 0)
        return r;
    const char *type = json_text_at(answer, "errorType"), *text = json_text_at(answer, "error");
    return input_error(input, line, 0, err,
                       "Prometheus refused the query (%s): %s; correct the query and record again",
                       type ? type : "no type", text ? text : "no reason given");
}

int import_prometheus_read(struct input *input, const struct fact_sink *sink, struct error *err)
{
    struct head head;
    int r = input_head(input, &head, err);
    if (r < 0)
        return r;
    if (head_has(&head, "\"errorType\"") && !head_has(&head, "\"resultType\""))
        return refuse_failed_query(input, err);
    r = json_list_enter(input, "result", 2, err);
    if (r < 0)
        return r;
    if (r == 0)
        return input_error(input, 0, 0, err,
                           "there is no list of results under data.result: the "
                           "answer is cut off or is no query's");
    for (;;) {
        CLEANUP(cleanup_json) json_t *element = NULL;
        uint64_t line;
        r = json_list_next(input, &element, &line, err);
        if (r <= 0)
            return r;
        r = give_series(element, line, sink, err);
        if (r < 0)
            return r;
    }
}
