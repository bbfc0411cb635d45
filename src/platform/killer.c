/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/killer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>

/* Of the latest lines only: a killer that logs more than this in a container's life is not looking
 * for us. */
#define LINES_MAX 256

static void close_journal(sd_journal **journal)
{
    sd_journal_close(*journal);
}

bool killer_is_wanted(const struct life_facts *facts, const struct observation *end)
{
    const struct metrics *first = &end->end.start, *last = &end->end.end;
    bool counted = metrics_has(first, METRIC_OOM_KILL) && metrics_has(last, METRIC_OOM_KILL) &&
                   last->value[METRIC_OOM_KILL] > first->value[METRIC_OOM_KILL];
    return end->end.wait_code != CLD_EXITED && end->end.wait_status == SIGKILL && !counted &&
           facts->kernel_log == KERNEL_LOG_NONE && !facts->platform_sent_sigkill;
}

/* A field's value as text, cut to size; "" where the entry has none. */
static void field(sd_journal *journal, const char *name, char *ret, size_t size)
{
    const void *data;
    size_t length, skip = strlen(name) + 1; /* NAME= */
    ret[0] = '\0';
    if (sd_journal_get_data(journal, name, &data, &length) < 0 || length <= skip)
        return;
    snprintf(ret, size, "%.*s", (int)(length - skip), (const char *)data + skip);
}

static bool is_about(const struct killer_log *log, const struct life_facts *facts)
{
    if (log->killer == KILLER_OOMD)
        return kmsg_path_within(facts->kernel_path, log->cgroup);
    return log->signal == SIGKILL && facts->initial_pid_ns && log->pid == facts->main_pid;
}

static int open_journal(sd_journal **ret)
{
    int r = sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
    if (r < 0)
        return r;
    for (enum killer killer = KILLER_OOMD; killer <= KILLER_EARLYOOM; killer++) {
        char match[64];
        snprintf(match, sizeof(match), "SYSLOG_IDENTIFIER=%s", killer_name(killer));
        r = sd_journal_add_match(*ret, match, 0);
        if (r < 0)
            return r;
    }
    return sd_journal_seek_tail(*ret);
}

int killer_find_line(const struct life_facts *facts, int64_t since_ns, struct killer_line *ret)
{
    __attribute__((cleanup(close_journal))) sd_journal *journal = NULL;
    int r = open_journal(&journal);
    for (int i = 0; r >= 0 && i < LINES_MAX; i++) {
        uint64_t at_us;
        r = sd_journal_previous(journal);
        if (r == 0)
            return i == 0 ? -ENOENT : 0;
        if (r < 0 || (r = sd_journal_get_realtime_usec(journal, &at_us)) < 0)
            break;
        ret->at_ns = (int64_t)at_us * NS_PER_US;
        if (ret->at_ns < since_ns)
            return 0;
        char name[64];
        struct killer_log log;
        field(journal, "SYSLOG_IDENTIFIER", name, sizeof(name));
        field(journal, "MESSAGE", ret->text, sizeof(ret->text));
        ret->killer = killer_of_name(name, strlen(name));
        if (killer_log_parse(ret->killer, ret->text, &log) && is_about(&log, facts))
            return 1;
    }
    return r < 0 ? r : 0;
}

static void store_line(struct store *store, uint32_t lifetime_id, enum killer killer,
                       const char *source, int64_t at_ns, const char *text)
{
    /* As with events: the store remembers its first error, and the lab ends with it. */
    struct error ignored;
    const struct store_value values[] = {
        STORE_INT("lifetime_id", lifetime_id),
        STORE_STR("killer", killer_name(killer)),
        STORE_STR("source", source),
        STORE_INT("at_realtime_ns", at_ns),
        STORE_STR("text", text),
        STORE_END,
    };
    store_insert(store, "killer_log", values, NULL, &ignored);
}

void killer_add_line(struct life_facts *facts, const struct killer_line *line, struct store *store,
                     uint32_t lifetime_id)
{
    facts->oomd_log |= line->killer == KILLER_OOMD;
    facts->earlyoom_log |= line->killer == KILLER_EARLYOOM;
    store_line(store, lifetime_id, line->killer, "journal", line->at_ns, line->text);
}

void killer_add_marks(const struct life_facts *facts, struct store *store, uint32_t lifetime_id)
{
    const uint64_t *marks = facts->oomd_marks;
    if (marks[1] <= marks[0])
        return;
    char text[KILLER_TEXT_MAX];
    snprintf(text, sizeof(text),
             "user.oomd_ooms and user.oomd_kill of %.300s and above it: %" PRIu64 " -> %" PRIu64,
             facts->kernel_path, marks[0], marks[1]);
    store_line(store, lifetime_id, KILLER_OOMD, "xattr", clock_realtime_ns(), text);
}
