/* SPDX-License-Identifier: Apache-2.0 */
/* The page's files, which are in this program, and the rules that a browser keeps for it. */
#include "api/resources.h"

#include "page_files.h"

#include <string.h>

/* No script, style or connection but our own, no frame around it, nothing from a text into the
 * document but as text. A report is framed (resource_run.c). */
static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

bool page_is_open(const char *method, const char *path)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return false;
    return strcmp(path, "/") == 0 || strncmp(path, "/web/", 5) == 0 ||
           strncmp(path, "/oomlab/reports/", 16) == 0;
}

static const struct page_file *find(const char *name)
{
    for (size_t i = 0; i < sizeof(PAGE_FILES) / sizeof(PAGE_FILES[0]); i++) {
        if (strcmp(PAGE_FILES[i].name, name) == 0)
            return &PAGE_FILES[i];
    }
    return NULL;
}

static void send_file(struct request *request, const struct page_file *file, struct reply *reply)
{
    const char *known = request_header(request, "If-None-Match");
    bool same = known && strstr(known, file->tag);
    reply_header(reply, "Content-Security-Policy", "%s", POLICY);
    reply_header(reply, "Referrer-Policy", "no-referrer");
    reply_header(reply, "ETag", "%s", file->tag);
    reply->cache = "no-cache";
    reply->type = file->type;
    reply->status = same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    reply->response = MHD_create_response_from_buffer(
        same ? 0 : file->length, (void *)(uintptr_t)file->data, MHD_RESPMEM_PERSISTENT);
    if (!reply->response)
        reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalServerError", "out of memory");
}

void page_get(struct request *request, struct reply *reply)
{
    send_file(request, find("index.html"), reply);
}

void page_file_get(struct request *request, struct reply *reply)
{
    const struct page_file *file = find(request->params[0]);
    if (file)
        send_file(request, file, reply);
    else
        reply_error(reply, MHD_HTTP_NOT_FOUND, "NotFound", "The page has no file '%s'.",
                    request->params[0]);
}
