/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a file of requests. Whatever is accepted must be fit for the wire, and each request
 * written out again must parse to the same. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "traffic/traffic.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct traffic_request *request)
{
    AUTO_BUFFER text = {0};
    buffer_printf(&text, "%s %s %s", request->method, request->path,
                  request->body ? request->body : "");
    struct traffic_request again = {0};
    struct error err = {0};
    if (text.failed || traffic_request_parse(buffer_text(&text), &again, &err) < 0)
        abort();
    bool same = strcmp(again.method, request->method) == 0 &&
                strcmp(again.path, request->path) == 0 && again.body_bytes == request->body_bytes &&
                again.headers == request->headers &&
                (!request->body || strcmp(again.body, request->body) == 0);
    if (!same)
        abort();
    traffic_request_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    if (!text || strchr(text, '@')) /* "@FILE" would read what the fuzzer happens to name */
        return 0;
    struct traffic_request *requests = NULL;
    size_t count = 0;
    struct error err = {0};
    if (traffic_requests_parse_text("fuzz", text, &requests, &count, &err) < 0) {
        if (err.kind != ERROR_USAGE || strncmp(err.text, "fuzz:", 5) != 0 || requests)
            abort();
        return 0;
    }
    if (count == 0)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (requests[i].path[0] != '/' || strpbrk(requests[i].path, " \t\r\n#"))
            abort();
        check_again(&requests[i]);
    }
    traffic_requests_free(requests, count);
    return 0;
}
