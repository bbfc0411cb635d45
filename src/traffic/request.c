/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as people write them: "POST /items {"a":1}", one or a file of them. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/size.h"
#include "traffic/traffic.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define BODY_BYTES_MAX (16 * MIB)

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
static const char *const json_header[] = {"Content-Type: application/json", NULL};

/* One line of text and how far it is read; the column of a fault is where `at` stands. */
struct line {
    const char *text;
    size_t length;
    size_t at;
};

static void skip_blanks(struct line *line)
{
    while (line->at < line->length && (line->text[line->at] == ' ' || line->text[line->at] == '\t'))
        line->at++;
}

static struct line next_word(struct line *line)
{
    skip_blanks(line);
    struct line word = {line->text + line->at, 0, 0};
    while (line->at < line->length && line->text[line->at] != ' ' && line->text[line->at] != '\t') {
        line->at++;
        word.length++;
    }
    return word;
}

static size_t column_of(const struct line *line, const char *position)
{
    return (size_t)(position - line->text);
}

static int find_method(struct line *line, const struct line *word, const char **ret,
                       struct error *err)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        if (strlen(methods[i]) != word->length ||
            strncasecmp(methods[i], word->text, word->length) != 0)
            continue;
        if (memcmp(methods[i], word->text, word->length) != 0) {
            line->at = column_of(line, word->text);
            return error_usage(err, "methods are written in capitals: %s", methods[i]);
        }
        *ret = methods[i];
        return 0;
    }
    line->at = column_of(line, word->text);
    return error_usage(err,
                       "'%.*s' is neither a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS) "
                       "nor a path beginning with '/'",
                       (int)(word->length < 40 ? word->length : 40), word->text);
}

static int check_path(struct line *line, const struct line *path, struct error *err)
{
    if (path->length == 0)
        return error_usage(err, "the path is missing after the method, as in 'GET /health'");
    size_t begin = column_of(line, path->text);
    if (path->text[0] != '/') {
        line->at = begin;
        return error_usage(err, "the path must begin with '/'");
    }
    for (size_t i = 0; i < path->length; i++) {
        unsigned char c = (unsigned char)path->text[i];
        if (c > ' ' && c < 0x7f && c != '#')
            continue;
        line->at = begin + i;
        return error_usage(err, "the path holds %s: write it as %%%02X",
                           c == '#'    ? "a '#', which is never sent to a server"
                           : c >= 0x80 ? "a character outside ASCII"
                                       : "a control character",
                           c);
    }
    return 0;
}

/* The body's file, read once here: the plan must not change while it runs. */
static int read_body_file(const char *name, struct traffic_request *request, struct error *err)
{
    struct stat status;
    if (stat(name, &status) < 0)
        return error_usage(err, "the body's file '%s': %s", name, strerrordesc_np(errno));
    if (!S_ISREG(status.st_mode))
        return error_usage(err, "the body's file '%s' is not a regular file", name);
    AUTO_BUFFER contents = {0};
    int r = file_read_all(AT_FDCWD, name, BODY_BYTES_MAX, &contents, err);
    if (r < 0) {
        err->kind = ERROR_USAGE;
        return error_wrap(err, "the body's file");
    }
    request->body_bytes = contents.length;
    request->body = contents.length ? buffer_steal(&contents) : strdup("");
    return request->body ? 0 : error_errno(err, ENOMEM, "reading '%s'", name);
}

static int parse_body(struct line *line, struct traffic_request *request, struct error *err)
{
    skip_blanks(line);
    if (line->at == line->length)
        return 0;
    if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        return error_usage(err, "a %s request has no body: write spaces in the path as %%20",
                           request->method);
    size_t length = line->length - line->at;
    AUTO_FREE char *text = strndup(line->text + line->at, length);
    if (!text)
        return error_errno(err, ENOMEM, "a request's body");
    if (text[0] == '@') {
        int r = read_body_file(text + 1, request, err);
        if (r < 0)
            return r;
    } else {
        request->body_bytes = length;
        request->body = steal_ptr(&text);
    }
    if (request->body[0] == '{' || request->body[0] == '[')
        request->headers = json_header;
    return 0;
}

static int parse_line(struct line *line, struct traffic_request *ret, struct error *err)
{
    struct traffic_request request CLEANUP(traffic_request_done) = {.method = "GET", .weight = 1};
    struct line path = next_word(line);
    if (path.length == 0)
        return error_usage(err, "the request is empty: write a path, as in 'GET /health'");
    if (path.text[0] != '/') {
        int r = find_method(line, &path, &request.method, err);
        if (r < 0)
            return r;
        path = next_word(line);
    }
    int r = check_path(line, &path, err);
    if (r < 0)
        return r;
    request.path = strndup(path.text, path.length);
    if (!request.path)
        return error_errno(err, ENOMEM, "a request's path");
    r = parse_body(line, &request, err);
    if (r < 0)
        return r;
    *ret = request;
    request = (struct traffic_request){0};
    return 0;
}

/* Blanks and carriage returns at a line's end do not belong to it. */
static struct line line_of(const char *text, size_t length)
{
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    return (struct line){text, length, 0};
}

int traffic_request_parse(const char *text, struct traffic_request *ret, struct error *err)
{
    struct line line = line_of(text, strlen(text));
    if (memchr(line.text, '\n', line.length))
        return error_usage(err, "a request is one line");
    int r = parse_line(&line, ret, err);
    return r < 0
               ? error_wrap(err, "request '%.*s'", (int)(line.length < 60 ? line.length : 60), text)
               : 0;
}

void traffic_request_done(struct traffic_request *request)
{
    free((void *)request->path);
    free((void *)request->body);
    *request = (struct traffic_request){0};
}

/* Room for one more element of an array that doubles at powers of two. */
static struct traffic_request *grow(struct traffic_request *array, size_t count)
{
    if (count & (count - 1))
        return array;
    return reallocarray(array, count ? count * 2 : 1, sizeof(*array));
}

int traffic_requests_parse_text(const char *name, const char *text, struct traffic_request **ret,
                                size_t *ret_count, struct error *err)
{
    struct traffic_request *requests = NULL;
    size_t count = 0;
    unsigned number = 0;
    int r = 0;
    for (const char *next = text; next && *next;) {
        const char *end = strchrnul(next, '\n');
        struct line line = line_of(next, (size_t)(end - next));
        next = *end ? end + 1 : NULL;
        number++;
        if (line.length == 0 || line.text[strspn(line.text, " \t")] == '#')
            continue;
        struct traffic_request *grown = grow(requests, count);
        if (!grown) {
            r = error_errno(err, ENOMEM, "reading '%s'", name);
            break;
        }
        requests = grown;
        r = parse_line(&line, &requests[count], err);
        if (r < 0) {
            r = error_wrap(err, "%s:%u:%zu", name, number, line.at + 1);
            break;
        }
        count++;
    }
    if (r == 0 && count == 0)
        r = error_usage(err, "%s:1:1: no request in it: write one a line, as in 'GET /health'",
                        name);
    if (r < 0) {
        traffic_requests_free(requests, count);
        return r;
    }
    *ret = requests;
    *ret_count = count;
    return 0;
}

void traffic_requests_free(struct traffic_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        traffic_request_done(&requests[i]);
    free(requests);
}
