/* SPDX-License-Identifier: Apache-2.0 */
/* The report from beginning to end, and what its sections share. */
#include "report/story.h"

#include "base/terms.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CITED_MAX 6

const json_t *value_at(const json_t *object, const char *path)
{
    char key[64];
    while (object && path) {
        const char *dot = strchr(path, '.');
        size_t length = dot ? (size_t)(dot - path) : strlen(path);
        if (length >= sizeof(key))
            return NULL;
        memcpy(key, path, length);
        key[length] = '\0';
        object = json_object_get(object, key);
        path = dot ? dot + 1 : NULL;
    }
    return object;
}

const char *text_at(const json_t *object, const char *path)
{
    return json_string_value(value_at(object, path));
}

const char *text_or(const json_t *object, const char *path, const char *fallback)
{
    const char *text = text_at(object, path);
    return text ? text : fallback;
}

double number_at(const json_t *object, const char *path)
{
    const json_t *value = value_at(object, path);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

bool flag_at(const json_t *object, const char *path)
{
    return json_is_true(value_at(object, path));
}

bool is_text(const json_t *object, const char *path, const char *expected)
{
    const char *text = text_at(object, path);
    return text && strcmp(text, expected) == 0;
}

static enum evidence_level level_of(const char *name)
{
    for (enum evidence_level level = 0; level < LEVEL_COUNT; level++) {
        if (name && strcmp(level_name(level), name) == 0)
            return level;
    }
    return LEVEL_NOT_PROVEN;
}

struct citation {
    char *text;
    size_t used;
    unsigned count;
    enum evidence_level level;
};

static void cite(struct citation *citation, const char *id, const char *level)
{
    citation->level = level_weaker(citation->level, level_of(level));
    if (++citation->count > CITED_MAX || citation->used + 48 > CITE_MAX)
        return;
    citation->used += (size_t)snprintf(citation->text + citation->used, CITE_MAX - citation->used,
                                       " " REF("%.24s"), id);
}

static void cite_close(struct citation *citation)
{
    char *end = citation->text + citation->used;
    size_t room = CITE_MAX - citation->used;
    if (citation->count > CITED_MAX)
        snprintf(end, room, " and %u more (%s)", citation->count - CITED_MAX,
                 level_name(citation->level));
    else if (citation->count > 0)
        snprintf(end, room, " (%s)", level_name(citation->level));
}

static const json_t *evidence_by_id(const struct story *story, const json_t *id)
{
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)story->evidence, index, item)
    {
        if (json_equal(json_object_get(item, "id"), id))
            return item;
    }
    return NULL;
}

static const char *cite_list(const struct story *story, const json_t *ids,
                             enum evidence_level level, char text[static CITE_MAX])
{
    struct citation citation = {.text = text, .level = level};
    text[0] = '\0';
    size_t index;
    json_t *id;
    json_array_foreach((json_t *)ids, index, id)
        cite(&citation, json_string_value(id), text_at(evidence_by_id(story, id), "level"));
    cite_close(&citation);
    return text;
}

const char *cite_ids(const struct story *story, const json_t *ids, char text[static CITE_MAX])
{
    return cite_list(story, ids, LEVEL_MEASURED, text);
}

const char *cite_verdict(const struct story *story, const json_t *verdict,
                         char text[static CITE_MAX])
{
    return cite_list(story, json_object_get(verdict, "because"),
                     level_of(text_at(verdict, "level")), text);
}

static unsigned cite_source(const struct story *story, const char *table, double row,
                            struct citation *citation)
{
    char key[32];
    snprintf(key, sizeof(key), "%.0f", row);
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)story->evidence, index, item)
    {
        if (is_text(item, "source.table", table) && is_text(item, "source.row", key))
            cite(citation, text_or(item, "id", "?"), text_at(item, "level"));
    }
    return citation->count;
}

const char *cite_row(const struct story *story, const char *table, double row,
                     char text[static CITE_MAX])
{
    struct citation citation = {.text = text};
    text[0] = '\0';
    if (cite_source(story, table, row, &citation) == 0)
        snprintf(text, CITE_MAX, " (row %.0f of " CODE("%s") ")", row, table);
    cite_close(&citation);
    return text;
}

const char *cite_end(const struct story *story, const json_t *lifetime, char text[static CITE_MAX])
{
    struct citation citation = {.text = text};
    double row = number_at(lifetime, "row");
    text[0] = '\0';
    if (cite_source(story, "lifetime_end", row, &citation) == 0) {
        snprintf(text, CITE_MAX, " (%s, row %.0f of " CODE("lifetime_end") ")",
                 text_or(lifetime, "end.level", "Not Proven"), row);
        return text;
    }
    citation.level = level_of(text_at(lifetime, "end.level"));
    cite_close(&citation);
    return text;
}

const json_t *find_arm(const struct story *story, const char *scenario, const char *name)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (is_text(arm, "scenario", scenario) && is_text(arm, "name", name))
            return arm;
    }
    return NULL;
}

const json_t *find_titled_arm(const struct story *story, const char *title)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        const char *scenario = text_or(arm, "scenario", "");
        size_t length = strlen(scenario);
        if (strncmp(title, scenario, length) == 0 && title[length] == '/' &&
            is_text(arm, "name", title + length + 1))
            return arm;
    }
    return NULL;
}

bool is_first_of_scenario(const struct story *story, size_t arm_index)
{
    const char *scenario = text_or(json_array_get(story->arms, arm_index), "scenario", "");
    for (size_t i = 0; i < arm_index; i++) {
        if (is_text(json_array_get(story->arms, i), "scenario", scenario))
            return false;
    }
    return true;
}

double total_kills(const struct story *story)
{
    double kills = 0;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm) kills += number_at(arm, "oom_kills");
    return kills;
}

static bool is_kernel_kill(const json_t *lifetime)
{
    return cause_is_kernel_kill(cause_parse(text_or(lifetime, "end.cause", "")));
}

/* By how much a counter rose: [start, end]. */
static double risen(const json_t *counter)
{
    return (double)(json_integer_value(json_array_get(counter, 1)) -
                    json_integer_value(json_array_get(counter, 0)));
}

bool is_proven_kill(const json_t *lifetime)
{
    return is_kernel_kill(lifetime) && risen(value_at(lifetime, "end.counters.oom_kill")) > 0;
}

unsigned proven_kills(const json_t *arms)
{
    unsigned proven = 0;
    size_t index;
    size_t inner;
    json_t *arm;
    json_t *lifetime;
    json_array_foreach((json_t *)arms, index, arm)
    {
        json_array_foreach(json_object_get(arm, "lifetimes"), inner, lifetime) proven +=
            is_proven_kill(lifetime);
    }
    return proven;
}

/* Kills in its container that did not end its main process. A group kill counts each of its victims
 * and takes the main process along, so that nothing can be said of children then. */
unsigned child_kills_of(const json_t *lifetime)
{
    const json_t *count = value_at(lifetime, "end.counters.oom_kill");
    const json_t *group = value_at(lifetime, "end.counters.oom_group_kill");
    if (json_array_size(count) != 2 || risen(group) > 0)
        return 0;
    return (unsigned)fmax(0, risen(count) - is_kernel_kill(lifetime));
}

unsigned child_kills(const json_t *arm)
{
    unsigned kills = 0;
    size_t index;
    json_t *lifetime;
    json_array_foreach(json_object_get(arm, "lifetimes"), index, lifetime) kills +=
        child_kills_of(lifetime);
    return kills;
}

size_t passing_gates(const struct story *story, size_t *ret_all)
{
    size_t passing = 0;
    size_t index;
    json_t *gate;
    json_array_foreach((json_t *)story->gates, index, gate) passing += flag_at(gate, "pass");
    *ret_all = json_array_size(story->gates);
    return passing;
}

const json_t *first_arm_of_class(const struct story *story, const char *class)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (is_text(arm, "verdict.class", class))
            return arm;
    }
    return NULL;
}

static bool is_service(const struct story *story)
{
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (!is_text(arm, "scenario", "service"))
            return false;
    }
    return true;
}

static int write_sections(struct story *story, struct error *err)
{
    int r = story_summary(story, err);
    if (r == 0)
        r = story_question(story, err);
    story_setup(story);
    story_hypothesis(story);
    story_prediction(story);
    story_experiment(story);
    if (r == 0)
        r = story_execution(story, err);
    if (r == 0)
        r = story_observation(story, err);
    story_measurement(story);
    if (r == 0)
        r = story_heap(story, err);
    story_analysis(story);
    story_conclusion(story);
    story_falsification(story);
    if (r == 0)
        r = story_evidence(story, err);
    story_solution(story);
    story_prevention(story);
    story_takeaway(story);
    story_support(story);
    story_cleanup(story);
    return r;
}

int story_write(struct store *store, const json_t *result, struct document **ret, struct error *err)
{
    struct story story = {
        .store = store,
        .result = result,
        .run = json_object_get(result, "run"),
        .arms = json_object_get(result, "arms"),
        .verdict = json_object_get(result, "verdict"),
        .gates = json_object_get(result, "gates"),
        .predictions = json_object_get(result, "predictions"),
        .evidence = json_object_get(result, "evidence"),
    };
    char title[512];
    snprintf(title, sizeof(title), "Lab report: %.400s", text_or(story.run, "lab", "a run"));
    story.service = is_service(&story);
    story.document = document_new(title);
    int r = story.document ? write_sections(&story, err) : 0;
    if (r == 0 && document_failed(story.document))
        r = error_errno(err, ENOMEM, "writing the report");
    story_front_chart_done(&story);
    if (r < 0) {
        document_free(story.document);
        return r;
    }
    *ret = story.document;
    return 0;
}
