/* SPDX-License-Identifier: Apache-2.0 */
/* The report's sections, written into a document. What they say comes from the result object and,
 * for what that does not carry, from the evidence file. */
#pragma once

#include "report/document.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>

#define CITE_MAX 512

struct chart_arm;

struct story {
    struct document *document;
    struct store *store;
    const json_t *result;
    const json_t *run, *arms, *verdict, *gates, *predictions, *evidence;
    bool service; /* one's own command: no built-in scenarios, perhaps no revert */
    unsigned charts;
    struct chart_arm *front; /* the first screen's, for the observation to use again; NULL */
};

/* Build the whole report. */
int story_write(struct store *store, const json_t *result, struct document **ret,
                struct error *err);

/* Values by dotted path: "requests.completed". Missing or null: NULL, NAN, false. */
const json_t *value_at(const json_t *object, const char *path);
const char *text_at(const json_t *object, const char *path);
double number_at(const json_t *object, const char *path);
bool flag_at(const json_t *object, const char *path);
/* The same with a fallback for missing text. */
const char *text_or(const json_t *object, const char *path, const char *fallback);
bool is_text(const json_t *object, const char *path, const char *expected);

/* " [E3] [E4] (Measured)": the evidence and its weakest level. For a list of ids; or for a row of
 * the file, whose evidence is looked up (without any: " (row 7 of lifetime_end)"). */
const char *cite_ids(const struct story *story, const json_t *ids, char text[static CITE_MAX]);
const char *cite_row(const struct story *story, const char *table, double row,
                     char text[static CITE_MAX]);
/* Of a verdict: what it rests on, and its own level where that is weaker. */
const char *cite_verdict(const struct story *story, const json_t *verdict,
                         char text[static CITE_MAX]);
/* The same where the level is known: that of the end of a process. */
const char *cite_end(const struct story *story, const json_t *lifetime, char text[static CITE_MAX]);

/* The arm of a scenario by name; NULL. */
const json_t *find_arm(const struct story *story, const char *scenario, const char *name);
/* The same by its title, "leak/trigger". */
const json_t *find_titled_arm(const struct story *story, const char *title);
/* The first arm of its scenario. */
bool is_first_of_scenario(const struct story *story, size_t arm_index);
/* Kills over all arms. */
double total_kills(const struct story *story);
/* Kills in an arm's containers that did not end the main process. */
unsigned child_kills(const json_t *arm);
/* The same of one lifetime. */
unsigned child_kills_of(const json_t *lifetime);
/* A kill during which the kernel's own counter went up. */
bool is_proven_kill(const json_t *lifetime);
unsigned proven_kills(const json_t *arms);
/* Gates that pass; *ret_all is how many there are. */
size_t passing_gates(const struct story *story, size_t *ret_all);
/* The first arm whose verdict is `class`; NULL. */
const json_t *first_arm_of_class(const struct story *story, const char *class);

/* The sections, in order. Those that read the file can fail. */
int story_summary(struct story *story, struct error *err);
/* The arm that the answer is about: the first that shows the run's verdict, and was killed if any
 * of those was; NULL without arms. */
const json_t *answer_subject(const struct story *story);
/* The answer in one or a few plain sentences. */
void answer_append(const struct story *story, struct buffer *out);
/* Who, which limit, how often, leak or not, what to do. */
void story_facts(const struct story *story);
/* The verdict's words are weaker where its confidence or its level is. */
bool answer_is_unsure(const struct story *story);
/* A larger limit is advised that nobody saw hold. */
bool answer_is_a_guess(const struct story *story);
/* The chart of the first screen, of one arm. */
int story_front_chart(struct story *story, const json_t *arm, struct error *err);
void story_front_chart_done(struct story *story);
int story_question(struct story *story, struct error *err);
void story_setup(struct story *story);
void story_hypothesis(struct story *story);
void story_prediction(struct story *story);
void story_experiment(struct story *story);
int story_execution(struct story *story, struct error *err);
int story_observation(struct story *story, struct error *err);
void story_measurement(struct story *story);
/* Parts of sections: what the requests met, and what else happened (nothing: no heading). */
void story_requests(const struct story *story);
int story_events(struct story *story, struct error *err);
/* Which code kept the memory; without a heap profile: why, where one was asked for, or nothing. */
int story_heap(struct story *story, struct error *err);
void story_analysis(struct story *story);
void story_conclusion(struct story *story);
void story_falsification(struct story *story);
int story_evidence(struct story *story, struct error *err);
void story_solution(struct story *story);
void story_prevention(struct story *story);
void story_takeaway(struct story *story);
void story_support(struct story *story);
void story_cleanup(struct story *story);
