/* SPDX-License-Identifier: Apache-2.0 */
/* How the processes of an arm ended, for the answer and the facts of the first screen. */
#pragma once

#include "report/story.h"
#include "report/text.h"

/* An end for memory. `limit` and `sentence` have a "%s" for the arm's limit. */
struct memory_end {
    const char *cause, *who, *limit, *sentence;
};

/* One that was not: the rest of "It ...", and who made it. */
struct other_end {
    const char *cause, *sentence, *who;
};

bool ends_is(const json_t *lifetime, const char *cause);
unsigned ends_count(const json_t *arm, const char *cause);
/* In the whole run: the kernel's kills are counted, of other ends the processes' ends are. */
double ends_in_run(const struct story *story, const char *cause);
/* The first lifetime that ended so; NULL. */
const json_t *ends_first(const json_t *arm, const char *cause);
/* The most frequent end for memory and how often; NULL when there was none. */
const struct memory_end *ends_main(const json_t *arm, unsigned *ret_count);
/* The end that was not for memory; NULL when there was none. */
const struct other_end *ends_other(const json_t *arm);
/* Restarts by a probe: "liveness-probe", "startup-probe". */
unsigned ends_restarts(const json_t *arm, const char *probe);

/* "512 MiB" where that is exact. */
const char *ends_limit_text(double bytes, char text[static FIGURE_TEXT_MAX]);
