/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_request.h"

#include "lab/plan_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void plan_request_done(struct traffic_request *request)
{
    free((char *)request->method);
    free((char *)request->path);
    free((char *)request->body);
    strv_free((char **)request->headers);
    *request = (struct traffic_request){0};
}

/* Terminated, though the length counts: a body may hold any bytes. */
static char *copy_bytes(const char *data, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy) {
        memcpy(copy, data, length);
        copy[length] = '\0';
    }
    return copy;
}

int plan_request_copy(const struct traffic_request *from, struct traffic_request *ret,
                      struct error *err)
{
    char *const *headers = (char *const *)from->headers;
    struct traffic_request copy = {
        .method = strdup(from->method),
        .path = strdup(from->path),
        .headers = headers ? (const char **)strv_copy(headers, strv_length(headers)) : NULL,
        .body = from->body ? copy_bytes(from->body, from->body_bytes) : NULL,
        .body_bytes = from->body_bytes,
        .weight = from->weight,
    };
    if (!copy.method || !copy.path || (from->headers && !copy.headers) ||
        (from->body && !copy.body)) {
        plan_request_done(&copy);
        return error_errno(err, ENOMEM, "copying a request");
    }
    *ret = copy;
    return 0;
}

int plan_request_parse(const char *text, struct traffic_request *ret, struct error *err)
{
    struct traffic_request parsed = {0};
    int r = traffic_request_parse(text, &parsed, err);
    if (r < 0)
        return r;
    r = plan_request_copy(&parsed, ret, err);
    traffic_request_done(&parsed);
    return r;
}
