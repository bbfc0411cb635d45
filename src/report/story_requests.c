/* SPDX-License-Identifier: Apache-2.0 */
/* What the traffic met: how late requests were sent, how long answers took, why there were none. */
#include "report/story.h"

#include "report/failures.h"
#include "report/text.h"

#include <math.h>

static void times_cell(struct document *document, const json_t *arm, const char *path)
{
    char text[FIGURE_TEXT_MAX];
    double ms = number_at(arm, path);
    document_cell(document, "%s", isfinite(ms) ? figure_seconds(ms / 1e3, text) : "-");
}

static void requests_row(const struct story *story, const json_t *arm)
{
    struct document *document = story->document;
    AUTO_BUFFER reasons = {0};
    failures_append(arm, &reasons);
    document_cell(document, "`%s/%s`", text_or(arm, "scenario", "?"), text_or(arm, "name", "?"));
    times_cell(document, arm, "requests.lateness_ms.p50");
    times_cell(document, arm, "requests.lateness_ms.p99");
    times_cell(document, arm, "requests.lateness_ms.max");
    times_cell(document, arm, "requests.latency_ms.p50");
    times_cell(document, arm, "requests.latency_ms.p99");
    document_cell(document, "%s", reasons.length > 0 ? buffer_text(&reasons) : "-");
}

void story_requests(const struct story *story)
{
    struct document *document = story->document;
    size_t index;
    json_t *arm;
    if (json_array_size(story->arms) == 0)
        return;
    document_subsection(document, "What the requests met");
    document_paragraph(document,
                       "*Late* is from when a request was due to when it was sent, *answer* from "
                       "then to the response. (Measured, table `request`)");
    document_table(document, (const char *const[]){"Arm", ">Late p50", ">Late p99", ">Late max",
                                                   ">Answer p50", ">Answer p99",
                                                   "Why requests failed", NULL});
    json_array_foreach((json_t *)story->arms, index, arm) requests_row(story, arm);
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        double not_sent = number_at(arm, "requests.not_sent");
        if (not_sent > 0)
            document_paragraph(document,
                               "In `%s/%s` the load generator gave up on %.0f requests (too many "
                               "in flight). That is oomlab's own limit: they were never sent, so "
                               "they do not count as failures of the service.",
                               text_or(arm, "scenario", "?"), text_or(arm, "name", "?"), not_sent);
    }
}
