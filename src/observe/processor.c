/* SPDX-License-Identifier: Apache-2.0 */
/* Which processor the thread runs on while a kill is expected.
 *
 * After a kill the kernel prints a line of a level that most consoles show; a serial console keeps
 * the killing processor's interrupts off for that long (4 ms here, more at a real 115200 baud). A
 * real-time thread is woken where it ran last, whoever runs there: having preempted the very task
 * that is about to kill, it would sleep through those milliseconds. So, when a task of the
 * container in trouble is on our processor, we go to another one, and are free to go anywhere again
 * afterwards. */
#include "observe/observer-internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_TEXT_MAX 512 /* about 70 tasks */
#define TASKS_MAX      32  /* looking at one takes about 10 us */
#define STAT_TEXT_MAX  1024

/* Fields of /proc/PID/stat, counted from the one behind the name (proc(5) counts from 1: 3 and 39).
 */
#define STAT_STATE     0
#define STAT_PROCESSOR 36

/* The processor that a running (or preempted) task is on; -1 for one that sleeps or is gone. */
static int running_on(const char *tid)
{
    char path[64], text[STAT_TEXT_MAX];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", tid);
    if (file_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return -1;
    const char *field = strrchr(text, ')');
    if (!field || field[1] != ' ' || field[2] != 'R')
        return -1;
    field += 2;
    for (int i = STAT_STATE; i < STAT_PROCESSOR; i++) {
        field = strchr(field, ' ');
        if (!field)
            return -1;
        field++;
    }
    return (int)strtol(field, NULL, 10);
}

/* The kernel holds the victim's task_lock from right before the counter rises until its line is
 * printed, and /proc/PID/stat wants that lock: looking at the victim then would hold us up for as
 * long as being in its way. */
static bool is_being_killed(const struct target *target)
{
    struct metrics metrics;
    cgroup_reader_sample_events(&target->reader, &metrics);
    return !metrics_has(&metrics, METRIC_OOM_KILL) ||
           metrics.value[METRIC_OOM_KILL] > target->oom_kill;
}

static bool shares_processor(const struct target *target, int processor)
{
    char text[TASKS_TEXT_MAX];
    if (target->tasks_fd < 0 || file_pread_text(target->tasks_fd, text, sizeof(text)) <= 0)
        return false;
    char *rest = text;
    for (int i = 0; i < TASKS_MAX; i++) {
        char *end = strchr(rest, '\n');
        if (!end)
            return false;
        *end = '\0';
        if (is_being_killed(target))
            return false;
        if (running_on(rest) == processor)
            return true;
        rest = end + 1;
    }
    return false;
}

void processor_init(struct observer *observer)
{
    observer->can_step_aside =
        sched_getaffinity(0, sizeof(observer->processors), &observer->processors) == 0 &&
        CPU_COUNT(&observer->processors) > 1;
}

void processor_step_aside(struct observer *observer, const struct target *target)
{
    int here = sched_getcpu();
    if (!observer->can_step_aside || observer->stepped_aside || here < 0 ||
        !shares_processor(target, here))
        return;
    cpu_set_t others = observer->processors;
    CPU_CLR((size_t)here, &others);
    observer->stepped_aside = sched_setaffinity(0, sizeof(others), &others) == 0;
}

void processor_return(struct observer *observer)
{
    if (!observer->stepped_aside)
        return;
    sched_setaffinity(0, sizeof(observer->processors), &observer->processors);
    observer->stepped_aside = false;
}
