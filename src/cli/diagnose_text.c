/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis for people, from the result object alone. */
#include "cli/diagnose_text.h"

#include "base/size.h"
#include "base/table.h"
#include "report/wrap.h"

#include <stdbool.h>
#include <string.h>

#define PROVEN_MAX 12
#define ENDS_MAX   30

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *seconds_text(const json_t *object, const char *key, char text[32])
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        snprintf(text, 32, "%.1f s", json_number_value(value));
    else
        snprintf(text, 32, "-");
    return text;
}

/* The wait is known where both its ends are. */
static bool wait_known(const json_t *lifetime, const json_t *before)
{
    return json_is_string(json_object_get(json_object_get(before, "end"), "at")) &&
           json_is_string(json_object_get(lifetime, "started_at"));
}

static void add_end(struct table *table, const json_t *lifetime, const json_t *before)
{
    const json_t *end = json_object_get(lifetime, "end");
    const json_t *code = json_object_get(end, "exit_code");
    char number[32], lived[32], waited[32] = "-", exit_code[32] = "-";
    snprintf(number, sizeof(number), "%d", (int)integer_of(lifetime, "index"));
    if (json_is_integer(code))
        snprintf(exit_code, sizeof(exit_code), "%d", (int)json_integer_value(code));
    if (wait_known(lifetime, before))
        seconds_text(lifetime, "backoff_s", waited);
    table_add(table,
              (const char *const[]){number, text_of(lifetime, "started_at"), text_of(end, "at"),
                                    seconds_text(lifetime, "uptime_s", lived), waited, exit_code,
                                    text_of(end, "cause"), text_of(end, "level")});
}

static void print_ends(const json_t *arm, FILE *out)
{
    static const char *const headings[] = {">#",    "started", "ended", ">lived", ">waited",
                                           ">code", "cause",   "level", NULL};
    const json_t *lifetimes = json_object_get(arm, "lifetimes");
    size_t count = json_array_size(lifetimes);
    if (count == 0)
        return;
    struct table *table = table_new(headings);
    if (!table)
        return;
    for (size_t i = count > ENDS_MAX ? count - ENDS_MAX : 0; i < count; i++)
        add_end(table, json_array_get(lifetimes, i), i ? json_array_get(lifetimes, i - 1) : NULL);
    fprintf(out, "\n");
    if (count > ENDS_MAX)
        fprintf(out, "The last %d of %zu lifetimes:\n", ENDS_MAX, count);
    table_print(table, out);
    table_free(table);
}

static bool is_proven(const char *level)
{
    return strcmp(level, "Measured") == 0 || strcmp(level, "Observed") == 0;
}

static const json_t *evidence_of(const json_t *result, const char *id)
{
    const json_t *all = json_object_get(result, "evidence");
    for (size_t i = 0; id && i < json_array_size(all); i++) {
        const json_t *item = json_array_get(all, i);
        if (strcmp(text_of(item, "id"), id) == 0)
            return item;
    }
    return NULL;
}

/* Under a container's own heading its name in front of every statement is too much. */
static const char *without_name(const char *statement, const char *name)
{
    size_t length = strlen(name);
    bool named = strncmp(statement, name, length) == 0 && strncmp(statement + length, ": ", 2) == 0;
    return named ? statement + length + 2 : statement;
}

/* "lifetime 7, unknown: ..." without its number; NULL for what is about no one lifetime. */
static const char *of_any_lifetime(const char *statement)
{
    if (strncmp(statement, "lifetime ", strlen("lifetime ")) != 0)
        return NULL;
    statement += strlen("lifetime ");
    return statement + strspn(statement, "0123456789");
}

/* Does it say of another lifetime what was said already? The ends stand in the table, too. */
static bool is_like(const char *statement, const char *shown)
{
    const char *a = of_any_lifetime(statement), *b = of_any_lifetime(shown);
    size_t ended = strlen(" ended at ");
    return a && b &&
           (strcmp(a, b) == 0 ||
            (strncmp(a, " ended at ", ended) == 0 && strncmp(b, " ended at ", ended) == 0));
}

static bool is_any_like(const char *statement, const char *const *shown, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_like(statement, shown[i]))
            return true;
    }
    return false;
}

static void print_statements(const json_t *result, const json_t *arm, bool proven,
                             const char *title, FILE *out)
{
    const json_t *verdict = json_object_get(arm, "verdict");
    const json_t *because = json_object_get(verdict, "because");
    const char *said[PROVEN_MAX];
    size_t shown = 0, left = 0, alike = 0;
    for (size_t i = 0; i < json_array_size(because); i++) {
        const json_t *item = evidence_of(result, json_string_value(json_array_get(because, i)));
        if (!item || is_proven(text_of(item, "level")) != proven)
            continue;
        const char *text = without_name(text_of(item, "statement"), text_of(arm, "name"));
        if (is_any_like(text, said, shown)) {
            alike++;
            continue;
        }
        if (shown == PROVEN_MAX) {
            left++;
            continue;
        }
        if (shown == 0)
            fprintf(out, "\n%s\n", title);
        said[shown++] = text;
        const json_t *source = json_object_get(item, "source");
        wrap_print(out, 2, "%s [%s, %s, %s:%d]", text, text_of(item, "id"), text_of(item, "level"),
                   text_of(source, "file"), (int)integer_of(source, "line"));
    }
    if (alike > 0)
        fprintf(out, "  and the same of other lifetimes, %zu more (--format json)\n", alike);
    if (left > 0)
        fprintf(out, "  and %zu more (--format json)\n", left);
}

static void print_caveats(const json_t *verdict, FILE *out)
{
    const json_t *caveats = json_object_get(verdict, "caveats");
    for (size_t i = 0; i < json_array_size(caveats); i++) {
        if (i == 0)
            fprintf(out, "\nWhat the samples do not show\n");
        wrap_print(out, 2, "%s", text_of(json_array_get(caveats, i), "text"));
    }
}

static void print_arm(const json_t *result, const json_t *arm, FILE *out)
{
    char limit[SIZE_TEXT_MAX] = "not recorded";
    const json_t *bytes = json_object_get(arm, "memory_limit_bytes");
    const json_t *verdict = json_object_get(arm, "verdict");
    if (json_is_integer(bytes) && json_integer_value(bytes) == 0)
        snprintf(limit, sizeof(limit), "none");
    else if (json_is_integer(bytes))
        size_format((uint64_t)json_integer_value(bytes), limit);
    fprintf(out, "Container  %s\n", text_of(arm, "name"));
    fprintf(out, "Limit      %s\n", limit);
    fprintf(out, "OOM kills  %d (restarts: %d)\n", (int)integer_of(arm, "oom_kills"),
            (int)integer_of(arm, "restarts"));
    fprintf(out, "Verdict    %s (%s)\n", text_of(verdict, "class"), text_of(verdict, "level"));
    wrap_print(out, 2, "%s", text_of(verdict, "summary"));
    print_ends(arm, out);
    print_statements(result, arm, true, "Proven by the records", out);
    print_statements(result, arm, false, "Likely, or not proven", out);
    print_caveats(verdict, out);
    const char *settle = json_string_value(json_object_get(verdict, "would_settle"));
    if (settle) {
        fprintf(out, "\nWhat would settle it\n");
        wrap_print(out, 2, "%s", settle);
    }
    fprintf(out, "\n");
}

void diagnose_print(const json_t *result, FILE *out)
{
    const json_t *arms = json_object_get(result, "arms");
    for (size_t i = 0; i < json_array_size(arms); i++)
        print_arm(result, json_array_get(arms, i), out);
    if (json_array_size(arms) == 0)
        wrap_print(out, 0, "%s", text_of(json_object_get(result, "verdict"), "summary"));
    const json_t *advice = json_object_get(result, "recommendation");
    fprintf(out, "Advice     %s\n", text_of(advice, "action"));
    wrap_print(out, 2, "%s", text_of(advice, "reason"));
}
