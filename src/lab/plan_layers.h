/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts one above the other: what is not said in one is looked up in the next, then the default.
 */
#pragma once

#include "lab/plan_draft.h"

struct layers {
    const struct draft *at[3]; /* strongest first: command line, scenario, top level */
    size_t count;
};

/* The strongest text of a setting; NULL: nobody gave it (the default is not looked at). */
const struct draft_text *layers_text(const struct layers *layers, enum setting setting);

typedef int (*layers_parser)(const char *text, void *ret, struct error *err);
/* Parse the strongest text, or else the default, into *ret; no default: *ret stays. An error points
 * at the text's place. */
int layers_read(const struct layers *layers, enum setting setting, layers_parser parser, void *ret,
                struct error *err);

const struct draft_words *layers_command(const struct layers *layers);
const struct draft_words *layers_patch_command(const struct layers *layers);
bool layers_https(const struct layers *layers);
bool layers_heap(const struct layers *layers);
/* The layer that says what is requested: --request or --requests-file; NULL: none. */
const struct draft *layers_requests(const struct layers *layers);
/* Defaults 3, 2, 2 for trigger, raise, revert, 0 (never) for the rest; each layer on top. */
struct kill_stops layers_kill_stops(const struct layers *layers);
bool layers_kills_given(const struct layers *layers);
/* The environment as NULL-terminated "K=V" for strv_free(): weaker layers first, stronger ones
 * replace variables in place; `patched`: the same for the patch's variables on top. NULL: out of
 * memory. */
char **layers_environment(const struct layers *layers, bool patched);

/* Parsers for layers_read(): the value's type is in the name. */
int read_memory(const char *text, void *ret_uint64, struct error *err);
int read_cpu(const char *text, void *ret_double, struct error *err);
int read_rate(const char *text, void *ret_double, struct error *err);
int read_sample_rate(const char *text, void *ret_double, struct error *err);
int read_pause(const char *text, void *ret_int64, struct error *err);    /* 0 to 1 h */
int read_deadline(const char *text, void *ret_int64, struct error *err); /* 100 ms to 24 h */
int read_cycles(const char *text, void *ret_unsigned, struct error *err);
int read_per_cycle(const char *text, void *ret_unsigned, struct error *err);
int read_confidence(const char *text, void *ret_double, struct error *err);
int read_pids(const char *text, void *ret_uint64, struct error *err);
int read_seed(const char *text, void *ret_uint64, struct error *err);
int read_flag(const char *text, void *ret_bool, struct error *err);
int read_heap_rate(const char *text, void *ret_uint64, struct error *err);
int read_port(const char *text, void *ret_uint16, struct error *err);
int read_probe(const char *text, void *ret_probe_spec, struct error *err);
int read_backoff(const char *text, void *ret_backoff_spec, struct error *err);
int read_arrival(const char *text, void *ret_arrival, struct error *err);
int read_expectation(const char *text, void *ret_expectation, struct error *err);
int read_arms(const char *text, void *ret_arm_order, struct error *err);
