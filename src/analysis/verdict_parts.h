/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules of the verdict have in common: words, decisions, tests. Internal to src/analysis.
 */
#pragma once

#include "analysis/verdict.h"
#include "analysis/view.h"

/* The rule of succession (Laplace): after `agree` of `repeats` like outcomes, the chance that the
 * next is like them. Few repeats keep it low, however clear each one is. */
double verdict_succession(double agree, double repeats);

/* Append. */
void verdict_say(char text[static VERDICT_TEXT_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Append what it grows by per request, or per second: "3.5 MiB per request (95 % 3.4 MiB to 3.6
 * MiB)"; with two drivers, what each of them adds; and whether it speeds up or slows down. */
void verdict_say_growth(char text[static VERDICT_TEXT_MAX], const struct view *view);

/* How what would settle it begins where children were killed; verdict_children_seen() takes it away
 * again. */
#define ASKS_CHILDREN "What those children hold, each on its own, and "

/* Append which kind of memory it is, where that is not the process' own. */
void verdict_say_kind(char text[static VERDICT_TEXT_MAX], const struct view *view);

void verdict_decide(struct verdict *verdict, enum verdict_class class, enum driver driver,
                    enum evidence_level level, double confidence);
void verdict_leave_open(struct verdict *verdict, enum evidence_level level);

/* `share` of the limit where there is one, and at least `bytes`. */
double verdict_larger_share(double limit, double share, double bytes);
bool verdict_two_thirds(unsigned part, unsigned whole);

/* Growth by requests, or by seconds. */
const struct trend *verdict_trend(const struct view *view);
/* A trend counts below this p-value; 5 % would alarm too often over many arms. */
#define TREND_P 0.01
bool verdict_trend_rises(const struct trend *trend);

/* An arm without a death for memory. Returns 0 or -ENOMEM. */
int verdict_of_survivor(const struct view *view, struct verdict *verdict);
