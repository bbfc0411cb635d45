/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab monitor metrics list, and oomlab rest. */
#include "cli/az.h"

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/iso8601.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void put_words(struct buffer *query, const char *name, const char *const *words)
{
    if (!words || !*words)
        return;
    buffer_printf(query, "&%s=", name);
    for (size_t i = 0; words[i]; i++) {
        buffer_puts(query, i > 0 ? "," : "");
        az_put_escaped(query, words[i]);
    }
}

/* --- times, as az takes them ----------------------------------------------------------------- */

/* A moment without an offset is in this machine's time, and its words may be several. */
static int parse_moment(const char *const *words, int64_t *ret_s, struct error *err)
{
    AUTO_BUFFER text = {0};
    int64_t ns = 0;
    bool zoned = false;
    for (size_t i = 0; words[i]; i++)
        buffer_printf(&text, "%s%s", i > 0 ? " " : "", words[i]);
    if (iso8601_parse_time(buffer_text(&text), &ns, &zoned) < 0)
        return error_set(err, EINVAL,
                         "Unable to parse: '%.60s'. Expected format: date (yyyy-mm-dd) time "
                         "(hh:mm:ss.xxxxx) timezone (+/-hh:mm)",
                         buffer_text(&text));
    *ret_s = ns / NS_PER_S;
    if (!zoned) {
        time_t at = (time_t)*ret_s;
        struct tm parts;
        gmtime_r(&at, &parts);
        parts.tm_isdst = -1;
        *ret_s = (int64_t)mktime(&parts);
    }
    return 0;
}

/* "PT1H", or az's short form "1d2h30m". */
static int parse_period(const char *option, const char *text, int64_t *ret_s, struct error *err)
{
    int64_t ns = 0;
    bool iso = text[0] == 'P' || text[0] == 'p';
    if ((iso ? iso8601_parse_duration(text, &ns) : duration_parse(text, &ns, err)) < 0 ||
        ns < NS_PER_S)
        return error_usage(err,
                           "argument --%s: invalid period_type value: '%.40s'; write it like 30m, "
                           "1d2h or PT1H",
                           option, text);
    *ret_s = ns / NS_PER_S;
    return 0;
}

static void put_time(struct buffer *text, int64_t at_s)
{
    char stamp[ISO8601_TEXT_MAX];
    buffer_puts(text, iso8601_format_time(at_s, stamp));
}

/* Without a start it is --offset before the end, without an end --offset after the start. */
static int put_timespan(struct buffer *query, const struct az_arguments *arguments,
                        struct error *err)
{
    int64_t offset = 3600;
    int64_t end = (int64_t)time(NULL);
    int64_t start = 0;
    int r = arguments->offset ? parse_period("offset", arguments->offset, &offset, err) : 0;
    if (r == 0 && arguments->start_time)
        r = parse_moment((const char *const *)arguments->start_time, &start, err);
    if (r == 0 && arguments->end_time)
        r = parse_moment((const char *const *)arguments->end_time, &end, err);
    if (r < 0 || (!arguments->offset && !arguments->start_time && !arguments->end_time))
        return r;
    if (!arguments->start_time)
        start = end - offset;
    else if (!arguments->end_time)
        end = start + offset;
    buffer_puts(query, "&timespan=");
    put_time(query, start);
    buffer_puts(query, "/");
    put_time(query, end);
    return 0;
}

static int put_interval(struct buffer *query, const struct az_arguments *arguments,
                        struct error *err)
{
    int64_t seconds = 0;
    char text[ISO8601_TEXT_MAX];
    const char *interval = arguments->interval;
    if (!interval)
        return 0;
    if (strcasecmp(interval, "FULL") == 0) {
        buffer_puts(query, "&interval=FULL");
        return 0;
    }
    int r = parse_period("interval", interval, &seconds, err);
    if (r == 0)
        buffer_printf(query, "&interval=%s", iso8601_format_duration(seconds, text));
    return r;
}

/* --- metrics list --------------------------------------------------------------------------- */

/* --resource is an id, or a name with --resource-group. */
static int put_resource(struct buffer *path, const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    int r = az_require(invocation, arguments->resource, "--resource", err);
    if (r < 0)
        return r;
    if (arguments->resource[0] == '/') {
        az_put_escaped(path, arguments->resource);
        return 0;
    }
    r = az_require(invocation, arguments->group, "--resource-group/-g", err);
    if (r < 0)
        return r;
    buffer_puts(path, "/subscriptions/" AZ_SUBSCRIPTION "/resourceGroups/");
    buffer_puts(path, az_segment(arguments->group).text);
    buffer_puts(path, "/providers/Microsoft.App/containerApps/");
    buffer_puts(path, az_segment(arguments->resource).text);
    return 0;
}

static void put_text(struct buffer *query, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(query, "&%s=", name);
    az_put_escaped(query, value);
}

/* The filter, and a term for each dimension that splits the series. */
static void put_filter(struct buffer *query, const struct az_arguments *arguments)
{
    AUTO_BUFFER filter = {0};
    if (arguments->filter)
        buffer_puts(&filter, arguments->filter);
    for (size_t i = 0; arguments->dimensions && arguments->dimensions[i]; i++)
        buffer_printf(&filter, "%s%s eq '*'", filter.length > 0 ? " and " : "",
                      arguments->dimensions[i]);
    if (filter.length > 0)
        put_text(query, "$filter", buffer_text(&filter));
}

/* --- its table: az's, a row for each point -----------------------------------------------------
 */

/* "2026-11-22T13:01:00Z" as "2026-11-22 13:01:00". */
static json_t *table_time(const json_t *point)
{
    const char *text = json_string_value(json_object_get(point, "timeStamp"));
    if (!text || strlen(text) < 19)
        return json_string(text ? text : "");
    return json_sprintf("%.10s %.8s", text, text + 11);
}

static const char *localized(const json_t *of)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(of, "name"), "localizedValue"));
    return name ? name : "";
}

static void put_rows(json_t *rows, const char *metric, const json_t *series)
{
    size_t i = 0, k = 0;
    const json_t *point = NULL, *dimension = NULL;
    const char *key = NULL;
    json_t *value = NULL;
    json_array_foreach(json_object_get(series, "data"), i, point)
    {
        json_t *row = json_pack("{s:o, s:s}", "Timestamp", table_time(point), "Name", metric);
        json_array_foreach(json_object_get(series, "metadatavalues"), k, dimension)
        {
            json_object_set(row, localized(dimension), json_object_get(dimension, "value"));
        }
        json_object_foreach((json_t *)point, key, value)
        {
            if (strcmp(key, "timeStamp") != 0)
                json_object_set(row, key, value);
        }
        json_array_append_new(rows, row);
    }
}

static json_t *metrics_rows(const json_t *answer)
{
    json_t *rows = json_array();
    size_t i = 0, k = 0;
    const json_t *metric = NULL, *series = NULL;
    json_array_foreach(json_object_get(answer, "value"), i, metric)
    {
        json_array_foreach(json_object_get(metric, "timeseries"), k, series)
        {
            put_rows(rows, localized(metric), series);
        }
    }
    return rows;
}

static int print_metrics(const struct az_arguments *arguments, json_t *answer, struct error *err)
{
    bool table = arguments->output && strcmp(arguments->output, "table") == 0;
    return az_print(arguments,
                    table && !arguments->query ? metrics_rows(answer) : json_incref(answer), NULL,
                    err);
}

static int metrics_list(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    AUTO_BUFFER path = {0};
    AUTO_ANSWER answer = {0};
    int r = put_resource(&path, invocation, err);
    buffer_puts(&path, "/providers/Microsoft.Insights/metrics?api-version=2018-01-01");
    put_words(&path, "metricnames", (const char *const *)arguments->metrics);
    put_words(&path, "aggregation", (const char *const *)arguments->aggregation);
    put_text(&path, "top", arguments->top);
    put_text(&path, "orderby", arguments->orderby);
    put_filter(&path, arguments);
    if (arguments->metadata)
        buffer_puts(&path, "&resultType=Metadata");
    if (r == 0)
        r = put_interval(&path, arguments, err);
    if (r == 0)
        r = put_timespan(&path, arguments, err);
    if (r == 0)
        r = az_ask(arguments, "GET", buffer_text(&path), NULL, &answer, err);
    return r == 0 ? print_metrics(arguments, answer.body, err) : az_failed(err);
}

static const struct option_spec METRICS[] = {
    AZ_TEXT("resource", 0, resource, "NAME|ID", "the container app"),
    AZ_GROUP,
    AZ_TEXT("resource-type", 0, resource_type, "TYPE", "taken and not looked at"),
    AZ_TEXT("namespace", 0, metric_namespace, "NAME", "taken and not looked at"),
    AZ_WORDS("metrics", 'm', metrics, "NAME...",
             "WorkingSetBytes MemoryPercentage UsageNanoCores RestartCount Replicas Requests"),
    AZ_WORDS("metric", 0, metrics, "NAME...", "the same"),
    AZ_WORDS("aggregation", 0, aggregation, "NAME...", "Average Maximum Minimum Total Count"),
    AZ_TEXT("interval", 0, interval, "TIME",
            "length of a point: 1m, 5m, 15m, 30m, 1h, 6h, 12h, 1d, or PT1M to P1D (default: 1m)"),
    AZ_WORDS("start-time", 0, start_time, "TIME",
             "2026-11-22T13:00:00Z, with an offset, or in local time (default: --offset before the "
             "end)"),
    AZ_WORDS("end-time", 0, end_time, "TIME", "default: now, or --offset after the start"),
    AZ_TEXT("offset", 0, offset, "TIME", "length of the time, e.g. 30m, 1d2h, PT1H (default: 1h)"),
    AZ_TEXT("top", 0, top, "N", "series of a metric, where a filter splits it (default: 10)"),
    AZ_TEXT("orderby", 0, orderby, "AGGREGATION asc|desc",
            "how the series of a metric are sorted, before --top"),
    AZ_WORDS("dimension", 0, dimensions, "NAME...", "a series for each: revisionName podName"),
    AZ_FLAG("metadata", 0, metadata, "which series there are, without their values"),
    AZ_TEXT("filter", 0, filter, "TEXT", "\"revisionName eq 'NAME'\"; '*' splits by it"),
    AZ_COMMON,
};

static const struct az_command MONITOR[] = {
    {"metrics list",
     {.name = "monitor metrics list",
      .summary = "list the values of metrics",
      .operands = "",
      .options = METRICS,
      .arguments_bytes = sizeof(struct az_arguments),
      .abbreviates = true,
      .run = metrics_list}},
    {.words = NULL},
};

const struct verb VERB_MONITOR = {
    .name = "monitor",
    .summary = "metrics of 'oomlab serve', as 'az monitor'",
    .operands = "metrics list",
    .operand_values = "metrics list",
    .commands = MONITOR,
    .raw = true,
    .run = az_run,
};

/* --- rest ----------------------------------------------------------------------------------- */

/* --body is JSON, or @FILE. */
static int read_body(const char *text, json_t **ret, struct error *err)
{
    AUTO_BUFFER file = {0};
    json_error_t error;
    if (!text)
        return 0;
    if (text[0] == '@') {
        int r = file_read_all(AT_FDCWD, text + 1, (size_t)1 << 20, &file, err);
        if (r < 0)
            return r;
        text = buffer_text(&file);
    }
    *ret = json_loads(text, JSON_DECODE_ANY, &error);
    return *ret ? 0 : error_usage(err, "argument --body: this is no JSON: %s", error.text);
}

/* az knows this one token. */
static void put_url(struct buffer *path, const char *url)
{
    static const char token[] = "{subscriptionId}";
    for (const char *at; (at = strcasestr(url, token)); url = at + sizeof(token) - 1)
        buffer_printf(path, "%.*s" AZ_SUBSCRIPTION, (int)(at - url), url);
    buffer_puts(path, url);
}

static void put_parameter(struct buffer *path, const char *name, const char *value)
{
    buffer_puts(path, strchr(buffer_text(path), '?') ? "&" : "?");
    az_put_escaped(path, name);
    buffer_puts(path, "=");
    az_put_escaped(path, value);
}

/* "K=V", or several as a JSON object. */
static int put_parameters(struct buffer *path, const char *word, struct error *err)
{
    const char *key = NULL;
    const json_t *value = NULL;
    const char *equals = strchr(word, '=');
    if (word[0] != '{') {
        if (!equals || equals == word)
            return error_usage(err, "argument --uri-parameters: '%.60s' is not KEY=VALUE", word);
        AUTO_FREE char *name = strndup(word, (size_t)(equals - word));
        put_parameter(path, name ? name : "", equals + 1);
        return 0;
    }
    json_t *object = json_loads(word, 0, NULL);
    if (!object)
        return error_usage(err, "argument --uri-parameters: '%.60s' is no JSON object", word);
    json_object_foreach(object, key, value)
    {
        AUTO_FREE char *text = json_is_string(value) ? strdup(json_string_value(value))
                                                     : json_dumps(value, JSON_ENCODE_ANY);
        put_parameter(path, key, text ? text : "");
    }
    json_decref(object);
    return 0;
}

static int run_rest(const struct invocation *invocation, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    const char *method = arguments->method ? arguments->method : "GET";
    AUTO_BUFFER path = {0};
    AUTO_ANSWER answer = {0};
    json_t *body = NULL;
    char upper[16];
    int r = az_check_common(arguments, err);
    if (r == 0)
        r = az_require(invocation, arguments->url, "--url/--uri/-u", err);
    if (r < 0)
        return r;
    const char *host = strstr(arguments->url, "://");
    const char *own = host ? strchr(host + 3, '/') : arguments->url;
    if (!own || own[0] != '/')
        return error_usage(err, "argument --url: a path such as /subscriptions/... is wanted");
    put_url(&path, own);
    for (const char **word = arguments->uri_parameters; r == 0 && word && *word; word++)
        r = put_parameters(&path, *word, err);
    for (size_t i = 0; i < sizeof(upper); i++) {
        upper[i] = (char)toupper((unsigned char)method[i]);
        if (!method[i])
            break;
    }
    upper[sizeof(upper) - 1] = '\0';
    if (r == 0)
        r = read_body(arguments->body, &body, err);
    if (r == 0)
        r = az_ask(arguments, upper, buffer_text(&path), body, &answer, err);
    json_decref(body);
    if (r < 0)
        return az_failed(err);
    if (answer.body)
        return az_print(arguments, json_incref(answer.body), NULL, err);
    fputs(answer.text ? answer.text : "", stdout);
    return STATUS_DONE;
}

static const struct option_spec REST[] = {
    AZ_TEXT("method", 'm', method, "get|head|put|patch|post|delete", "default: get"),
    AZ_TEXT("url", 'u', url, "PATH",
            "any path of the API, with its api-version; {subscriptionId} is filled in"),
    AZ_TEXT("uri", 0, url, "PATH", "the same"),
    AZ_TEXT("body", 'b', body, "JSON|@FILE", "the request's body"),
    AZ_WORDS("uri-parameters", 0, uri_parameters, "K=V...|JSON", "more for the query"),
    AZ_TEXT("resource", 0, resource, "URL", "taken and not looked at"),
    AZ_FLAG("skip-authorization-header", 0, skip_authorization, "taken and not looked at"),
    AZ_WORDS("headers", 0, headers, "K=V...", "taken and not looked at"),
    AZ_COMMON,
};

const struct verb VERB_REST = {
    .name = "rest",
    .summary = "any path of 'oomlab serve', as 'az rest'",
    .operands = "",
    .options = REST,
    .arguments_bytes = sizeof(struct az_arguments),
    .abbreviates = true,
    .run = run_rest,
};
