/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest correct spelling of a word that nobody knows: for options, verbs and lab-file keys.
 */
#pragma once

struct nearest {
    const char *word; /* borrowed */
    const char *best; /* borrowed from the candidate; NULL: none is near */
    unsigned distance;
};

void nearest_init(struct nearest *nearest, const char *word);
/* Remember the candidate if it is nearer than those before. Near means: at most a third of the
 * longer word's letters are inserted, left out, replaced or swapped with their neighbour (optimal
 * string alignment), or the word is the candidate's beginning (three letters at least). */
void nearest_offer(struct nearest *nearest, const char *candidate);

#define NEAREST_HINT_MAX 96
/* "; did you mean '--memory'?" with `prefix` before the word, or "" when nothing is near. */
const char *nearest_hint(const struct nearest *nearest, const char *prefix,
                         char text[static NEAREST_HINT_MAX]);
