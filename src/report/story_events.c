/* SPDX-License-Identifier: Apache-2.0 */
/* What else happened: what neither the tables of arms nor the charts tell. */
#include "report/story.h"

#include "base/cleanup.h"
#include "base/plural.h"
#include "report/rows.h"

#include <stdlib.h>

#define ARM "coalesce(a.scenario || '/' || a.name, 'the run')"

/* A container that was told to end and had to be killed. */
#define IGNORED_SIGTERM                                                                            \
    "SELECT " ARM ", count(*), '', '' FROM lifetime_end e JOIN lifetime l ON l.id = e.lifetime_id" \
    " JOIN arm a ON a.id = l.arm_id WHERE e.platform_kill IN"                                      \
    " ('stop', 'liveness-probe', 'startup-probe')"                                                 \
    " AND e.cause = 'killed-by-platform' AND e.wait_code IN (2, 3) AND e.wait_status = 9"          \
    " GROUP BY a.id ORDER BY a.id"

/* Which port and path were asked in vain, and the last answer. A kill explains it by itself. */
#define NEVER_READY                                                                                \
    "SELECT " ARM ", count(*), CASE json_extract(r.lab_json, '$.ready.kind')"                      \
    " WHEN 'http' THEN 'HTTP ' || coalesce(json_extract(r.lab_json, '$.ready.path'), '/')"         \
    " WHEN 'tcp' THEN 'a TCP connection' ELSE 'readiness' END || ' on '"                           \
    " || coalesce('port ' || json_extract(r.lab_json, '$.port'), 'the port in $PORT'),"            \
    " coalesce((SELECT '. ' || v.msg FROM event v WHERE v.arm_id = a.id"                           \
    " AND v.reason = 'ProbeFailed' ORDER BY v.id DESC LIMIT 1), '')"                               \
    " FROM lifetime l JOIN arm a ON a.id = l.arm_id JOIN run r"                                    \
    " WHERE r.sample_rate_hz IS NOT NULL AND json_valid(r.lab_json)"                               \
    " AND NOT EXISTS (SELECT 1 FROM lifetime o WHERE o.arm_id = a.id AND o.ready_ns IS NOT NULL)"  \
    " AND NOT EXISTS (SELECT 1 FROM lifetime o JOIN lifetime_end e ON e.lifetime_id = o.id"        \
    " WHERE o.arm_id = a.id AND e.cause LIKE 'oom-%')"                                             \
    " GROUP BY a.id ORDER BY a.id"

#define EVENTS(condition)                                                                          \
    "SELECT " ARM ", sum(v.count), min(v.msg), '' FROM event v"                                    \
    " LEFT JOIN arm a ON a.id = v.arm_id WHERE " condition " GROUP BY a.id ORDER BY a.id"

static int list_finding(struct story *story, const char *sql, unsigned *shown, struct error *err,
                        void (*say)(struct story *story, const char *arm, long long count,
                                    const char *text, const char *more))
{
    AUTO_ROWS rows = {0};
    int r = rows_query(&rows, story->store, sql, 0, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *arm = row_text(&rows, 0);
        AUTO_FREE char *text = row_text(&rows, 2);
        AUTO_FREE char *more = row_text(&rows, 3);
        if (!arm || !text || !more)
            break;
        if ((*shown)++ == 0)
            document_subsection(story->document, "What else happened");
        say(story, arm, (long long)row_integer(&rows, 1), text, more);
    }
    return r;
}

static void say_liveness(struct story *story, const char *arm, long long count, const char *text,
                         const char *more)
{
    (void)text;
    (void)more;
    document_item(story->document,
                  "`%s`: the liveness probe failed and the container was restarted for "
                  "it %lld time%s. (Observed, table `event`)",
                  arm, count, plural((double)count));
}

static void say_startup(struct story *story, const char *arm, long long count, const char *text,
                        const char *more)
{
    (void)text;
    (void)more;
    document_item(story->document,
                  "`%s`: the startup probe failed and the container was restarted for "
                  "it %lld time%s. (Observed, table `event`)",
                  arm, count, plural((double)count));
}

/* How many is the counter's word: what the kernel logs is rate limited, and what the platform tells
 * is coalesced. Where neither counter nor end is known, the events are all there is. */
static void say_child(struct story *story, const char *arm, long long count, const char *text,
                      const char *more)
{
    long long counted = child_kills(find_titled_arm(story, arm));
    (void)more;
    count = counted > count ? counted : count;
    document_item(story->document,
                  "`%s`: %lld child process%s killed for memory while the container went on; one "
                  "of the lines about that: %s. (Tables `lifetime_end`, whose counter is complete, "
                  "and `event`)",
                  arm, count, count == 1 ? " was" : "es were", text);
}

static void say_console(struct story *story, const char *arm, long long count, const char *text,
                        const char *more)
{
    (void)count;
    (void)more;
    document_item(story->document, "`%s`: %s. (Observed, table `event`)", arm, text);
}

static void say_never_ready(struct story *story, const char *arm, long long count, const char *text,
                            const char *more)
{
    document_item(story->document,
                  "`%s`: none of its %lld processes became ready; what was asked for: "
                  "%s%s. (Measured, table `lifetime`)",
                  arm, count, text, more);
}

static void say_sigterm(struct story *story, const char *arm, long long count, const char *text,
                        const char *more)
{
    (void)text;
    (void)more;
    document_item(story->document,
                  "`%s`: SIGTERM did not end it within its grace, so it was ended by "
                  "SIGKILL, %lld time%s. Such a service loses what it has in hand at "
                  "every deployment. (Measured, table `lifetime_end`)",
                  arm, count, plural((double)count));
}

int story_events(struct story *story, struct error *err)
{
    static const struct {
        const char *sql;
        void (*say)(struct story *story, const char *arm, long long count, const char *text,
                    const char *more);
    } findings[] = {
        {NEVER_READY, say_never_ready},
        {EVENTS("v.reason = 'ProbeFailed' AND v.msg LIKE '%failed liveness probe%'"), say_liveness},
        {EVENTS("v.reason = 'ProbeFailed' AND v.msg LIKE '%failed startup probe%'"), say_startup},
        {EVENTS("v.reason = 'OOMKilledChild'"), say_child},
        {IGNORED_SIGTERM, say_sigterm},
        {EVENTS("v.reason = 'ConsoleLogTruncated'"), say_console},
    };
    unsigned shown = 0;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < sizeof(findings) / sizeof(findings[0]); i++)
        r = list_finding(story, findings[i].sql, &shown, err, findings[i].say);
    return r;
}
