/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic/transfer.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "traffic/plan.h"

#include <errno.h>
#include <string.h>

#define IN_FLIGHT_DEFAULT 512

void outcome_fail(struct traffic_outcome *outcome, const char *words)
{
    outcome->status = 0;
    size_t length = strnlen(words, sizeof(outcome->error) - 1);
    memcpy(outcome->error, words, length);
    outcome->error[length] = '\0';
}

static size_t discard(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

/* Curl is about to send the request. A second time means that the kept connection died and curl
 * tries a new one by itself. */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct transfer *transfer = context;
    if (transfer->requested)
        return CURL_PREREQFUNC_ABORT;
    transfer->requested = true;
    return CURL_PREREQFUNC_OK;
}

static void set_common(const struct pool *pool, struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    long timeout_ms = (long)((pool->timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "oomlab/" OOMLAB_VERSION);
    if (pool->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* Method and body. HTTPGET comes first: it takes back NOBODY, POST and UPLOAD of the last use. */
static void set_request(CURL *easy, const struct wire *wire)
{
    const struct traffic_request *request = wire->request;
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (request->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    } else if (strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, wire->headers);
    curl_easy_setopt(easy, CURLOPT_URL, wire->url);
}

struct transfer *pool_start(struct pool *pool, size_t kind, struct traffic_outcome *outcome)
{
    struct transfer *transfer = pool->free;
    if (!transfer) {
        outcome_fail(outcome, "too many in flight");
        return NULL;
    }
    if (!transfer->easy) {
        transfer->easy = curl_easy_init();
        if (!transfer->easy) {
            outcome_fail(outcome, "out of memory");
            return NULL;
        }
        set_common(pool, transfer);
    }
    set_request(transfer->easy, &pool->wires[kind]);
    transfer->requested = false;
    transfer->outcome = *outcome;
    CURLMcode code = curl_multi_add_handle(pool->multi, transfer->easy);
    if (code != CURLM_OK) {
        outcome_fail(outcome, curl_multi_strerror(code));
        return NULL;
    }
    transfer->busy = true;
    pool->free = transfer->next_free;
    return transfer;
}

struct transfer *pool_find(CURL *easy)
{
    struct transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return transfer;
}

static const char *failure_words(const struct transfer *transfer, CURLcode result)
{
    if (result == CURLE_ABORTED_BY_CALLBACK ||
        (result == CURLE_COULDNT_CONNECT && transfer->requested))
        return "connection died before the response";
    long errnum = 0;
    if (result == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &errnum);
    return errnum ? strerrordesc_np((int)errnum) : curl_easy_strerror(result);
}

struct traffic_outcome pool_finish(struct pool *pool, struct transfer *transfer, CURLcode result)
{
    struct traffic_outcome outcome = transfer->outcome;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    outcome.status = (int32_t)status;
    if (result != CURLE_OK)
        outcome_fail(&outcome, failure_words(transfer, result));
    curl_multi_remove_handle(pool->multi, transfer->easy);
    transfer->busy = false;
    transfer->next_free = pool->free;
    pool->free = transfer;
    return outcome;
}

static void url_cleanup(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void curl_text_free(char **text)
{
    curl_free(*text);
}

static int check_base_url(const char *base, struct error *err)
{
    CURLU *url CLEANUP(url_cleanup) = curl_url();
    if (!url)
        return error_errno(err, ENOMEM, "reading the address");
    CURLUcode code = curl_url_set(url, CURLUPART_URL, base, 0);
    if (code != CURLUE_OK)
        return error_usage(err, "the address '%s': %s", base, curl_url_strerror(code));
    char *scheme CLEANUP(curl_text_free) = NULL;
    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return error_usage(err, "the address '%s' must begin with http:// or https://", base);
    char *query CLEANUP(curl_text_free) = NULL;
    char *fragment CLEANUP(curl_text_free) = NULL;
    if (curl_url_get(url, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
        curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
        return error_usage(err, "the address '%s' must end before any '?' or '#'", base);
    return 0;
}

/* curl would wait a second for "100 Continue" before a large body: no server here asked for that.
 */
static int wire_headers(struct wire *wire)
{
    const char *const *headers = wire->request->headers;
    wire->headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; wire->headers && headers && headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(wire->headers, headers[i]);
        if (!longer)
            return -ENOMEM;
        wire->headers = longer;
    }
    return wire->headers ? 0 : -ENOMEM;
}

static int prepare_wires(struct pool *pool, const struct traffic_plan *plan, const char *base)
{
    size_t count;
    const struct traffic_request *kinds = traffic_plan_kinds(plan, &count);
    size_t length = strlen(base);
    while (length > 0 && base[length - 1] == '/')
        length--;
    pool->wires = calloc(count + 1, sizeof(*pool->wires));
    if (!pool->wires)
        return -ENOMEM;
    for (; pool->wire_count < count; pool->wire_count++) {
        struct wire *wire = &pool->wires[pool->wire_count];
        AUTO_BUFFER url = {0};
        wire->request = &kinds[pool->wire_count];
        buffer_printf(&url, "%.*s%s", (int)length, base, wire->request->path);
        wire->url = buffer_steal(&url);
        if (!wire->url || wire_headers(wire) < 0) {
            pool->wire_count++;
            return -ENOMEM;
        }
    }
    return 0;
}

int pool_init(struct pool *pool, const struct traffic_plan *plan,
              const struct traffic_options *options, struct error *err)
{
    *pool = (struct pool){
        .size = options->max_in_flight ? options->max_in_flight : IN_FLIGHT_DEFAULT,
        .insecure = options->insecure,
        .timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : TRAFFIC_TIMEOUT_NS,
    };
    int r = check_base_url(options->base_url, err);
    if (r < 0)
        return r;
    pool->multi = curl_multi_init();
    pool->transfers = calloc(pool->size, sizeof(*pool->transfers));
    if (!pool->multi || !pool->transfers || prepare_wires(pool, plan, options->base_url) < 0)
        return error_errno(err, ENOMEM, "preparing the traffic");
    for (unsigned i = pool->size; i > 0; i--) {
        pool->transfers[i - 1].next_free = pool->free;
        pool->free = &pool->transfers[i - 1];
    }
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)pool->size);
    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return 0;
}

void pool_done(struct pool *pool)
{
    for (unsigned i = 0; pool->transfers && i < pool->size; i++)
        curl_easy_cleanup(pool->transfers[i].easy);
    free(pool->transfers);
    curl_multi_cleanup(pool->multi);
    for (size_t i = 0; i < pool->wire_count; i++) {
        free(pool->wires[i].url);
        curl_slist_free_all(pool->wires[i].headers);
    }
    free(pool->wires);
    *pool = (struct pool){0};
}
