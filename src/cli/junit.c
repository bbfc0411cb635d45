/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/junit.h"

#include "base/buffer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct junit {
    char *verb, *lab;
    struct junit_case *cases; /* their texts are owned */
    size_t count;
    bool failed; /* an allocation */
};

/* NULL stays NULL. */
static char *copy(struct junit *junit, const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    junit->failed = junit->failed || (text && !copied);
    return copied;
}

struct junit *junit_new(const char *verb, const char *lab)
{
    struct junit *junit = calloc(1, sizeof(*junit));
    if (!junit)
        return NULL;
    junit->verb = copy(junit, verb);
    junit->lab = copy(junit, lab);
    return junit;
}

static void free_case(struct junit_case *test)
{
    free((char *)test->suite);
    free((char *)test->name);
    free((char *)test->message);
    free((char *)test->type);
    free((char *)test->output);
}

void junit_free(struct junit *junit)
{
    if (!junit)
        return;
    for (size_t i = 0; i < junit->count; i++)
        free_case(&junit->cases[i]);
    free(junit->cases);
    free(junit->verb);
    free(junit->lab);
    free(junit);
}

void junit_add(struct junit *junit, const struct junit_case *test)
{
    if (!junit)
        return;
    struct junit_case *grown = reallocarray(junit->cases, junit->count + 1, sizeof(*junit->cases));
    junit->failed = junit->failed || !grown;
    if (!grown)
        return;
    junit->cases = grown;
    junit->cases[junit->count++] = (struct junit_case){
        .suite = copy(junit, test->suite),
        .name = copy(junit, test->name),
        .outcome = test->outcome,
        .message = copy(junit, test->message),
        .type = copy(junit, test->type),
        .output = copy(junit, test->output),
        .seconds = fmax(test->seconds, 0), /* NAN: 0 */
    };
}

int junit_open(const char *path, FILE **ret, struct error *err)
{
    if (!path)
        return 0;
    *ret = fopen(path, "we");
    if (!*ret)
        return error_usage(err, "--junit: cannot write '%s': %s", path, strerror(errno));
    return 0;
}

/* Into an attribute or text. Characters that XML cannot hold become '?'. */
static void put_escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else
            fputc(c < 0x20 ? '?' : c, out);
    }
}

static void put_attribute(const char *name, const char *value, FILE *out)
{
    fprintf(out, " %s=\"", name);
    put_escaped(value, out);
    fputc('"', out);
}

static void put_outcome(const struct junit_case *test, FILE *out)
{
    static const char *const elements[] = {
        [JUNIT_SKIPPED] = "skipped", [JUNIT_FAILURE] = "failure", [JUNIT_ERROR] = "error"};
    if (test->outcome == JUNIT_PASS)
        return;
    fprintf(out, "      <%s", elements[test->outcome]);
    put_attribute("message", test->message ? test->message : "", out);
    if (test->type)
        put_attribute("type", test->type, out);
    fputs("/>\n", out);
}

static void put_case(const struct junit *junit, const struct junit_case *test, FILE *out)
{
    AUTO_BUFFER class_name = {0};
    buffer_printf(&class_name, "%s.%s", junit->lab, test->suite);
    fputs("    <testcase", out);
    put_attribute("classname",
                  strcmp(junit->lab, test->suite) == 0 ? junit->lab : buffer_text(&class_name),
                  out);
    put_attribute("name", test->name, out);
    fprintf(out, " time=\"%.3f\">\n", test->seconds);
    put_outcome(test, out);
    if (test->output) {
        fputs("      <system-out>", out);
        put_escaped(test->output, out);
        fputs("</system-out>\n", out);
    }
    fputs("    </testcase>\n", out);
}

static void put_counts(const struct junit_case *cases, size_t count, FILE *out)
{
    size_t counts[JUNIT_ERROR + 1] = {0};
    double seconds = 0;
    for (size_t i = 0; i < count; i++) {
        counts[cases[i].outcome]++;
        seconds += cases[i].seconds;
    }
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
            count, counts[JUNIT_FAILURE], counts[JUNIT_ERROR], counts[JUNIT_SKIPPED], seconds);
}

/* The cases from `first` on that belong to one suite; returns how many. */
static size_t put_suite(const struct junit *junit, size_t first, FILE *out)
{
    const struct junit_case *cases = &junit->cases[first];
    const char *suite = cases->suite ? cases->suite : "";
    size_t own = 1;
    while (first + own < junit->count && cases[own].suite && strcmp(cases[own].suite, suite) == 0)
        own++;
    fputs("  <testsuite", out);
    put_attribute("name", suite, out);
    put_counts(cases, own, out);
    for (size_t i = 0; i < own; i++)
        put_case(junit, &cases[i], out);
    fputs("  </testsuite>\n", out);
    return own;
}

static void put_suites(const struct junit *junit, FILE *out)
{
    AUTO_BUFFER name = {0};
    buffer_printf(&name, "oomlab %s", junit->verb);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
    put_attribute("name", buffer_text(&name), out);
    put_counts(junit->cases, junit->count, out);
    for (size_t at = 0; at < junit->count;)
        at += put_suite(junit, at, out);
    fputs("</testsuites>\n", out);
}

int junit_write(struct junit *junit, FILE *out, struct error *err)
{
    bool failed = !junit || junit->failed;
    if (out && !failed)
        put_suites(junit, out);
    junit_free(junit);
    if (!out)
        return 0;
    if (failed)
        return error_errno(err, ENOMEM, "--junit: writing the file");
    if (fflush(out) != 0 || ferror(out))
        return error_errno(err, errno, "--junit: writing the file");
    return 0;
}

void junit_write_failure(const char *verb, const char *lab, const char *why, FILE *out)
{
    struct error ignored;
    if (!out)
        return;
    struct junit *junit = junit_new(verb, lab);
    junit_add(junit, &(const struct junit_case){
                         .suite = lab,
                         .name = "run",
                         .outcome = JUNIT_ERROR,
                         .message = why,
                         .type = "error",
                     });
    junit_write(junit, out, &ignored);
}
