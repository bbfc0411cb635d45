/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http.h"

#include "api/exec.h"
#include "api/exec_stream.h"
#include "api/loop_daemon.h"
#include "api/stream.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define CONNECTIONS_MAX   256
#define IDLE_TIMEOUT_S    30
#define REQUEST_TIMEOUT_S 20
#define BACKLOG           128

struct listening {
    struct serve *serve;
    struct loop_daemon *daemon;
    bool tcp;
};

struct listener_set {
    struct listening unix_socket, tcp;
    char path[108]; /* of the unix socket, to remove it; "" when systemd made it */
};

/* One request while its body comes in. */
struct incoming {
    struct buffer body;
    bool refused, too_large;
    json_t *json;
    struct listening *listening;
    struct exec *exec; /* owned: the connection becomes it when the reply is out */
};

/* --- replies -------------------------------------------------------------------------------- */

void reply_header(struct reply *reply, const char *name, const char *format, ...)
{
    if (reply->headers == REPLY_HEADERS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply->values[reply->headers], sizeof(reply->values[0]), format, arguments);
    va_end(arguments);
    reply->names[reply->headers++] = name;
}

void reply_json(struct reply *reply, unsigned status, json_t *body)
{
    json_decref(reply->body);
    reply->status = body ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
    reply->body = body;
}

void reply_error(struct reply *reply, unsigned status, const char *code, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    json_t *body = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", text);
    if (!body) /* foreign text that is no UTF-8 */
        body = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", "invalid request");
    reply_json(reply, status, body);
    reply->status = status;
}

void reply_failure(struct reply *reply, const char *code, const struct error *err)
{
    if (err->kind == ERROR_USAGE)
        reply_error(reply, MHD_HTTP_BAD_REQUEST, code, "%s", err->text);
    else
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "%s", err->text);
}

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void on_upgraded(void *context, struct MHD_Connection *connection, void *request,
                        const char *extra, size_t extra_length, MHD_socket socket,
                        struct MHD_UpgradeResponseHandle *upgrade)
{
    struct incoming *incoming = request;
    (void)context;
    loop_daemon_request_read(incoming->listening->daemon, connection);
    exec_begin(steal_ptr(&incoming->exec), incoming->listening->daemon, upgrade, socket, extra,
               extra_length);
}

static enum MHD_Result send_upgrade(struct MHD_Connection *connection)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, NULL);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Upgrade", EXEC_PROTOCOL);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_SWITCHING_PROTOCOLS, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *text_response(struct reply *reply)
{
    char *text = steal_ptr(&reply->text);
    if (!text && reply->body)
        text = json_dumps(reply->body, JSON_COMPACT | JSON_ENCODE_ANY);
    return MHD_create_response_from_buffer(text ? strlen(text) : 0, text ? text : (void *)"",
                                           text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct reply *reply)
{
    bool has_body = reply->response || reply->text || reply->body;
    struct MHD_Response *response =
        reply->response ? steal_ptr(&reply->response) : text_response(reply);
    json_decref(reply->body);
    if (!response)
        return MHD_NO;
    if (has_body)
        MHD_add_response_header(response, "Content-Type",
                                reply->type ? reply->type : "application/json; charset=utf-8");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", reply->cache ? reply->cache : "no-store");
    for (unsigned i = 0; i < reply->headers; i++)
        MHD_add_response_header(response, reply->names[i], reply->values[i]);
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- who may ask ---------------------------------------------------------------------------- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

bool secret_equal(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char difference = strlen(b) != length;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(a[i] ^ b[i < strlen(b) ? i : 0]);
    return difference == 0;
}

static bool own_host(const struct serve *serve, const char *host)
{
    static const char *const names[] = {"127.0.0.1", "localhost"};
    char with_port[64];
    for (size_t i = 0; i < 2; i++) {
        snprintf(with_port, sizeof(with_port), "%s:%u", names[i], serve->tcp_port);
        if (strcasecmp(host, with_port) == 0)
            return true;
    }
    return false;
}

static bool own_peer(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    return info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* True when the request may go on; else the reply says why not. `open`: without the token. */
static bool admit(const struct listening *listening, struct MHD_Connection *connection, bool open,
                  struct reply *reply)
{
    const struct serve *serve = listening->serve;
    const char *origin = header(connection, "Origin");
    const char *host = header(connection, "Host");
    const char *authorization = header(connection, "Authorization");
    if (!listening->tcp && !own_peer(connection)) {
        reply_error(reply, MHD_HTTP_FORBIDDEN, "AuthorizationFailed", "another user's connection");
        return false;
    }
    if (listening->tcp && (!host || !own_host(serve, host))) {
        reply_error(reply, MHD_HTTP_MISDIRECTED_REQUEST, "InvalidHost",
                    "the Host header must be 127.0.0.1:%u or localhost:%u", serve->tcp_port,
                    serve->tcp_port);
        return false;
    }
    if (origin &&
        (!listening->tcp || strncmp(origin, "http://", 7) != 0 || !own_host(serve, origin + 7))) {
        reply_error(reply, MHD_HTTP_FORBIDDEN, "InvalidOrigin",
                    "pages of other origins may not ask");
        return false;
    }
    if (listening->tcp && !open &&
        (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0 ||
         !secret_equal(serve->token, authorization + 7))) {
        reply_header(reply, "WWW-Authenticate", "Bearer");
        reply_error(reply, MHD_HTTP_UNAUTHORIZED, "AuthenticationFailed",
                    "a valid bearer token is missing; it is in the file that serve named at its "
                    "start");
        return false;
    }
    return true;
}

/* --- requests ------------------------------------------------------------------------------- */

static bool parse_body(struct incoming *incoming, struct reply *reply)
{
    json_error_t error;
    if (incoming->too_large) {
        reply_error(reply, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLarge",
                    "the request's body is larger than %d bytes", REQUEST_BODY_MAX);
        return false;
    }
    if (incoming->body.length == 0)
        return true;
    incoming->json =
        json_loadb(incoming->body.data, incoming->body.length, JSON_REJECT_DUPLICATES, &error);
    if (incoming->json)
        return true;
    reply_error(reply, MHD_HTTP_BAD_REQUEST, "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: %s (line %d, "
                "column %d)",
                error.text, error.line, error.column);
    return false;
}

static enum MHD_Result answer(const struct listening *listening, struct MHD_Connection *connection,
                              const char *path, const char *method, struct incoming *incoming)
{
    struct reply reply = {0};
    if (parse_body(incoming, &reply)) {
        struct request request = {
            .serve = listening->serve,
            .method = method,
            .path = path,
            .connection = connection,
            .daemon = listening->daemon,
            .body = incoming->json,
        };
        if (listening->tcp)
            snprintf(request.base, sizeof(request.base), "http://%s", header(connection, "Host"));
        else
            snprintf(request.base, sizeof(request.base), "http://localhost");
        listening->serve->requests_served++;
        route_dispatch(&request, &reply);
    }
    if (reply.exec) {
        incoming->exec = reply.exec;
        return send_upgrade(connection);
    }
    return send_reply(connection, &reply);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *data, size_t *size, void **request)
{
    struct listening *listening = context;
    struct incoming *incoming = *request;
    (void)version;
    if (!incoming) {
        struct reply reply = {0};
        incoming = calloc(1, sizeof(*incoming));
        if (!incoming)
            return MHD_NO;
        *request = incoming;
        incoming->listening = listening;
        if (admit(listening, connection, page_is_open(method, path), &reply))
            return MHD_YES;
        log_warning("refused: %s %.200s: %u", method, path, reply.status);
        incoming->refused = true;
        return send_reply(connection, &reply);
    }
    if (*size > 0) {
        incoming->too_large |= incoming->body.length + *size > REQUEST_BODY_MAX;
        if (!incoming->too_large && buffer_append(&incoming->body, data, *size) < 0)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    loop_daemon_request_read(listening->daemon, connection);
    return answer(listening, connection, path, method, incoming);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    struct listening *listening = context;
    struct incoming *incoming = *request;
    (void)code;
    if (listening->daemon)
        loop_daemon_request_over(listening->daemon, connection);
    if (!incoming)
        return;
    buffer_done(&incoming->body);
    json_decref(incoming->json);
    exec_discard(incoming->exec);
    free(incoming);
    *request = NULL;
}

/* --- listeners ------------------------------------------------------------------------------ */

static int start(struct listening *listening, struct serve *serve, bool tcp, int fd,
                 struct error *err)
{
    listening->serve = serve;
    listening->tcp = tcp;
    const struct loop_daemon_options options = {
        .listen_fd = fd,
        .connections_max = CONNECTIONS_MAX,
        .idle_timeout_s = IDLE_TIMEOUT_S,
        .request_timeout_s = REQUEST_TIMEOUT_S,
        .handler = on_request,
        .completed = on_completed,
        .context = listening,
    };
    return loop_daemon_new(serve->loop, &options, &listening->daemon, err);
}

/* The state's lock is held: a socket that is there is a dead serve's. It must be one, and ours. */
static int remove_stale(const char *path, struct error *err)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "looking at '%s'", path);
    if (!S_ISSOCK(status.st_mode))
        return error_usage(err, "'%s' exists and is no socket; name another one with --socket",
                           path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return error_usage(err, "another server answers at '%s'; name another one with --socket",
                           path);
    return unlink(path) < 0 ? error_errno(err, errno, "removing '%s'", path) : 0;
}

static int listen_unix(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_usage(err,
                           "the socket's path '%s' is longer than %zu bytes; name another "
                           "one with --socket",
                           path, sizeof(address.sun_path) - 1);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int r = remove_stale(path, err);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177); /* the socket is 0600 from its first moment on */
    int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound < 0 || listen(fd, BACKLOG) < 0)
        return error_errno(err, errno, "listening on '%s'", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* A file of the state that nobody else can read. */
static int write_private(const struct serve *serve, const char *name, const char *text,
                         struct error *err)
{
    AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", serve->options->directory, name) < 0)
        return error_errno(err, ENOMEM, "writing '%s'", name);
    unlink(path);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    size_t length = strlen(text);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length)
        return error_errno(err, errno, "writing '%s'", path);
    return 0;
}

static int make_token(struct serve *serve, struct error *err)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_errno(err, errno, "making a token");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(serve->token + 2 * i, 3, "%02x", bytes[i]);
    return write_private(serve, "token", serve->token, err);
}

/* The page's address with the token, behind the '#': a browser sends that to nobody. */
static int write_page_address(const struct serve *serve, struct error *err)
{
    char text[128];
    snprintf(text, sizeof(text), "http://127.0.0.1:%u/#token=%s\n", serve->tcp_port, serve->token);
    return write_private(serve, "page", text, err);
}

static int open_tcp(struct serve *serve, struct listener_set *set, struct error *err)
{
    int fd = -1;
    int r = make_token(serve, err);
    if (r == 0)
        r = listen_loopback(serve->options->port, &fd, &serve->tcp_port, err);
    if (r == 0)
        r = write_page_address(serve, err);
    return r == 0 ? start(&set->tcp, serve, true, fd, err) : r;
}

int http_open(struct serve *serve, struct listener_set **ret, struct error *err)
{
    struct listener_set *set = calloc(1, sizeof(*set));
    int fd = -1;
    int r = 0;
    if (!set)
        return error_errno(err, ENOMEM, "starting the API");
    if (serve->options->systemd && sd_listen_fds(1) > 0) {
        fd = SD_LISTEN_FDS_START;
        serve->socket_is_managers = true;
        if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
            r = error_usage(err, "the socket that systemd hands over is no unix stream socket");
    } else {
        r = listen_unix(serve->options->socket, &fd, err);
        if (r == 0)
            snprintf(set->path, sizeof(set->path), "%s", serve->options->socket);
    }
    if (r == 0)
        r = start(&set->unix_socket, serve, false, fd, err);
    if (r == 0 && serve->options->tcp)
        r = open_tcp(serve, set, err);
    if (r < 0) {
        http_close(set);
        return r;
    }
    *ret = set;
    return 0;
}

void http_close(struct listener_set *set)
{
    if (!set)
        return;
    streams_stop(set->unix_socket.serve);
    struct loop_daemon *first = steal_ptr(&set->unix_socket.daemon);
    struct loop_daemon *second = steal_ptr(&set->tcp.daemon);
    loop_daemon_free(first);
    loop_daemon_free(second);
    if (set->path[0] != '\0')
        unlink(set->path);
    free(set);
}
