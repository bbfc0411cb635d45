/* SPDX-License-Identifier: Apache-2.0 */
/* One query for each metric, so that an answer stays small; each answer is read as a recorded one
 * would be. A range selector gives the samples as they were scraped, with their own times; a
 * query_range would repeat the last one at each step between two scrapes. */
#include "import/prometheus_live.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "import/formats.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS         60000L
#define ANSWER_MAX         ((size_t)32 << 20)
/* Of a series too long to be given whole: the server refuses more than 11000 points. */
#define POINTS_MAX 5000

static const char *const METRICS[] = {
    "container_memory_working_set_bytes",
    "container_memory_rss",
    "container_memory_cache",
    "container_memory_usage_bytes",
    "container_spec_memory_limit_bytes",
    "container_oom_events_total",
    "container_start_time_seconds",
    "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_last_terminated_reason",
};

struct session {
    const struct prometheus_query *query;
    CURL *curl;
    int64_t end_ns;
    struct buffer answer;
    bool too_large;
    uint64_t facts;
    const struct fact_sink *sink;
};

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct session *session = context;
    size_t length = size * count;
    session->too_large = session->answer.length + length > ANSWER_MAX;
    if (session->too_large || buffer_append(&session->answer, data, length) < 0)
        return 0;
    return length;
}

/* A label's value within PromQL's double quotes. */
static void append_quoted(struct buffer *buffer, const char *text)
{
    buffer_puts(buffer, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_puts(buffer, "\\");
        if (*text == '\n')
            buffer_puts(buffer, "\\n");
        else
            buffer_append(buffer, text, 1);
    }
    buffer_puts(buffer, "\"");
}

static void append_seconds(struct buffer *buffer, int64_t ns)
{
    buffer_printf(buffer, "%jd.%03jd", (intmax_t)(ns / NS_PER_S),
                  (intmax_t)(ns % NS_PER_S / NS_PER_MS));
}

/* The samples as they are, or `thinned` to POINTS_MAX a series. */
static int make_url(const struct session *session, const char *metric, bool thinned,
                    struct buffer *ret, struct error *err)
{
    const struct prometheus_query *query = session->query;
    AUTO_BUFFER expression = {0};
    buffer_printf(&expression, "%s{namespace=", metric);
    append_quoted(&expression, query->namespace);
    buffer_puts(&expression, ",pod=");
    append_quoted(&expression, query->pod);
    buffer_puts(&expression, "}");
    if (!thinned)
        buffer_printf(&expression, "[%jdms]", (intmax_t)(query->last_ns / NS_PER_MS + 1));
    char *escaped = curl_easy_escape(session->curl, buffer_text(&expression), 0);
    size_t length = strlen(query->url);
    while (length > 0 && query->url[length - 1] == '/')
        length--;
    buffer_printf(ret, "%.*s/api/v1/%s?query=%s&%s=", (int)length, query->url,
                  thinned ? "query_range" : "query", escaped ? escaped : "",
                  thinned ? "end" : "time");
    append_seconds(ret, session->end_ns);
    if (thinned) {
        buffer_puts(ret, "&start=");
        append_seconds(ret, session->end_ns - query->last_ns);
        buffer_printf(ret, "&step=%jd", (intmax_t)(query->last_ns / NS_PER_S / POINTS_MAX + 1));
    }
    bool failed = !escaped || expression.failed || ret->failed;
    curl_free(escaped);
    return failed ? error_errno(err, ENOMEM, "querying '%s'", query->url) : 0;
}

static int transfer_fault(const struct session *session, CURLcode code, const char *detail,
                          struct error *err)
{
    const char *url = session->query->url;
    if (session->too_large)
        return error_usage(err,
                           "the answer of '%s' is larger than %zu MiB; ask for less with --last",
                           url, ANSWER_MAX >> 20);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return error_usage(err,
                           "Prometheus at '%s' did not answer in time; is the address right, and "
                           "is it reachable from here? (kubectl port-forward makes it so)",
                           url);
    return error_usage(err,
                       "cannot ask Prometheus at '%s': %s; give its address as in "
                       "http://localhost:9090 (kubectl port-forward makes it reachable)",
                       url, detail[0] ? detail : curl_easy_strerror(code));
}

/* An answer with an HTTP error has the reason in its JSON, when it is from Prometheus. */
static int status_fault(struct session *session, long status, struct error *err)
{
    const char *url = session->query->url;
    json_t *answer = json_loadb(buffer_text(&session->answer), session->answer.length, 0, NULL);
    const char *reason = json_text_at(answer, "error");
    char shown[256] = "";
    if (reason)
        input_clean(reason, strlen(reason), shown, sizeof(shown));
    json_decref(answer);
    if (status == 401 || status == 403)
        return error_usage(err,
                           "Prometheus at '%s' wants a login (HTTP %ld); put it into the address, "
                           "http://USER:PASSWORD@HOST:PORT, or go through kubectl port-forward",
                           url, status);
    if (reason)
        return error_usage(err, "Prometheus at '%s' refused the query (HTTP %ld): %s", url, status,
                           shown);
    return error_usage(err,
                       "'%s' answered HTTP %ld and not as Prometheus does; give the address before "
                       "/api/v1 (its web page's address)",
                       url, status);
}

static CURLcode get(struct session *session, const char *url, char detail[CURL_ERROR_SIZE])
{
    session->answer.length = 0;
    session->too_large = false;
    curl_easy_setopt(session->curl, CURLOPT_URL, url);
    curl_easy_setopt(session->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(session->curl);
    curl_easy_setopt(session->curl, CURLOPT_ERRORBUFFER, NULL);
    return code;
}

static int fetch(struct session *session, const char *metric, struct error *err)
{
    AUTO_BUFFER url = {0};
    AUTO_BUFFER thinned_url = {0};
    char detail[CURL_ERROR_SIZE] = "";
    long status = 0;
    int r = make_url(session, metric, false, &url, err);
    if (r >= 0)
        r = make_url(session, metric, true, &thinned_url, err);
    if (r < 0)
        return r;
    CURLcode code = get(session, buffer_text(&url), detail);
    if (code != CURLE_OK && session->too_large)
        code = get(session, buffer_text(&thinned_url), detail);
    if (code != CURLE_OK)
        return transfer_fault(session, code, detail, err);
    curl_easy_getinfo(session->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 ? 0 : status_fault(session, status, err);
}

static int count_and_pass(void *context, const struct fact *fact, struct error *err)
{
    struct session *session = context;
    session->facts++;
    return fact_give(session->sink, fact, err);
}

static void pass_warning(void *context, uint64_t line, const char *text)
{
    const struct session *session = context;
    fact_warn(session->sink, line, "%s", text);
}

static int ask(struct session *session, const char *metric, struct error *err)
{
    AUTO_INPUT *input = NULL;
    struct head head;
    int r = fetch(session, metric, err);
    if (r >= 0)
        r = input_open_memory(session->query->url, buffer_text(&session->answer),
                              session->answer.length, &input, err);
    if (r >= 0)
        r = input_head(input, &head, err);
    if (r < 0)
        return r;
    if (!import_prometheus_matches(&head, session->sink->options))
        return error_usage(err,
                           "'%s' answered, but not as Prometheus does; give the address before "
                           "/api/v1 (its web page's address)",
                           session->query->url);
    struct fact_sink counting = {.take = count_and_pass,
                                 .warn = pass_warning,
                                 .context = session,
                                 .options = session->sink->options};
    return import_prometheus_read(input, &counting, err);
}

static void set_options(CURL *curl, struct session *session)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "oomlab/" OOMLAB_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, session);
}

int prometheus_live_read(const struct prometheus_query *query, const struct fact_sink *sink,
                         struct error *err)
{
    struct session session = {.query = query, .sink = sink};
    session.end_ns = clock_realtime_ns();
    session.curl = curl_easy_init();
    if (!session.curl)
        return error_errno(err, ENOMEM, "querying '%s'", query->url);
    set_options(session.curl, &session);
    int r = 0;
    for (size_t i = 0; i < sizeof(METRICS) / sizeof(*METRICS) && r >= 0; i++)
        r = ask(&session, METRICS[i], err);
    curl_easy_cleanup(session.curl);
    buffer_done(&session.answer);
    if (r >= 0 && session.facts == 0)
        return error_usage(err,
                           "Prometheus at '%s' knows nothing of pod '%s' in namespace '%s' in that "
                           "time; check the names (kubectl get pods -A) and --last, and that it "
                           "scrapes the kubelet's cAdvisor metrics",
                           query->url, query->pod, query->namespace);
    return r;
}
