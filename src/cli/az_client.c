/* SPDX-License-Identifier: Apache-2.0 */
/* The client of oomlab serve: its unix socket, or http://127.0.0.1:PORT with the token. */
#include "cli/az_client.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS    50
#define WAIT_MAX_S 900
#define ANSWER_MAX ((size_t)256 << 20)
#define TOKEN_MAX  4096
#define ACCEPTED   202
#define NOT_FOUND  404

void az_answer_done(struct az_answer *answer)
{
    json_decref(answer->body);
    free(answer->text);
    *answer = (struct az_answer){0};
}

struct transfer {
    struct buffer body;
    struct az_answer *answer;
};

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count;
    if (transfer->body.length + length > ANSWER_MAX)
        return 0;
    return buffer_append(&transfer->body, data, length) == 0 ? length : 0;
}

/* The path of a link to our server: what stands after the host. */
static void take_operation(struct az_answer *answer, const char *value, size_t length)
{
    char link[sizeof(answer->operation)];
    snprintf(link, sizeof(link), "%.*s", (int)length, value);
    const char *host = strstr(link, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    if (path)
        memmove(answer->operation, path, strlen(path) + 1);
}

/* Azure-AsyncOperation, which tells more, goes before Location. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    static const char name[] = "Azure-AsyncOperation: ";
    static const char location[] = "Location: ";
    struct transfer *transfer = context;
    size_t length = size * count;
    size_t end = length;
    while (end > 0 && (data[end - 1] == '\r' || data[end - 1] == '\n'))
        end--;
    if (end > sizeof(name) && strncasecmp(data, name, sizeof(name) - 1) == 0)
        take_operation(transfer->answer, data + sizeof(name) - 1, end - (sizeof(name) - 1));
    else if (end > sizeof(location) && transfer->answer->operation[0] == '\0' &&
             strncasecmp(data, location, sizeof(location) - 1) == 0)
        take_operation(transfer->answer, data + sizeof(location) - 1, end - (sizeof(location) - 1));
    return length;
}

/* "Authorization: Bearer ..." from $OOMLAB_TOKEN or the token file beside the socket. */
int az_token_header(struct buffer *line, struct error *err)
{
    AUTO_BUFFER token = {0};
    char path[PLACE_MAX];
    const char *given = getenv("OOMLAB_TOKEN");
    if (given) {
        buffer_puts(&token, given);
    } else {
        int r = serve_place("token", path, err);
        if (r == 0)
            r = file_read_all(AT_FDCWD, path, TOKEN_MAX, &token, err);
        if (r < 0)
            return error_wrap(err, "reading the token (or set OOMLAB_TOKEN)");
    }
    const char *text = buffer_text(&token);
    buffer_printf(line, "Authorization: Bearer %.*s", (int)strcspn(text, "\r\n"), text);
    return 0;
}

/* The socket is there, but not for this user. */
static int forbidden(const char *server, const struct stat *status, struct error *err)
{
    const struct passwd *owner = getpwuid(status->st_uid);
    char name[64];
    if (owner)
        snprintf(name, sizeof(name), "%s", owner->pw_name);
    else
        snprintf(name, sizeof(name), "uid %u", status->st_uid);
    return error_set(err, EACCES,
                     "permission denied: the socket '%s' of oomlab serve takes its owner's "
                     "connections alone. Run this as %s, or ask over TCP with a token: "
                     "'oomlab serve --tcp', --server http://127.0.0.1:PORT and OOMLAB_TOKEN",
                     server, name);
}

/* "127.0.0.1:9400" */
static bool is_address(const char *server)
{
    const char *port = strrchr(server, ':');
    return port && port != server && port[1] != '\0' && !strchr(server, '/') &&
           port[1 + strspn(port + 1, "0123456789")] == '\0';
}

int az_unreachable(const char *server, CURLcode code, struct error *err)
{
    struct stat status;
    bool tcp = strncmp(server, "http://", 7) == 0;
    if (!tcp && access(server, R_OK | W_OK) < 0 && errno == EACCES) {
        if (stat(server, &status) == 0)
            return forbidden(server, &status, err);
        return error_set(err, EACCES,
                         "permission denied: '%s' lies in a directory that this user may not "
                         "enter. Run this as the user who runs oomlab serve, or say where yours "
                         "is with --server or OOMLAB_SERVER",
                         server);
    }
    if (is_address(server) && access(server, F_OK) < 0)
        return error_set(err, ECONNREFUSED,
                         "'%s' is taken as the path of a socket: for an address say http://, as in "
                         "--server http://%s",
                         server, server);
    return error_set(err, ECONNREFUSED,
                     "no answer from oomlab serve at '%s': %s. Start it with 'oomlab serve', or "
                     "say where it is with --server or OOMLAB_SERVER",
                     server, curl_easy_strerror(code));
}

static int perform(CURL *easy, const char *server, const char *method, const char *path,
                   const char *text, struct curl_slist **headers, struct error *err)
{
    AUTO_BUFFER url = {0};
    bool tcp = strncmp(server, "http://", 7) == 0;
    size_t length = strlen(server);
    while (tcp && length > 0 && server[length - 1] == '/')
        length--;
    buffer_printf(&url, "%.*s%s", tcp ? (int)length : 16, tcp ? server : "http://localhost", path);
    if (tcp) {
        AUTO_BUFFER token = {0};
        int r = az_token_header(&token, err);
        if (r < 0)
            return r;
        *headers = curl_slist_append(*headers, buffer_text(&token));
    } else {
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, server);
    }
    *headers = curl_slist_append(*headers, "Expect:");
    *headers = curl_slist_append(*headers, "Content-Type: application/json");
    curl_easy_setopt(easy, CURLOPT_URL, buffer_text(&url));
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* ".." is a name like any other */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (text || strcmp(method, "POST") == 0)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, text ? text : "");
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L); /* after it nothing comes */
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    CURLcode code = curl_easy_perform(easy);
    return code == CURLE_OK ? 0 : az_unreachable(server, code, err);
}

int az_find_server(const struct az_arguments *arguments, char place[static PLACE_MAX],
                   struct error *err)
{
    const char *given = arguments->server ? arguments->server : getenv("OOMLAB_SERVER");
    if (!given || given[0] == '\0')
        return serve_place("socket", place, err);
    if (strlen(given) >= PLACE_MAX)
        return error_usage(err, "--server is too long");
    snprintf(place, PLACE_MAX, "%s", given);
    return 0;
}

int az_send(const struct az_arguments *arguments, const char *method, const char *path,
            const json_t *body, struct az_answer *ret, struct error *err)
{
    char server[PLACE_MAX];
    int r = az_find_server(arguments, server, err);
    AUTO_FREE char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = NULL;
    struct transfer transfer = {.answer = ret};
    *ret = (struct az_answer){0};
    if (r == 0 && (!easy || (body && !text)))
        r = error_errno(err, ENOMEM, "preparing a request");
    if (r == 0) {
        long status = 0;
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
        r = perform(easy, server, method, path, text, &headers, err);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        ret->status = (unsigned)status;
        ret->body = json_loads(buffer_text(&transfer.body), JSON_DECODE_ANY, NULL);
        ret->text = buffer_steal(&transfer.body);
    }
    buffer_done(&transfer.body);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return r;
}

/* ARM's error as az prints it: (Code) message. */
int az_told_error(const struct az_answer *answer, struct error *err)
{
    const json_t *error = json_object_get(answer->body, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    return error_set(err, answer->status == NOT_FOUND ? ENOENT : EREMOTEIO, "(%s) %s",
                     code ? code : "HTTP error", message ? message : "no message");
}

int az_ask(const struct az_arguments *arguments, const char *method, const char *path,
           const json_t *body, struct az_answer *ret, struct error *err)
{
    int r = az_send(arguments, method, path, body, ret, err);
    if (r == 0 && ret->status >= 400)
        r = az_told_error(ret, err);
    return r;
}

int az_failed(struct error *err)
{
    if (err->code != -ENOENT || err->text[0] != '(')
        return err->code;
    log_error("%s", err->text);
    return STATUS_NEGATIVE; /* 3, as az for a missing resource */
}

int az_wait(const struct az_arguments *arguments, struct az_answer *answer, struct error *err)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    if (answer->operation[0] == '\0' || arguments->no_wait)
        return 0;
    for (unsigned i = 0; i < WAIT_MAX_S * 1000 / POLL_MS; i++) {
        AUTO_ANSWER now = {0};
        int r = az_ask(arguments, "GET", answer->operation, NULL, &now, err);
        const char *status = json_string_value(json_object_get(now.body, "status"));
        if (r < 0)
            return r;
        if (status && strcmp(status, "Failed") == 0)
            return az_told_error(&now, err);
        bool under_way = status ? strcmp(status, "InProgress") == 0 : now.status == ACCEPTED;
        if (!under_way)
            return 0;
        nanosleep(&pause, NULL);
    }
    return error_set(err, ETIMEDOUT,
                     "the operation has not finished after %d s; 'oomlab containerapp logs show "
                     "--type system' tells what goes on",
                     WAIT_MAX_S);
}

int az_list(const struct az_arguments *arguments, const char *path, json_t **ret, struct error *err)
{
    json_t *list = json_array();
    AUTO_FREE char *next = strdup(path);
    int r = list && next ? 0 : error_errno(err, ENOMEM, "reading a list");
    while (r == 0 && next) {
        AUTO_ANSWER page = {0};
        r = az_ask(arguments, "GET", next, NULL, &page, err);
        free(next);
        next = NULL;
        json_array_extend(list, json_object_get(page.body, "value"));
        const char *link = json_string_value(json_object_get(page.body, "nextLink"));
        const char *host = link ? strstr(link, "://") : NULL;
        const char *rest = host ? strchr(host + 3, '/') : NULL;
        if (r == 0 && rest)
            next = strdup(rest);
    }
    if (r < 0) {
        json_decref(list);
        return r;
    }
    *ret = list;
    return 0;
}
