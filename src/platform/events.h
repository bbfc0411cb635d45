/* SPDX-License-Identifier: Apache-2.0 */
/* Lifecycle events with Azure Container Apps' fields, reasons and texts. One row each in the store;
 * what Azure cannot say stands beside them as JSON, never instead. */
#pragma once

#include "base/error.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Whom an event is about. Strings are borrowed; `replica` may be NULL. */
struct event_subject {
    struct store *store;
    int64_t arm_id;
    const char *app, *revision, *replica;
};

/* Append an event of `type` ("Normal", "Warning") that happens now. `oomlab_json` may be NULL. */
int event_add(const struct event_subject *subject, const char *type, const char *reason,
              const char *oomlab_json, struct error *err, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* The same of something that has happened `count` times since it was last told. */
int event_add_count(const struct event_subject *subject, const char *type, const char *reason,
                    unsigned count, struct error *err, const char *text);
