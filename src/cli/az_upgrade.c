/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to oomlab serve that goes on after its first answer. libcurl connects; what is said
 * then is our own, because it hands out no connection that was upgraded. */
#include "base/cleanup.h"
#include "cli/az_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define ANSWER_WAIT_MS 60000
#define HEAD_MAX       ((size_t)64 << 10)
#define BODY_MAX       ((size_t)1 << 20)

static int wait_for(int fd, short events, struct error *err)
{
    struct pollfd ready = {.fd = fd, .events = events};
    int r;
    do
        r = poll(&ready, 1, ANSWER_WAIT_MS);
    while (r < 0 && errno == EINTR);
    return r == 1 ? 0 : error_set(err, ETIMEDOUT, "oomlab serve does not answer");
}

static int send_all(int fd, const char *data, size_t length, struct error *err)
{
    while (length > 0) {
        int r = wait_for(fd, POLLOUT, err);
        if (r < 0)
            return r;
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0; /* refused before all of it was read: the answer says why */
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return error_errno(err, errno, "asking oomlab serve");
        data += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* At most `most` bytes more of the answer; what follows an upgrade is not ours to read. */
static int receive(int fd, struct buffer *answer, size_t most, struct error *err)
{
    char bytes[4096];
    int r = wait_for(fd, POLLIN, err);
    if (r < 0)
        return r;
    ssize_t n = recv(fd, bytes, most < sizeof(bytes) ? most : sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return error_errno(err, n < 0 ? errno : ECONNRESET, "reading oomlab serve's answer");
    return buffer_append(answer, bytes, (size_t)n) < 0
               ? error_errno(err, ENOMEM, "reading oomlab serve's answer")
               : 0;
}

/* Byte by byte: the frames after it come in the same stream. */
static int receive_head(int fd, struct buffer *head, struct error *err)
{
    int r = 0;
    while (r == 0 && head->length < HEAD_MAX) {
        if (head->length >= 4 && strcmp(head->data + head->length - 4, "\r\n\r\n") == 0)
            return 0;
        r = receive(fd, head, 1, err);
    }
    return r < 0 ? r : error_set(err, EPROTO, "oomlab serve's answer is too long");
}

static size_t body_length(const char *head)
{
    static const char name[] = "\r\nContent-Length:";
    const char *found = strcasestr(head, name);
    unsigned long length = found ? strtoul(found + sizeof(name) - 1, NULL, 10) : 0;
    return length < BODY_MAX ? length : BODY_MAX;
}

static int receive_error(int fd, unsigned status, const char *head, struct error *err)
{
    AUTO_BUFFER body = {0};
    size_t length = body_length(head);
    int r = 0;
    while (r == 0 && body.length < length)
        r = receive(fd, &body, length - body.length, err);
    if (r < 0)
        return r;
    AUTO_ANSWER answer = {
        .status = status,
        .body = json_loads(buffer_text(&body), JSON_DECODE_ANY, NULL),
    };
    return az_told_error(&answer, err);
}

static int converse(int fd, const struct buffer *request, struct error *err)
{
    AUTO_BUFFER head = {0};
    unsigned status = 0;
    int r = send_all(fd, request->data, request->length, err);
    if (r == 0)
        r = receive_head(fd, &head, err);
    if (r < 0)
        return r;
    if (sscanf(buffer_text(&head), "HTTP/1.1 %3u", &status) != 1)
        return error_set(err, EPROTO, "this is not the answer of oomlab serve");
    return status == 101 ? 0 : receive_error(fd, status, buffer_text(&head), err);
}

static int write_request(const char *server, const char *path, const json_t *body,
                         const char *protocol, struct buffer *request, struct error *err)
{
    bool tcp = strncmp(server, "http://", 7) == 0;
    const char *host = tcp ? server + 7 : "localhost";
    AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);
    AUTO_BUFFER token = {0};
    int r = tcp ? az_token_header(&token, err) : 0;
    if (r < 0)
        return r;
    buffer_printf(request, "POST %s HTTP/1.1\r\nHost: %.*s\r\n", path, (int)strcspn(host, "/"),
                  host);
    if (tcp)
        buffer_printf(request, "%s\r\n", buffer_text(&token));
    buffer_printf(request,
                  "Connection: Upgrade\r\nUpgrade: %s\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n%s",
                  protocol, text ? strlen(text) : 0, text ? text : "");
    return request->failed || !text ? error_errno(err, ENOMEM, "preparing a request") : 0;
}

static int connect_to(const char *server, int *ret_socket, struct error *err)
{
    CURL *easy = curl_easy_init();
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (!easy)
        return error_errno(err, ENOMEM, "preparing a request");
    bool tcp = strncmp(server, "http://", 7) == 0;
    if (!tcp)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, server);
    curl_easy_setopt(easy, CURLOPT_URL, tcp ? server : "http://localhost");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket);
    int fd = code == CURLE_OK ? fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    int errnum = errno;
    curl_easy_cleanup(easy);
    if (code != CURLE_OK)
        return az_unreachable(server, code, err);
    if (fd < 0)
        return error_errno(err, errnum, "connecting to oomlab serve");
    *ret_socket = fd;
    return 0;
}

int az_upgrade(const struct az_arguments *arguments, const char *path, const json_t *body,
               const char *protocol, int *ret_socket, struct error *err)
{
    char server[PLACE_MAX];
    AUTO_BUFFER request = {0};
    AUTO_CLOSE int fd = -1;
    int r = az_find_server(arguments, server, err);
    if (r == 0)
        r = write_request(server, path, body, protocol, &request, err);
    if (r == 0)
        r = connect_to(server, &fd, err);
    if (r == 0)
        r = converse(fd, &request, err);
    if (r == 0)
        *ret_socket = steal_fd(&fd);
    return r;
}
