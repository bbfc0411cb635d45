/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_junit.h"

#include "base/buffer.h"
#include "cli/junit.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool passes(const json_t *object)
{
    return json_is_true(json_object_get(object, "pass"));
}

/* "later: 402 requests (must be: more than 201 requests); ..." */
static void put_checks(const json_t *gate, bool failed_only, struct buffer *out)
{
    const char *separator = "";
    size_t index;
    json_t *check;
    json_array_foreach(json_object_get(gate, "checks"), index, check)
    {
        if (failed_only && passes(check))
            continue;
        buffer_printf(out, "%s%s: %s (must be: %s)", separator, text_of(check, "id"),
                      text_of(check, "observed"), text_of(check, "threshold"));
        separator = "; ";
    }
}

static void add_gate(struct junit *junit, const json_t *gate)
{
    AUTO_BUFFER failed = {0};
    AUTO_BUFFER seen = {0};
    const char *id = text_of(gate, "id");
    const char *slash = strchr(id, '/');
    bool pass = passes(gate);
    put_checks(gate, true, &failed);
    buffer_printf(&seen, "%s ", text_of(gate, "hypothesis"));
    put_checks(gate, false, &seen);
    junit_add(junit, &(const struct junit_case){
                         .suite = text_of(gate, "scenario"),
                         .name = slash ? slash + 1 : id,
                         .outcome = pass ? JUNIT_PASS : JUNIT_FAILURE,
                         .message = buffer_text(&failed),
                         .type = "gate",
                         .output = buffer_text(&seen),
                     });
}

static void add_verdict(struct junit *junit, const char *lab, const json_t *result, bool pass)
{
    AUTO_BUFFER seen = {0};
    const json_t *verdict = json_object_get(result, "verdict");
    const char *class = text_of(verdict, "class");
    buffer_printf(&seen, "%s, confidence %.2f, %s: %s", class,
                  json_number_value(json_object_get(verdict, "confidence")),
                  text_of(verdict, "level"), text_of(verdict, "summary"));
    junit_add(junit, &(const struct junit_case){
                         .suite = lab,
                         .name = "verdict",
                         .outcome = pass ? JUNIT_PASS : JUNIT_FAILURE,
                         .message = buffer_text(&seen),
                         .type = class,
                         .output = buffer_text(&seen),
                         .seconds = json_number_value(
                             json_object_get(json_object_get(result, "run"), "duration_s")),
                     });
}

int run_write_junit(const char *lab, const json_t *result, bool negative, FILE *out,
                    struct error *err)
{
    struct junit *junit = junit_new("run", lab);
    bool all_pass = true;
    size_t index;
    json_t *gate;
    json_array_foreach(json_object_get(result, "gates"), index, gate)
    {
        all_pass = all_pass && passes(gate);
        add_gate(junit, gate);
    }
    add_verdict(junit, lab, result, !negative || !all_pass);
    return junit_write(junit, out, err);
}
