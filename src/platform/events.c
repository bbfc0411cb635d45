/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/events.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>

static int add(const struct event_subject *subject, const char *type, const char *reason,
               const char *oomlab_json, unsigned count, const char *text, struct error *err)
{
    const struct store_value values[] = {
        STORE_INT("arm_id", subject->arm_id),
        STORE_INT("at_ns", clock_monotonic_ns()),
        STORE_STR("type", type),
        STORE_STR("app", subject->app),
        STORE_STR("revision", subject->revision),
        STORE_STR("replica", subject->replica),
        STORE_STR("msg", text),
        STORE_STR("reason", reason),
        STORE_STR("event_source", "ContainerAppController"),
        STORE_INT("count", count),
        STORE_STR("oomlab", oomlab_json),
        STORE_END,
    };
    return store_insert(subject->store, "event", values, NULL, err);
}

int event_add(const struct event_subject *subject, const char *type, const char *reason,
              const char *oomlab_json, struct error *err, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return add(subject, type, reason, oomlab_json, 1, text, err);
}

int event_add_count(const struct event_subject *subject, const char *type, const char *reason,
                    unsigned count, struct error *err, const char *text)
{
    return add(subject, type, reason, NULL, count, text, err);
}
