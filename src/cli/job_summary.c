/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/job_summary.h"

#include "base/buffer.h"
#include "report/job_summary.h"
#include "report/text.h"

#include <errno.h>
#include <string.h>

int job_summary_open(const char *path, FILE **ret, struct error *err)
{
    if (!path)
        return 0;
    *ret = fopen(path, "ae");
    if (!*ret)
        return error_usage(err, "--summary: cannot write '%s': %s", path, strerror(errno));
    return 0;
}

struct document *job_summary_begin(const char *verb, const char *lab, const char *outcome)
{
    AUTO_BUFFER title = {0};
    AUTO_BUFFER name = {0};
    text_append_clean(&name, lab);
    buffer_printf(&title, "oomlab %s: %s%s%s", verb, buffer_text(&name), *outcome ? ": " : "",
                  outcome);
    return title.failed || name.failed ? NULL : document_new(buffer_text(&title));
}

int job_summary_write(struct document *document, FILE *out, struct error *err)
{
    AUTO_BUFFER text = {0};
    bool failed = document_failed(document);
    if (out && !failed)
        markdown_write(document, &text);
    document_free(document);
    if (!out)
        return 0;
    if (failed || text.failed)
        return error_errno(err, ENOMEM, "--summary: writing the file");
    /* What a step before this one wrote may end in the middle of a paragraph. */
    fprintf(out, "\n%s\n", buffer_text(&text));
    if (fflush(out) != 0 || ferror(out))
        return error_errno(err, errno, "--summary: writing the file");
    return 0;
}

int job_summary_write_run(const char *lab, const json_t *result, FILE *out, struct error *err)
{
    if (!out)
        return 0;
    struct document *document = job_summary_begin("run", lab, "");
    if (document)
        job_summary_append(result, document);
    return job_summary_write(document, out, err);
}

void job_summary_write_failure(const char *verb, const char *lab, const char *why, FILE *out)
{
    AUTO_BUFFER clean = {0};
    struct error ignored;
    if (!out)
        return;
    struct document *document = job_summary_begin(verb, lab, "ERROR");
    text_append_clean(&clean, why);
    if (document)
        document_paragraph(document, "It could not be carried out: %s", buffer_text(&clean));
    job_summary_write(document, out, &ignored);
}
