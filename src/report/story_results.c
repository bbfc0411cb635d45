/* SPDX-License-Identifier: Apache-2.0 */
/* What happened and what was measured. */
#include "report/story.h"

#include "base/cleanup.h"
#include "report/rows.h"
#include "report/text.h"
#include "report/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIFETIMES_SHOWN 20

static int execution_times(struct story *story, double arm_row, double *ret_start,
                           double *ret_duration, struct error *err)
{
    AUTO_ROWS rows = {0};
    *ret_start = *ret_duration = (double)NAN;
    int r = rows_query(&rows, story->store,
                       "SELECT (a.started_ns - r.monotonic_zero_ns) / 1e9,"
                       " (a.ended_ns - a.started_ns) / 1e9 FROM arm a, run r WHERE a.id = ?1",
                       (int64_t)arm_row, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r == 1) {
        *ret_start = row_real(&rows, 0);
        *ret_duration = row_real(&rows, 1);
    }
    return r < 0 ? r : 0;
}

static int execution_row(struct story *story, const json_t *arm, struct error *err)
{
    struct document *document = story->document;
    char text[FIGURE_TEXT_MAX];
    double start = 0;
    double duration = 0;
    int r = execution_times(story, number_at(arm, "row"), &start, &duration, err);
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    document_cell(document, "`%s`", text_or(arm, "revision", "?"));
    document_cell(document, "%s", figure_seconds(start, text));
    document_cell(document, "%s", figure_seconds(duration, text));
    document_cell(document, "%zu", json_array_size(json_object_get(arm, "lifetimes")));
    document_cell(document, "%s",
                  words_ended(text_at(arm, "ended_because"), text_at(arm, "stop_reason")));
    document_cell(document, "%s", text_or(arm, "health_state", "not recorded"));
    return r;
}

static int execution_events(struct story *story, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT reason, type, sum(count) FROM event GROUP BY reason, type"
                       " ORDER BY min(id)",
                       0, err);
    if (r == 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    struct document *document = story->document;
    document_paragraph(
        document,
        "The platform told this in Azure Container Apps' words (`events.ndjson`). One kill makes "
        "two rows, `ContainerTerminated` and `ProcessExited`: count kills, not rows.");
    document_table(document, (const char *const[]){"Reason", "Type", ">Count", NULL});
    for (; r == 1; r = rows_next(&rows, err)) {
        AUTO_FREE char *reason = row_text(&rows, 0);
        AUTO_FREE char *type = row_text(&rows, 1);
        document_cell(document, "`%s`", reason ? reason : "");
        document_cell(document, "%s", type ? type : "");
        document_cell(document, "%lld", (long long)row_integer(&rows, 2));
    }
    return r;
}

/* What the stopping rule said of each arm; nothing under fixed limits. */
static void stop_reasons(struct story *story)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        const char *reason = text_at(arm, "stop_reason");
        if (reason)
            document_item(story->document, "`%s/%s`: %s", text_or(arm, "scenario", "?"),
                          text_or(arm, "name", "?"), reason);
    }
}

/* The arms that were planned and have no row, of a scenario whose trigger was over. */
#define SKIPPED                                                                                    \
    "SELECT json_extract(s.value, '$.name') || '/' || json_extract(p.value, '$.name'),"            \
    " EXISTS (SELECT 1 FROM lifetime_end e JOIN lifetime l ON l.id = e.lifetime_id"                \
    "  WHERE l.arm_id = t.id AND e.cause = 'runtime-out-of-memory')"                               \
    " FROM run r, json_each(CASE WHEN json_valid(r.lab_json) THEN r.lab_json END, '$.scenarios') " \
    "s, json_each(s.value, '$.arms') p"                                                            \
    " JOIN arm t ON t.scenario = json_extract(s.value, '$.name') AND t.name = 'trigger'"           \
    " WHERE r.exit_status IN (0, 3) AND NOT EXISTS"                                                \
    " (SELECT 1 FROM arm a WHERE a.scenario = t.scenario"                                          \
    "  AND a.name = json_extract(p.value, '$.name')) ORDER BY s.key, p.key"

/* For all to see what was left out, and why. */
static int skipped_arms(struct story *story, struct error *err)
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store, SKIPPED, 0, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *name = row_text(&rows, 0);
        document_item(story->document, "`%s` was not run: %s", name ? name : "?",
                      row_integer(&rows, 1) != 0
                          ? "the runtime's own limit ended the trigger's processes, and the "
                            "container's, which this arm would change, had no part in it."
                          : "the kernel killed nothing in the trigger, so that there was nothing "
                            "to compare.");
    }
    return r < 0 ? r : 0;
}

int story_execution(struct story *story, struct error *err)
{
    struct document *document = story->document;
    char duration[FIGURE_TEXT_MAX];
    document_section(document, "Execution");
    if (flag_at(story->run, "interrupted"))
        document_note(document, TONE_BAD,
                      "*This run was interrupted.* What was recorded until then is below; what is "
                      "missing was not measured.");
    document_paragraph(document, "The run took %s. The arms of a scenario ran one after another%s:",
                       figure_seconds(number_at(story->run, "duration_s"), duration),
                       flag_at(story->run, "side_by_side") ? ", the scenarios side by side" : "");
    document_table(document, (const char *const[]){"Arm", "Revision", ">Began after", ">Took",
                                                   ">Processes", "Ended because", "Health", NULL});
    int r = 0;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (r == 0)
            r = execution_row(story, arm, err);
    }
    stop_reasons(story);
    if (r >= 0)
        r = skipped_arms(story, err);
    return r < 0 ? r : execution_events(story, err);
}

static void arm_row(const struct story *story, const json_t *arm)
{
    struct document *document = story->document;
    char text[FIGURE_TEXT_MAX];
    double peak = (double)NAN;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) peak =
        fmax(peak, number_at(lifetime, "working_set.peak_bytes"));
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    document_cell(document, "%s", figure_limit(number_at(arm, "memory_limit_bytes"), text));
    document_cell(document, "%s", figure_bytes(peak, text));
    document_cell(document, "%s", figure_number(number_at(arm, "oom_kills"), 0, text));
    document_cell(document, "%s", figure_number(number_at(arm, "restarts"), 0, text));
    document_cell(document, "%s", figure_number(number_at(arm, "requests.planned"), 0, text));
    document_cell(document, "%s", figure_number(number_at(arm, "requests.completed"), 0, text));
    document_cell(document, "%s", figure_number(number_at(arm, "requests.failed"), 0, text));
}

static void lifetime_row(const struct story *story, const json_t *lifetime)
{
    struct document *document = story->document;
    char text[FIGURE_TEXT_MAX];
    char peak[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    double growth = number_at(lifetime, "growth.bytes_per_request");
    double ready = number_at(lifetime, "ready_after_s");
    double code = number_at(lifetime, "end.exit_code");
    document_cell(document, "%s", figure_number(number_at(lifetime, "index"), 0, text));
    document_cell(document, "%s", isfinite(ready) ? figure_seconds(ready, text) : "never");
    document_cell(document, "%s", figure_seconds(number_at(lifetime, "uptime_s"), text));
    document_cell(document, "%s",
                  figure_number(number_at(lifetime, "requests_completed"), 0, text));
    document_cell(document, "%s",
                  figure_bytes(number_at(lifetime, "working_set.first_bytes"), text));
    document_cell(document, "%s",
                  figure_bytes(number_at(lifetime, "working_set.peak_bytes"), peak));
    if (isfinite(growth))
        document_cell(document, "%s", figure_growth(growth, text));
    else
        document_cell(document, "-");
    document_cell(document, "%s", isfinite(code) ? figure_number(code, 0, text) : "-");
    document_cell(document, "%s%s", words_cause(text_at(lifetime, "end.cause")),
                  cite_end(story, lifetime, cited));
}

/* What the verdict's growth consists of. */
static void growth_of_kinds(struct document *document, const json_t *arm)
{
    static const char *const WORDS[][2] = {{"anon", "anonymous memory"},
                                           {"shmem", "shared memory"},
                                           {"kernel", "kernel memory"},
                                           {"file_active", "active page cache"},
                                           {"file_inactive", "inactive page cache"}};
    const json_t *kinds = value_at(arm, "verdict.growth.by_kind");
    const char *separator = "";
    AUTO_BUFFER text = {0};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(*WORDS); i++) {
        char figure[FIGURE_TEXT_MAX];
        double bytes = number_at(kinds, WORDS[i][0]);
        if (!isfinite(bytes))
            continue;
        buffer_printf(&text, "%s%s %s", separator, WORDS[i][1], figure_growth(bytes, figure));
        separator = ", ";
    }
    if (*separator)
        document_paragraph(document, "Growth per %s by kind of memory: %s. (Table `growth_kind`)",
                           text_or(kinds, "per", "?"), buffer_text(&text));
}

static void measurement_of_arm(const struct story *story, const json_t *arm)
{
    struct document *document = story->document;
    const json_t *lifetimes = json_object_get(arm, "lifetimes");
    document_subsection(document, "Processes of %s/%s", text_or(arm, "scenario", "?"),
                        text_or(arm, "name", "?"));
    if (json_array_size(lifetimes) == 0) {
        document_paragraph(document, "No process was started.");
        return;
    }
    document_table(document, (const char *const[]){">No.", ">Ready after", ">Lived", ">Requests",
                                                   ">First", ">Peak", ">Growth per request",
                                                   ">Exit code", "End", NULL});
    size_t index;
    json_t *lifetime;
    json_array_foreach((json_t *)lifetimes, index, lifetime)
    {
        if (index < LIFETIMES_SHOWN)
            lifetime_row(story, lifetime);
    }
    if (json_array_size(lifetimes) > LIFETIMES_SHOWN)
        document_paragraph(document,
                           "The first %d of %zu processes; the rest are in `result.json`.",
                           LIFETIMES_SHOWN, json_array_size(lifetimes));
    growth_of_kinds(document, arm);
}

/* How fast the kernel's kills were seen and stored. */
static void measurement_of_detection(const struct story *story)
{
    double slowest = -INFINITY;
    unsigned counted = 0;
    size_t index;
    size_t inner;
    json_t *arm;
    json_t *lifetime;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        json_array_foreach(json_object_get(arm, "lifetimes"), inner, lifetime)
        {
            double after = number_at(lifetime, "end.detected_after_ms");
            counted += isfinite(after) ? 1 : 0;
            slowest = isfinite(after) ? fmax(slowest, after) : slowest;
        }
    }
    if (counted > 0)
        document_paragraph(story->document,
                           "Of %u kills the kernel log holds the moment; the slowest was noticed "
                           "%.2f ms after it. (Measured, table `kill`)",
                           counted, slowest);
}

void story_measurement(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Measurement");
    document_paragraph(
        document,
        "*Working set* is the memory that counts against the limit and cannot simply be "
        "dropped: usage minus inactive file cache, as Kubernetes and Azure show it. First and "
        "peak are the first and the highest sample. A request is completed when it got an answer "
        "below "
        "status 500; sent, but without an answer or with an error of the server, it failed. Once "
        "an arm has seen enough kills, the rest is not sent.");
    document_table(document, (const char *const[]){"Arm", ">Limit", ">Peak", ">Kills", ">Restarts",
                                                   ">Planned", ">Completed", ">Failed", NULL});
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm) arm_row(story, arm);
    measurement_of_detection(story);
    story_requests(story);
    json_array_foreach((json_t *)story->arms, index, arm) measurement_of_arm(story, arm);
}
