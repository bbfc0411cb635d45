/* SPDX-License-Identifier: Apache-2.0 */
/* logs show. */
#include "cli/containerapp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FOLLOW_MS 250

/* One row a line: a JSON object as az prints, or its text alone. */
static void print_row(const struct az_arguments *arguments, const json_t *row)
{
    bool text = arguments->format && strcasecmp(arguments->format, "text") == 0;
    if (!text) {
        json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        putchar('\n');
        return;
    }
    const char *words[] = {"TimeStamp", "Type", "Reason", "Msg", "Log"};
    const char *separator = "";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *word = json_string_value(json_object_get(row, words[i]));
        if (!word)
            continue;
        printf("%s%s", separator, word);
        separator = "  ";
    }
    putchar('\n');
}

static void put_value(struct buffer *query, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(query, "&%s=", name);
    az_put_escaped(query, value);
}

/* The rows after `after` (-1: the last ones), printed; `after` moves on. */
static int fetch(const struct az_arguments *arguments, long long *after, struct error *err)
{
    char path[AZ_PATH_MAX];
    AUTO_BUFFER query = {0};
    AUTO_ANSWER answer = {0};
    size_t i = 0;
    const json_t *row = NULL;
    buffer_printf(&query, "/oomlab/logs?type=%s", arguments->type ? arguments->type : "console");
    put_value(&query, "revision", arguments->revision);
    put_value(&query, "replica", arguments->replica);
    put_value(&query, "container", arguments->container);
    put_value(&query, "tail", arguments->tail);
    if (*after >= 0)
        buffer_printf(&query, "&after=%lld", *after);
    az_app_path(path, arguments, "%s", buffer_text(&query));
    int r = az_ask(arguments, "GET", path, NULL, &answer, err);
    if (r < 0)
        return r;
    json_array_foreach(json_object_get(answer.body, "value"), i, row)
    {
        print_row(arguments, row);
    }
    fflush(stdout);
    *after = json_integer_value(json_object_get(answer.body, "next"));
    return 0;
}

static int check_word(const char *option, const char *given, const char *one, const char *other,
                      struct error *err)
{
    if (!given || strcasecmp(given, one) == 0 || strcasecmp(given, other) == 0)
        return 0;
    return error_usage(err, "argument --%s: '%.40s' is not a valid value (%s, %s)", option, given,
                       one, other);
}

static int check_options(const struct az_arguments *arguments, struct error *err)
{
    long tail = 0;
    int r = arguments->tail ? az_whole_number("tail", arguments->tail, 0, 300, &tail, err) : 0;
    if (r == 0)
        r = check_word("type", arguments->type, "console", "system", err);
    return r == 0 ? check_word("format", arguments->format, "json", "text", err) : r;
}

int logs_show(const struct invocation *invocation, struct error *err)
{
    const struct az_arguments *arguments = invocation->arguments;
    const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000L};
    long long after = -1;
    int r = containerapp_require(invocation, err);
    if (r == 0)
        r = check_options(arguments, err);
    if (r < 0)
        return r;
    r = fetch(arguments, &after, err);
    while (r == 0 && arguments->follow && !ferror(stdout)) {
        nanosleep(&pause, NULL);
        r = fetch(arguments, &after, err);
    }
    return r == 0 ? STATUS_DONE : az_failed(err);
}
