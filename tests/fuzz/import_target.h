/* SPDX-License-Identifier: Apache-2.0 */
/* A parser of src/import on any bytes: every fact is within the contract, and an error says where.
 */
#pragma once

#include "import/formats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int target_take(void *context, const struct fact *fact, struct error *err)
{
    (void)err;
    size_t *sum = context;
    const char *const texts[] = {
        fact->place.app,       fact->place.revision, fact->place.replica,
        fact->place.container, fact->place.pod_uid,  fact->place.container_id,
        fact->place.cgroup,    fact->reason,         fact->text};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        *sum += texts[i] ? strlen(texts[i]) : 0; /* terminated */
    if (fact->kind >= FACT_COUNT || fact->origin >= ORIGIN_COUNT || fact->exit_code < -1 ||
        fact->exit_code > 255 || fact->signal < 0 || fact->signal > 64)
        abort();
    if (fact->kind == FACT_SAMPLE && (fact->metric >= METRIC_COUNT || !(fact->value >= 0)))
        abort();
    if (fact->kind == FACT_LIMIT && !(fact->value >= 0 && fact->value < INFINITY))
        abort();
    if (fact->oom && (!memchr(fact->oom->comm, 0, sizeof(fact->oom->comm)) || fact->oom->pid < 0))
        abort();
    return 0;
}

static inline void target_warn(void *context, uint64_t line, const char *text)
{
    size_t *sum = context;
    *sum += line + strlen(text);
}

static inline void
import_target(const uint8_t *data, size_t size,
              bool (*matches)(const struct head *, const struct import_options *),
              int (*read)(struct input *, const struct fact_sink *, struct error *))
{
    static const struct import_options options = {.limit_bytes = NAN};
    size_t sum = 0;
    struct fact_sink sink = {target_take, target_warn, &sum, &options};
    struct error err = {0};
    struct head head;
    AUTO_INPUT *input = NULL;
    if (input_open_memory("input", data, size, &input, &err) < 0 ||
        input_head(input, &head, &err) < 0)
        return;
    matches(&head, &options);
    if (read(input, &sink, &err) < 0 && (err.code >= 0 || err.text[0] == '\0'))
        abort();
}
