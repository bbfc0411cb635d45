/* SPDX-License-Identifier: Apache-2.0 */
/* Probes and command lines from text: the values with an inner grammar. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "lab/plan_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_FAILURES_MAX 100000

static int probe_time(const char *text, int64_t *ret_ns, struct error *err)
{
    int64_t ns = 0;
    int r = duration_parse(text, &ns, err);
    if (r < 0)
        return r;
    if (ns < NS_PER_MS || ns > 3600 * NS_PER_S)
        return error_usage(err, "'%s' is out of range; it must be from 1ms to 1h", text);
    *ret_ns = ns;
    return 0;
}

static int probe_setting(const char *word, struct probe_spec *probe, struct error *err)
{
    if (strncmp(word, "period=", 7) == 0)
        return probe_time(word + 7, &probe->period_ns, err);
    if (strncmp(word, "timeout=", 8) == 0)
        return probe_time(word + 8, &probe->timeout_ns, err);
    if (strncmp(word, "delay=", 6) == 0)
        return duration_parse(word + 6, &probe->initial_delay_ns, err);
    if (strncmp(word, "failures=", 9) == 0) {
        uint64_t failures = 0;
        int r = count_parse(word + 9, 1, PROBE_FAILURES_MAX, &failures, err);
        if (r == 0)
            probe->failure_threshold = (unsigned)failures;
        return r;
    }
    return error_usage(err, "'%s' is none of period=, timeout=, delay=, failures=", word);
}

static int probe_kind(const char *word, struct probe_spec *probe, struct error *err)
{
    if (strcmp(word, "none") == 0) {
        probe->kind = READY_NONE;
    } else if (strcmp(word, "tcp") == 0) {
        probe->kind = READY_TCP;
    } else if (strncmp(word, "http:/", 6) == 0 && word[6] != '/') {
        if (strlen(word + 5) >= sizeof(probe->path))
            return error_usage(err, "the probe's path is longer than %zu characters",
                               sizeof(probe->path) - 1);
        probe->kind = READY_HTTP;
        strcpy(probe->path, word + 5);
    } else {
        return error_usage(err, "'%s' is no probe; it is none, tcp or http:/path", word);
    }
    return 0;
}

int probe_parse(const char *text, struct probe_spec *ret, struct error *err)
{
    struct probe_spec probe = *ret;
    CLEANUP(strv_cleanup) char **words = NULL;
    int r = command_split(text, &words, err);
    if (r < 0)
        return r;
    if (!words || !words[0])
        return error_usage(err, "a probe is none, tcp or http:/path");
    r = probe_kind(words[0], &probe, err);
    for (size_t i = 1; r == 0 && words[i]; i++) {
        if (probe.kind == READY_NONE)
            return error_usage(err, "'%s' has no meaning where there is no probe", words[i]);
        r = probe_setting(words[i], &probe, err);
    }
    if (r == 0)
        *ret = probe;
    return r;
}

void strv_free(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

size_t strv_length(char *const *strings)
{
    size_t length = 0;
    while (strings && strings[length])
        length++;
    return length;
}

char **strv_copy(char *const *strings, size_t count)
{
    char **copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(strings[i]);
        if (!copy[i]) {
            strv_free(copy);
            return NULL;
        }
    }
    return copy;
}

int strv_append(char ***strings, const char *text)
{
    size_t length = strv_length(*strings);
    char **grown = realloc(*strings, (length + 2) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    *strings = grown;
    grown[length] = strdup(text);
    grown[length + 1] = NULL;
    return grown[length] ? 0 : -ENOMEM;
}

/* One word from *at on; *ret_quote is the quote that stays open at the end of the text, or 0. */
static int split_word(const char **at, struct buffer *word, char *ret_quote)
{
    char quote = 0;
    const char *c = *at;
    for (; *c && (quote || !strchr(" \t\n", *c)); c++) {
        if (quote ? *c == quote : *c == '\'' || *c == '"') {
            quote = quote ? 0 : *c;
            continue;
        }
        if (*c == '\\' && quote != '\'' && c[1])
            c++;
        if (buffer_append(word, c, 1) < 0)
            return -ENOMEM;
    }
    *at = c;
    *ret_quote = quote;
    return 0;
}

int command_split(const char *text, char ***ret, struct error *err)
{
    CLEANUP(strv_cleanup) char **words = calloc(1, sizeof(*words));
    if (!words)
        return error_errno(err, ENOMEM, "splitting a command");
    const char *at = text + strspn(text, " \t\n");
    while (*at) {
        AUTO_BUFFER word = {0};
        char quote = 0;
        if (split_word(&at, &word, &quote) < 0 || strv_append(&words, buffer_text(&word)) < 0)
            return error_errno(err, ENOMEM, "splitting a command");
        if (quote)
            return error_usage(err, "the quote %c is not closed in: %.200s", quote, text);
        at += strspn(at, " \t\n");
    }
    *ret = steal_ptr(&words);
    return 0;
}
