/* SPDX-License-Identifier: Apache-2.0 */
/* A source read into one line of text a fact, for tests to compare: what is unknown is left out. */
#pragma once

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "import/facts.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gathered {
    struct buffer facts, warnings;
    const char *format; /* NULL: nothing recognised it */
    int result;
    struct error err;
    size_t count[FACT_COUNT];
};

static inline void gathered_done(struct gathered *gathered)
{
    buffer_done(&gathered->facts);
    buffer_done(&gathered->warnings);
}
#define AUTO_GATHERED __attribute__((cleanup(gathered_done))) struct gathered

static inline void put_time(struct buffer *to, const char *name, int64_t ns)
{
    char text[TIMESTAMP_TEXT_MAX];
    if (ns != FACT_TIME_UNKNOWN)
        buffer_printf(to, " %s=%s", name, timestamp_format(ns, text));
}

static inline void put_text(struct buffer *to, const char *name, const char *text)
{
    if (text)
        buffer_printf(to, " %s=%s", name, text);
}

static inline void put_oom(struct buffer *to, const struct kmsg_oom *oom)
{
    static const char *const scopes[] = {"?", "memcg", "global"};
    if (oom)
        buffer_printf(to, " oom{%s pid=%d comm=%s task=%s limit=%s anon=%jd}", scopes[oom->scope],
                      (int)oom->pid, oom->comm, oom->task_memcg, oom->oom_memcg,
                      (intmax_t)oom->anon_rss_kib);
}

static inline int gather_take(void *context, const struct fact *fact, struct error *err)
{
    static const char *const kinds[] = {
        "container", "start", "end",     "running", "restarts", "sample",  "limit",       "oom",
        "probe",     "stop",  "backoff", "state",   "image",    "console", "last-reason", "killer"};
    struct gathered *gathered = context;
    struct buffer *to = &gathered->facts;
    (void)err;
    gathered->count[fact->kind]++;
    buffer_printf(to, "%s %s/%s/%s", kinds[fact->kind], fact->place.app ? fact->place.app : "",
                  fact->place.replica ? fact->place.replica : "",
                  fact->place.container ? fact->place.container : "");
    if (fact->place.pod_uid)
        buffer_printf(to, " uid=%.8s", fact->place.pod_uid);
    if (fact->place.container_id)
        buffer_printf(to, " id=%.8s", fact->place.container_id);
    put_text(to, "cgroup", fact->place.cgroup);
    put_time(to, "at", fact->at_ns);
    if (fact->boot_ns != FACT_TIME_UNKNOWN)
        buffer_printf(to, " boot=%.6f", (double)fact->boot_ns / 1e9);
    put_time(to, "started", fact->started_ns);
    if (fact->exit_code != FACT_CODE_UNKNOWN)
        buffer_printf(to, " code=%d", fact->exit_code);
    if (fact->signal)
        buffer_printf(to, " signal=%d", fact->signal);
    if (fact->oom_killed)
        buffer_puts(to, " oom_killed");
    put_text(to, "reason", fact->reason);
    if (fact->kind == FACT_SAMPLE)
        buffer_printf(to, " %s=%.0f", metric_name(fact->metric), fact->value);
    if (fact->kind == FACT_LIMIT || fact->kind == FACT_RESTART_COUNT)
        buffer_printf(to, " %.0f", fact->value);
    if (fact->count)
        buffer_printf(to, " x%ju", (uintmax_t)fact->count);
    put_oom(to, fact->oom);
    put_text(to, "text", fact->oom ? NULL : fact->text);
    return buffer_puts(to, "\n");
}

static inline void gather_warn(void *context, uint64_t line, const char *text)
{
    struct gathered *gathered = context;
    buffer_printf(&gathered->warnings, "%ju: %s\n", (uintmax_t)line, text);
}

static inline void gather_with(const char *name, const void *data, size_t length,
                               const struct import_options *options, struct gathered *ret)
{
    *ret = (struct gathered){.result = -1};
    struct fact_sink sink = {gather_take, gather_warn, ret, options};
    AUTO_INPUT *input = NULL;
    struct head head;
    if (input_open_memory(name, data, length, &input, &ret->err) < 0 ||
        input_head(input, &head, &ret->err) < 0)
        return;
    const struct import_format *format = import_recognise(&head, options);
    if (!format)
        return;
    ret->format = format->name;
    ret->result = format->read(input, &sink, &ret->err);
}

static inline void gather(const char *text, struct gathered *ret)
{
    static const struct import_options none = {.limit_bytes = NAN};
    gather_with("input", text, strlen(text), &none, ret);
}

/* A file of tests/fixtures; an unreadable one leaves result -1. */
static inline void gather_file(const char *path, struct gathered *ret)
{
    static const struct import_options none = {.limit_bytes = NAN};
    AUTO_BUFFER text = {0};
    AUTO_BUFFER name = {0};
    struct error err = {0};
    buffer_printf(&name, "%s/tests/fixtures/%s", getenv("SOURCE_ROOT"), path);
    *ret = (struct gathered){.result = -1};
    if (file_read_all(AT_FDCWD, buffer_text(&name), (size_t)64 << 20, &text, &err) == 0)
        gather_with(path, text.data, text.length, &none, ret);
}
