/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 40

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment distance (Damerau-Levenshtein without overlapping swaps) of two words of
 * at most WORD_MAX letters. */
static unsigned distance_of(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned cost[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++)
        cost[i][0] = (unsigned)i;
    for (size_t j = 0; j <= b_length; j++)
        cost[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        for (size_t j = 1; j <= b_length; j++) {
            unsigned replace = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = min3(cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && cost[i - 2][j - 2] + 1 < cost[i][j])
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    }
    return cost[a_length][b_length];
}

void nearest_init(struct nearest *nearest, const char *word)
{
    *nearest = (struct nearest){.word = word, .distance = UINT_MAX};
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    size_t length = strlen(nearest->word);
    size_t candidate_length = strlen(candidate);
    if (length > WORD_MAX || candidate_length > WORD_MAX)
        return;
    size_t longer = length > candidate_length ? length : candidate_length;
    unsigned distance = distance_of(nearest->word, length, candidate, candidate_length);
    bool near = distance <= (longer + 2) / 3;
    /* An abbreviation beats a guess that is further away, but no close misspelling. */
    if (!near && length >= 3 && strncmp(nearest->word, candidate, length) == 0) {
        near = true;
        distance = (unsigned)(longer + 2) / 3;
    }
    if (near && distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

const char *nearest_hint(const struct nearest *nearest, const char *prefix,
                         char text[static NEAREST_HINT_MAX])
{
    text[0] = '\0';
    if (nearest->best)
        snprintf(text, NEAREST_HINT_MAX, "; did you mean '%s%s'?", prefix, nearest->best);
    return text;
}
