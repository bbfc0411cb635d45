/* SPDX-License-Identifier: Apache-2.0 */
#include "api/ingress.h"

#include "api/curl_loop.h"
#include "api/loop_daemon.h"
#include "base/buffer.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define BODY_MAX          ((size_t)16 << 20)
#define ANSWER_MAX        ((size_t)64 << 20)
#define CONNECTIONS_MAX   512
#define IDLE_TIMEOUT_S    240 /* as Azure's ingress */
#define REQUEST_TIMEOUT_S 240

struct ingress {
    struct app *app;
    uint16_t wanted, port; /* the target port, and where it listens */
    struct loop_daemon *daemon;
    struct curl_loop *curl;
    struct forward *forwards; /* under way */
    unsigned turn;            /* round robin among replicas */
};

/* One request: taken in, then forwarded while its connection is suspended, then answered. */
struct forward {
    struct forward *next;
    struct ingress *ingress;
    struct MHD_Connection *connection;
    struct buffer body, answer, head; /* head: "Name: value" lines of the answer */
    char *target;                     /* path and query as the client sent them */
    bool begun, is_head, too_large, sent, done;
    CURL *easy;
    struct curl_slist *headers;
    unsigned status;
    const char *error;
};

/* RFC 9110, 7.6.1, and what libcurl or libmicrohttpd write themselves. */
static bool hop_by_hop(const char *name, size_t length)
{
    static const char *const names[] = {
        "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding",
        "TE",         "Trailer",    "Upgrade",          "Content-Length",
        "Expect"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0)
            return true;
    }
    return false;
}

/* What we say ourselves: a client's own word is not passed on, as in Azure. */
static bool is_forwarded(const char *name)
{
    return strcasecmp(name, "X-Forwarded-For") == 0 || strcasecmp(name, "X-Forwarded-Host") == 0 ||
           strcasecmp(name, "X-Forwarded-Proto") == 0;
}

/* "close, X-Own": the fields that are for this connection alone. */
static bool is_named(const char *connection, const char *name, size_t length)
{
    while (connection && *connection) {
        connection += strspn(connection, ", \t");
        size_t word = strcspn(connection, ", \t");
        if (word == length && strncasecmp(connection, name, length) == 0)
            return true;
        connection += word;
    }
    return false;
}

/* --- where to ------------------------------------------------------------------------------- */

static struct app_revision *draw_revision(struct app *app)
{
    unsigned char byte[2] = {0};
    if (getrandom(byte, sizeof(byte), GRND_NONBLOCK) < 0)
        byte[0] = byte[1] = 0;
    unsigned draw = (unsigned)(byte[0] << 8 | byte[1]) % 100;
    for (struct app_revision *r = app->revisions; r; r = r->next) {
        unsigned weight = revision_weight(r);
        if (draw < weight)
            return r;
        draw -= weight;
    }
    return NULL;
}

static struct app_replica *draw_replica(struct ingress *ingress)
{
    const struct app_revision *revision = draw_revision(ingress->app);
    unsigned ready = 0;
    struct app_replica *first = revision ? revision->replicas : NULL;
    for (struct app_replica *r = first; r; r = r->next)
        ready += !r->stopping && replica_is_ready(r->replica);
    if (ready == 0)
        return NULL;
    unsigned chosen = ingress->turn++ % ready;
    for (struct app_replica *r = first; r; r = r->next) {
        if (r->stopping || !replica_is_ready(r->replica))
            continue;
        if (chosen-- == 0)
            return r;
    }
    return NULL;
}

/* --- forwarding ----------------------------------------------------------------------------- */

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    size_t length = size * count;
    if (forward->answer.length + length > ANSWER_MAX ||
        buffer_append(&forward->answer, data, length) < 0)
        return 0;
    return length;
}

static size_t on_head(char *data, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    size_t length = size * count;
    if (length > 5 && strncmp(data, "HTTP/", 5) == 0)
        buffer_done(&forward->head); /* an interim answer came before */
    else
        buffer_append(&forward->head, data, length);
    return length;
}

static enum MHD_Result put_line(struct forward *forward, const char *name, const char *value)
{
    AUTO_FREE char *line = NULL;
    if (asprintf(&line, value && value[0] ? "%s: %s" : "%s;%s", name, value ? value : "") < 0)
        return MHD_NO;
    struct curl_slist *grown = curl_slist_append(forward->headers, line);
    if (!grown)
        return MHD_NO;
    forward->headers = grown;
    return MHD_YES;
}

static const char *header_of(const struct forward *forward, const char *name)
{
    return MHD_lookup_connection_value(forward->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result put_header(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct forward *forward = context;
    size_t length = strlen(name);
    (void)kind;
    if (hop_by_hop(name, length) || is_forwarded(name) ||
        is_named(header_of(forward, "Connection"), name, length))
        return MHD_YES;
    return put_line(forward, name, value);
}

/* The client's own Host goes on as any field does; libcurl's stands in for one that is missing. */
static void put_headers(struct forward *forward)
{
    char client[INET_ADDRSTRLEN] = "127.0.0.1";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(forward->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const char *host = header_of(forward, "Host");
    if (info && info->client_addr && info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, client,
                  sizeof(client));
    MHD_get_connection_values(forward->connection, MHD_HEADER_KIND, put_header, forward);
    if (host)
        put_line(forward, "X-Forwarded-Host", host);
    put_line(forward, "X-Forwarded-Proto", "http");
    put_line(forward, "X-Forwarded-For", client);
    if (!header_of(forward, "Content-Type"))
        forward->headers = curl_slist_append(forward->headers, "Content-Type:");
    if (!header_of(forward, "Accept"))
        forward->headers = curl_slist_append(forward->headers, "Accept:");
    forward->headers = curl_slist_append(forward->headers, "Expect:");
}

static void set_method(CURL *easy, const struct forward *forward, const char *method)
{
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (forward->body.length > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)forward->body.length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buffer_text(&forward->body));
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static int start(struct forward *forward, const struct app_replica *replica, const char *method)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", replica->template->revision.port);
    put_headers(forward);
    CURL *easy = forward->easy = curl_easy_init();
    if (!easy)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, forward);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, forward->target);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, forward->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)REQUEST_TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, forward);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, forward);
    set_method(easy, forward, method);
    return curl_loop_add(forward->ingress->curl, easy);
}

static void on_done(CURL *easy, CURLcode code)
{
    struct forward *forward = NULL;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &forward);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    forward->easy = NULL;
    forward->done = true;
    forward->status = code == CURLE_OK ? (unsigned)status : MHD_HTTP_SERVICE_UNAVAILABLE;
    forward->error = code == CURLE_OK ? NULL
                                      : "upstream connect error or disconnect/reset before "
                                        "headers\n";
    MHD_resume_connection(forward->connection);
    loop_daemon_wake(forward->ingress->daemon);
}

/* --- answering ------------------------------------------------------------------------------ */

/* A field of the answer, copied; NULL: none. Its name ends in a colon. */
static char *field_of(const char *head, const char *name)
{
    size_t length = strlen(name);
    const char *at = head;
    while (at && strncasecmp(at, name, length) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at ? strndup(at + length, strcspn(at + length, "\r\n")) : NULL;
}

static void copy_headers(struct MHD_Response *response, char *head)
{
    char *rest = NULL;
    AUTO_FREE char *connection = field_of(head, "connection:");
    for (char *line = strtok_r(head, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *colon = strchr(line, ':');
        if (!colon || hop_by_hop(line, (size_t)(colon - line)) ||
            is_named(connection, line, (size_t)(colon - line)))
            continue;
        *colon = '\0';
        MHD_add_response_header(response, line, colon + 1 + strspn(colon + 1, " \t"));
    }
}

static ssize_t no_body(void *context, uint64_t position, char *data, size_t size)
{
    (void)context;
    (void)position;
    (void)data;
    (void)size;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

/* The length that a body would have, as the app tells it. libmicrohttpd ends an answer in chunks
 * even where there is no body: without a length the connection is closed instead. */
static struct MHD_Response *head_response(const struct forward *forward)
{
    char *end = NULL;
    AUTO_FREE char *field = field_of(forward->head.data, "content-length:");
    unsigned long long length = field ? strtoull(field, &end, 10) : 0;
    bool known = field && end != field && end[strspn(end, " \t")] == '\0';
    struct MHD_Response *response = MHD_create_response_from_callback(
        known ? length : MHD_SIZE_UNKNOWN, 1, no_body, NULL, NULL);
    if (response && !known)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return response;
}

static struct MHD_Response *make_response(const struct forward *forward)
{
    const char *text = forward->error;
    if (!text && forward->is_head)
        return head_response(forward);
    return MHD_create_response_from_buffer(text ? strlen(text) : forward->answer.length,
                                           (void *)(text ? text : buffer_text(&forward->answer)),
                                           MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer(struct MHD_Connection *connection, struct forward *forward)
{
    const char *text = forward->error;
    struct MHD_Response *response = make_response(forward);
    if (!response)
        return MHD_NO;
    if (text)
        MHD_add_response_header(response, "Content-Type", "text/plain");
    else if (forward->head.data)
        copy_headers(response, forward->head.data);
    enum MHD_Result result = MHD_queue_response(connection, forward->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct forward *forward, unsigned status, const char *text)
{
    forward->status = status;
    forward->error = text;
    return answer(forward->connection, forward);
}

/* "http://host/path?query", as a client of a proxy says it, is "/path?query" for the app. */
static const char *origin_form(const char *target)
{
    const char *host = strncasecmp(target, "http://", 7) == 0 ? target + 7 : NULL;
    const char *path = host ? host + strcspn(host, "/?") : target;
    return host && *path == '\0' ? "/" : path;
}

static void *on_begin(void *context, const char *target, struct MHD_Connection *connection)
{
    struct ingress *ingress = context;
    struct forward *forward = calloc(1, sizeof(*forward));
    if (!forward)
        return NULL;
    target = origin_form(target);
    if (asprintf(&forward->target, "%s%s", *target == '?' ? "/" : "", target) < 0) {
        free(forward);
        return NULL;
    }
    forward->ingress = ingress;
    forward->connection = connection;
    forward->next = ingress->forwards;
    ingress->forwards = forward;
    return forward;
}

/* A path, or the "*" of OPTIONS; a space or a control character in it would make another request
 * line for the app. */
static bool is_sound(const char *target)
{
    if (target[0] != '/' && strcmp(target, "*") != 0)
        return false;
    for (; *target; target++) {
        if ((unsigned char)*target <= ' ' || *target == 0x7f)
            return false;
    }
    return true;
}

static enum MHD_Result forward_on(struct forward *forward, const char *method)
{
    if (forward->too_large)
        return refuse(forward, MHD_HTTP_CONTENT_TOO_LARGE, "the request's body is too large\n");
    if (!is_sound(forward->target))
        return refuse(forward, MHD_HTTP_BAD_REQUEST, "the request's target is none\n");
    struct app_replica *replica = draw_replica(forward->ingress);
    if (!replica)
        return refuse(forward, MHD_HTTP_SERVICE_UNAVAILABLE, "no healthy upstream\n");
    replica->requests++;
    forward->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    if (start(forward, replica, method) < 0)
        return refuse(forward, MHD_HTTP_BAD_GATEWAY, "the request cannot be forwarded\n");
    forward->sent = true;
    MHD_suspend_connection(forward->connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *data, size_t *size, void **request)
{
    struct ingress *ingress = context;
    struct forward *forward = *request;
    (void)path; /* decoded: the app gets the target as it came */
    (void)version;
    if (!forward)
        return MHD_NO;
    if (!forward->begun) {
        forward->begun = true;
        return MHD_YES;
    }
    if (*size > 0) {
        forward->too_large |= forward->body.length + *size > BODY_MAX;
        if (!forward->too_large && buffer_append(&forward->body, data, *size) < 0)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    if (forward->done)
        return answer(connection, forward);
    if (forward->sent)
        return MHD_YES;
    loop_daemon_request_read(ingress->daemon, connection);
    return forward_on(forward, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct ingress *ingress = context;
    struct forward *forward = *request;
    (void)code;
    if (ingress->daemon)
        loop_daemon_request_over(ingress->daemon, connection);
    if (!forward)
        return;
    for (struct forward **link = &ingress->forwards; *link; link = &(*link)->next) {
        if (*link == forward) {
            *link = forward->next;
            break;
        }
    }
    if (forward->easy) {
        curl_loop_remove(ingress->curl, forward->easy);
        curl_easy_cleanup(forward->easy);
    }
    curl_slist_free_all(forward->headers);
    free(forward->target);
    buffer_done(&forward->body);
    buffer_done(&forward->answer);
    buffer_done(&forward->head);
    free(forward);
    *request = NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

uint16_t ingress_port(const struct app *app)
{
    return app->ingress ? app->ingress->port : 0;
}

int ingress_open(struct app *app, struct error *err)
{
    uint16_t wanted = template_target_port(app_configuration(app));
    int fd = -1;
    if (app->ingress && app->ingress->wanted != wanted)
        ingress_close(app);
    if (app->ingress || wanted == 0)
        return 0;
    struct ingress *ingress = calloc(1, sizeof(*ingress));
    if (!ingress)
        return error_errno(err, ENOMEM, "opening the ingress");
    ingress->app = app;
    ingress->wanted = wanted;
    app->ingress = ingress;
    int r = listen_loopback(wanted, &fd, &ingress->port, err);
    if (r < 0)
        r = listen_loopback(0, &fd, &ingress->port, err);
    if (r == 0)
        r = curl_loop_new(app->serve->loop, on_done, &ingress->curl, err);
    const struct loop_daemon_options options = {
        .listen_fd = fd,
        .connections_max = CONNECTIONS_MAX,
        .idle_timeout_s = IDLE_TIMEOUT_S,
        .request_timeout_s = REQUEST_TIMEOUT_S,
        .begin = on_begin,
        .handler = on_request,
        .completed = on_completed,
        .context = ingress,
    };
    if (r == 0)
        r = loop_daemon_new(app->serve->loop, &options, &ingress->daemon, err);
    else
        close_fd(&fd);
    if (r < 0)
        ingress_close(app);
    return r;
}

void ingress_close(struct app *app)
{
    struct ingress *ingress = app->ingress;
    if (!ingress)
        return;
    app->ingress = NULL;
    /* libmicrohttpd wants every connection resumed before it stops. */
    for (struct forward *f = ingress->forwards; f; f = f->next) {
        if (f->sent && !f->done)
            MHD_resume_connection(f->connection);
        f->done = f->sent;
        f->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        f->error = "the app is gone, or its ingress another one\n";
    }
    loop_daemon_free(steal_ptr(&ingress->daemon));
    curl_loop_free(ingress->curl);
    free(ingress);
}
