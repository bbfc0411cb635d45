/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps in the evidence file what a profile says at the end of a run, while its programs are still
 * there to give the names; and which stack leads. */
#pragma once

#include "base/terms.h"
#include "heap/view.h"

#define HEAP_KEPT_STACKS  20
#define HEAP_NAME_MAX     160
#define HEAP_SENTENCE_MAX 1024

/* Where the reader should look in a stack. Foreign text. */
struct heap_place {
    char function[HEAP_NAME_MAX]; /* the innermost that is the program's own, where one is */
    char file[HEAP_NAME_MAX];     /* its base name; "": unknown */
    int line;                     /* 0: unknown */
    char caller[HEAP_NAME_MAX];   /* "": none worth a name */
};

/* The place of a recorded stack. */
void heap_place_find(const struct heap_view *view, uint32_t stack, struct heap_place *ret);

/* The place that the growth, or the memory held, goes to first: of all stacks that have the same.
 */
struct heap_leading {
    int64_t lifetime_id, stack_id; /* the latter of its largest stack's row in heap_stack */
    unsigned lifetime;
    bool growth;               /* else: of the memory held */
    bool children_seen;        /* it is what there was when a child process was killed for memory,
                                  and most of that */
    double share;              /* of the growth, or of the held memory, that the profile saw */
    enum evidence_level level; /* of the sentence */
    struct heap_place place;
    char sentence[HEAP_SENTENCE_MAX]; /* "94 % of the growth is f at a.c:8, called from g (...)." */
};

/* Choose by growth where `by_growth` and some is known, else by what was held, among the
 * places of stacks that were recorded. False: none leads, nothing was held, or memory is short. */
bool heap_lead(const struct heap_view *view, bool by_growth, struct heap_leading *ret);

/* Write the chosen lifetime's profile, its leading stacks and all stacks folded, into the store
 * (the tables heap_profile and heap_stack), and the names of all stacks of all lifetimes of its arm
 * (heap_names). 1: kept, and *ret says which stack leads; 0: none
 * leads, and nothing but names was written. Without a profile: a usage error, as in
 * heap_view_new(). */
int heap_keep(struct store *store, const char *directory, const struct heap_choice *choice,
              bool by_growth, struct heap_leading *ret, struct error *err);
