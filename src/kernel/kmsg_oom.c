/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that mm/oom_kill.c and mm/memcontrol.c print, kernel 4.x to 6.18 and the old RHEL
 * forms.
 *
 * A task's name is 15 bytes of anything, and a cgroup's name is anything without '/': both can
 * imitate the text around them. So the fields that can only be numbers are taken from the line's
 * end, the name is what then fits into 15 bytes, and two cgroup paths are split where the victim's
 * lies within the one whose limit fired, as it does in every real report. */
#include "kernel/kmsg.h"

#include <string.h>

#define COMM_BYTES 15 /* TASK_COMM_LEN - 1 */

struct span {
    const char *start, *end;
};

static size_t span_length(struct span span)
{
    return (size_t)(span.end - span.start);
}

static void span_copy(struct span span, char *dest, size_t size)
{
    size_t length = span_length(span);
    if (length >= size)
        length = size - 1;
    memcpy(dest, span.start, length);
    dest[length] = '\0';
}

/* First occurrence of `needle` within the span, NULL without. */
static const char *span_find(struct span span, const char *needle)
{
    return memmem(span.start, span_length(span), needle, strlen(needle));
}

static const char *span_find_last(struct span span, const char *needle)
{
    const char *found = NULL;
    size_t length = strlen(needle);
    struct span rest = span;
    for (const char *p; (p = span_find(rest, needle)); rest.start = p + length)
        found = p;
    return found;
}

static bool span_starts(struct span span, const char *text)
{
    size_t length = strlen(text);
    return span_length(span) >= length && memcmp(span.start, text, length) == 0;
}

/* Drop `text` from the span's front if it is there. */
static bool take(struct span *span, const char *text)
{
    if (!span_starts(*span, text))
        return false;
    span->start += strlen(text);
    return true;
}

/* Decimal digits from the front; false and nothing taken when there is none or they overflow. */
static bool take_number(struct span *span, int64_t *ret)
{
    const char *p = span->start;
    int64_t value = 0;
    for (; p < span->end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return false;
    if (p == span->start)
        return false;
    span->start = p;
    *ret = value;
    return true;
}

static bool take_pid(struct span *span, pid_t *ret)
{
    struct span rest = *span;
    int64_t value;
    if (!take_number(&rest, &value) || value <= 0 || value > INT32_MAX)
        return false;
    *span = rest;
    *ret = (pid_t)value;
    return true;
}

/* Cut ",key=NUMBER" from the span's end. */
static bool take_number_from_end(struct span *span, const char *key, int64_t *ret)
{
    const char *found = span_find_last(*span, key);
    if (!found)
        return false;
    struct span digits = {found + strlen(key), span->end};
    if (!take_number(&digits, ret) || digits.start != digits.end)
        return false;
    span->end = found;
    return true;
}

/* Whether the span can be a task's name. dmesg and journals leave \xNN for one byte. */
static bool fits_comm(struct span span)
{
    size_t bytes = 0;
    for (const char *p = span.start; p < span.end; bytes++)
        p += span.end - p >= 4 && p[0] == '\\' && p[1] == 'x' ? 4 : 1;
    return bytes <= COMM_BYTES;
}

static bool span_within(struct span path, struct span ancestor)
{
    size_t length = span_length(ancestor);
    if (length == 0 || span_length(path) < length ||
        memcmp(path.start, ancestor.start, length) != 0)
        return false;
    return span_length(path) == length || ancestor.end[-1] == '/' || path.start[length] == '/';
}

bool kmsg_path_within(const char *path, const char *ancestor)
{
    return span_within((struct span){path, path + strlen(path)},
                       (struct span){ancestor, ancestor + strlen(ancestor)});
}

static void set_memcgs(struct kmsg_oom *ret, struct span oom, struct span task)
{
    ret->scope = KMSG_SCOPE_MEMCG;
    span_copy(oom, ret->oom_memcg, sizeof(ret->oom_memcg));
    span_copy(task, ret->task_memcg, sizeof(ret->task_memcg));
}

/* `head` up to `task` holds ",oom_memcg=": the first one that the victim's path agrees with. */
static bool find_oom_memcg(struct span head, struct span task, struct span *ret)
{
    static const char key[] = ",oom_memcg=";
    for (const char *p; (p = span_find(head, key)); head.start = p + 1) {
        *ret = (struct span){p + strlen(key), head.end};
        if (span_within(task, *ret))
            return true;
    }
    return false;
}

/* "...[,oom_memcg=A|,global_oom],task_memcg=B" of the summary line, B up to the span's end. */
static void parse_memcgs(struct span head, struct kmsg_oom *ret)
{
    static const char task_key[] = ",task_memcg=", oom_key[] = ",oom_memcg=",
                      global[] = ",global_oom";
    struct span rest = head, oom;
    for (const char *p; (p = span_find(rest, task_key)); rest.start = p + 1) {
        struct span task = {p + strlen(task_key), head.end};
        if (find_oom_memcg((struct span){head.start, p}, task, &oom)) {
            set_memcgs(ret, oom, task);
            return;
        }
    }
    /* Global, or a line that was cut, or cgroup paths that do not agree (never seen). */
    const char *found = span_find(head, task_key);
    struct span task = {head.end, head.end};
    if (found) {
        task.start = found + strlen(task_key);
        head.end = found;
    }
    const char *limit = span_find(head, oom_key);
    if (span_length(head) >= strlen(global) &&
        memcmp(head.end - strlen(global), global, strlen(global)) == 0) {
        ret->scope = KMSG_SCOPE_GLOBAL;
        span_copy(task, ret->task_memcg, sizeof(ret->task_memcg));
    } else if (limit) {
        set_memcgs(ret, (struct span){limit + strlen(oom_key), head.end}, task);
    } else {
        span_copy(task, ret->task_memcg, sizeof(ret->task_memcg));
    }
}

/* 5.0+ (dump_oom_summary):
 * "oom-kill:constraint=X,nodemask=M[,cpuset=C,mems_allowed=M],oom_memcg=A|global_oom,task_memcg=B,
 * task=COMM,pid=N,uid=N" */
static bool parse_summary(struct span line, struct kmsg_oom *ret)
{
    static const char task_key[] = ",task=";
    if (!take(&line, "oom-kill:constraint="))
        return false;
    ret->kind = KMSG_OOM_SUMMARY;
    int64_t uid, pid = 0;
    take_number_from_end(&line, ",uid=", &uid);
    if (take_number_from_end(&line, ",pid=", &pid) && pid <= INT32_MAX)
        ret->pid = (pid_t)pid;
    struct span rest = line;
    for (const char *p; (p = span_find(rest, task_key)); rest.start = p + 1) {
        struct span comm = {p + strlen(task_key), line.end};
        if (fits_comm(comm)) {
            span_copy(comm, ret->comm, sizeof(ret->comm));
            line.end = p;
            break;
        }
    }
    parse_memcgs(line, ret);
    return true;
}

/* Before 5.0: "Task in /a killed as a result of limit of /b". */
static bool parse_summary_v4(struct span line, struct kmsg_oom *ret)
{
    static const char middle[] = " killed as a result of limit of ";
    if (!take(&line, "Task in "))
        return false;
    const char *first = span_find(line, middle);
    if (!first)
        return false;
    ret->kind = KMSG_OOM_SUMMARY;
    struct span rest = line;
    for (const char *p; (p = span_find(rest, middle)); rest.start = p + 1) {
        struct span task = {line.start, p}, oom = {p + strlen(middle), line.end};
        if (span_within(task, oom)) {
            set_memcgs(ret, oom, task);
            return true;
        }
    }
    set_memcgs(ret, (struct span){first + strlen(middle), line.end},
               (struct span){line.start, first});
    return true;
}

/* "Tasks in X are going to be killed due to memory.oom.group set" (4.19+). */
static bool parse_group(struct span line, struct kmsg_oom *ret)
{
    if (!take(&line, "Tasks in "))
        return false;
    const char *end = span_find_last(line, " are going to be killed due to memory.oom.group set");
    if (!end)
        return false;
    ret->kind = KMSG_OOM_GROUP;
    span_copy((struct span){line.start, end}, ret->task_memcg, sizeof(ret->task_memcg));
    return true;
}

/* "KEY:NUMBER" that begins a word of the span; -1 without. */
static int64_t read_value(struct span span, const char *key)
{
    struct span rest = span;
    for (const char *p; (p = span_find(rest, key)); rest.start = p + 1) {
        struct span digits = {p + strlen(key), span.end};
        int64_t value;
        if ((p == span.start || p[-1] == ' ') && take_number(&digits, &value))
            return value;
    }
    return -1;
}

static void read_oom_score_adj(struct span span, const char *key, struct kmsg_oom *ret)
{
    const char *found = span_find_last(span, key);
    if (!found)
        return;
    struct span rest = {found + strlen(key), span.end};
    bool negative = take(&rest, "-");
    int64_t value;
    if (!take_number(&rest, &value))
        return;
    ret->has_oom_score_adj = true;
    ret->oom_score_adj = negative ? -value : value;
}

static void read_sizes(struct span tail, struct kmsg_oom *ret)
{
    ret->total_vm_kib = read_value(tail, "total-vm:");
    ret->anon_rss_kib = read_value(tail, "anon-rss:");
    ret->file_rss_kib = read_value(tail, "file-rss:");
    ret->shmem_rss_kib = read_value(tail, "shmem-rss:");
    ret->pgtables_kib = read_value(tail, "pgtables:");
    read_oom_score_adj(tail, " oom_score_adj:", ret);
}

/* What stands before "Kill process" and "Killed process" says whose memory ran out. */
static void take_message(struct span *line, struct kmsg_oom *ret)
{
    static const struct {
        const char *text;
        enum kmsg_scope scope;
    } messages[] = {
        {"Memory cgroup out of memory: ", KMSG_SCOPE_MEMCG},
        {"Out of memory: ", KMSG_SCOPE_GLOBAL},
        {"Out of memory (oom_kill_allocating_task): ", KMSG_SCOPE_GLOBAL},
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
        if (take(line, messages[i].text)) {
            ret->scope = messages[i].scope;
            return;
        }
}

/* "N (COMM)" with the closing `end`, the last in the line: behind it stand only numbers. */
static bool take_victim(struct span *line, const char *end, struct kmsg_oom *ret)
{
    struct span rest = *line;
    if (!take_pid(&rest, &ret->pid) || !take(&rest, " ("))
        return false;
    const char *close = span_find_last(rest, end);
    if (!close)
        return false;
    span_copy((struct span){rest.start, close}, ret->comm, sizeof(ret->comm));
    line->start = close + 1;
    return true;
}

/* RHEL 6: "Killed process 1234, UID 48, (httpd) total-vm:...". */
static bool take_victim_rhel6(struct span *line, struct kmsg_oom *ret)
{
    struct span rest = *line;
    int64_t uid;
    if (!take_pid(&rest, &ret->pid) || !take(&rest, ", UID ") || !take_number(&rest, &uid) ||
        !take(&rest, ", ("))
        return false;
    const char *close = span_find_last(rest, ") total-vm:");
    if (!close)
        return false;
    span_copy((struct span){rest.start, close}, ret->comm, sizeof(ret->comm));
    line->start = close + 1;
    return true;
}

/* "N (COMM" and the line ends: dmesg and syslog break it at a newline in the name. */
static bool take_victim_cut(struct span *line, struct kmsg_oom *ret)
{
    struct span rest = *line;
    if (!take_pid(&rest, &ret->pid) || !take(&rest, " (") || !fits_comm(rest))
        return false;
    span_copy(rest, ret->comm, sizeof(ret->comm));
    line->start = line->end;
    return true;
}

static bool parse_killed(struct span line, struct kmsg_oom *ret)
{
    take_message(&line, ret);
    if (!take(&line, "Killed process "))
        return false;
    /* RHEL 7 has the uid in between: "Killed process 1 (x), UID 0, total-vm:...". */
    if (!take_victim(&line, ") total-vm:", ret) && !take_victim(&line, "), UID ", ret) &&
        !take_victim_rhel6(&line, ret) && !take_victim_cut(&line, ret))
        return false;
    ret->kind = KMSG_OOM_KILLED;
    read_sizes(line, ret);
    return true;
}

static bool parse_selected(struct span line, struct kmsg_oom *ret)
{
    take_message(&line, ret);
    if (!take(&line, "Kill process ") || !take_victim(&line, ") score ", ret))
        return false;
    ret->kind = KMSG_OOM_SELECTED;
    return true;
}

static bool parse_reaped(struct span line, struct kmsg_oom *ret)
{
    if (!take(&line, "oom_reaper: reaped process ") || !take_victim(&line, "), now ", ret))
        return false;
    ret->kind = KMSG_OOM_REAPED;
    read_sizes(line, ret);
    return true;
}

static bool parse_invoked(struct span line, struct kmsg_oom *ret)
{
    const char *end = span_find_last(line, " invoked oom-killer: ");
    struct span comm = {line.start, end};
    if (!end || !fits_comm(comm))
        return false;
    ret->kind = KMSG_OOM_INVOKED;
    span_copy(comm, ret->comm, sizeof(ret->comm));
    read_oom_score_adj((struct span){end, line.end}, " oom_score_adj=", ret);
    return true;
}

static void clear(struct kmsg_oom *ret)
{
    *ret = (struct kmsg_oom){
        .kind = KMSG_NOT_OOM,
        .anon_rss_kib = -1,
        .file_rss_kib = -1,
        .shmem_rss_kib = -1,
        .total_vm_kib = -1,
        .pgtables_kib = -1,
    };
}

enum kmsg_oom_kind kmsg_parse_oom(const char *text, struct kmsg_oom *ret)
{
    static bool (*const parsers[])(struct span, struct kmsg_oom *) = {
        parse_summary, parse_killed,     parse_selected, parse_group,
        parse_reaped,  parse_summary_v4, parse_invoked,
    };
    struct span line = {text, text + strlen(text)};
    while (line.end > line.start && (line.end[-1] == '\n' || line.end[-1] == '\r'))
        line.end--;
    for (size_t i = 0; i < sizeof(parsers) / sizeof(*parsers); i++) {
        clear(ret);
        if (parsers[i](line, ret))
            return ret->kind;
    }
    clear(ret);
    return KMSG_NOT_OOM;
}
