/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "heap/file.h"
#include "heap/module_file.h"
#include "heap/preload.h"
#include "heap/proc.h"
#include "heap/recording_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RATE_MIN_BYTES  (UINT64_C(4) << 10)
#define RATE_MAX_BYTES  (UINT64_C(512) << 10)
#define RATE_LIMIT_PART 16384

/* A kill counts as one that the container outlived when its main process does so after so many
 * looks; and the dead process's slot is given up by then. */
#define LOOKS_AFTER_KILL 2

/* Held open at once: descriptors are for the containers of other arms, too. */
#define FILES_MOST 128
/* Looked for at a time: the platform has other things to do, too. */
#define LOOKS_MOST 32

uint64_t heap_default_rate(uint64_t limit_bytes)
{
    uint64_t rate = limit_bytes / RATE_LIMIT_PART;
    if (limit_bytes == 0 || rate > RATE_MAX_BYTES)
        return RATE_MAX_BYTES;
    return rate < RATE_MIN_BYTES ? RATE_MIN_BYTES : rate;
}

static bool can_be_preloaded(const char *path)
{
    return access(path, R_OK) == 0;
}

int heap_library_find(char path[static PATH_MAX], struct error *err)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    int length =
        snprintf(path, PATH_MAX, "%s/../../preload/" HEAP_LIBRARY_NAME, program); /* build tree */
    if (length < 0 || length >= PATH_MAX || !can_be_preloaded(path)) {
        snprintf(path, PATH_MAX, "%s", OOMLAB_HEAP_LIBRARY);
        if (!can_be_preloaded(path))
            return error_set(err, ENOENT,
                             "the heap recorder is not installed ('%s' is missing; it needs x86-64 "
                             "and glibc 2.35 or later)",
                             path);
    }
    char whole[PATH_MAX];
    if (realpath(path, whole))
        memcpy(path, whole, strlen(whole) + 1);
    if (path[strcspn(path, " :\t\n")] != '\0')
        return error_set(err, EINVAL,
                         "the heap recorder lies in '%s': LD_PRELOAD takes no blank or colon; move "
                         "oomlab to another directory",
                         path);
    heap_preload_guard(path);
    return 0;
}

static int make_file(pid_t pid, int *ret_fd, struct error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, HEAP_FILE_PATH);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, errno, "making '%s' in the container", HEAP_FILE_PATH);
    /* A process that gives up its privileges and executes another program finds it, too. */
    if (fchmod(fd, 0666) < 0 || ftruncate(fd, sizeof(struct heap_map)) < 0) {
        int errnum = errno;
        close(fd);
        return error_errno(err, errnum, "preparing '%s' in the container", HEAP_FILE_PATH);
    }
    *ret_fd = fd;
    return 0;
}

static void fill_header(struct heap_header *header, uint64_t limit_bytes, uint64_t rate_bytes)
{
    header->version = HEAP_VERSION;
    header->header_bytes = sizeof(struct heap_map);
    header->limit_bytes = limit_bytes;
    header->initial_rate_bytes = rate_bytes;
    header->rate_bytes = rate_bytes;
    __atomic_store_n(&header->magic, HEAP_MAGIC, __ATOMIC_RELEASE);
}

/* posix_fallocate() touches every page and reports a full file system, where a write through the
 * mapping would be a SIGBUS. */
static int map_file(struct heap_recording *recording, int fd, uint64_t limit_bytes,
                    uint64_t rate_bytes, struct error *err)
{
    int errnum = posix_fallocate(fd, 0, sizeof(struct heap_map));
    if (errnum != 0)
        return error_errno(err, errnum, "reserving %zu bytes of shared memory",
                           sizeof(struct heap_map));
    void *map = mmap(NULL, sizeof(struct heap_map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return error_errno(err, errno, "mapping the heap profile");
    recording->map = map;
    int r = heap_guard_add(map, sizeof(struct heap_map), &recording->guard, err);
    if (r < 0)
        return r;
    memset(map, 0, sizeof(struct heap_map));
    fill_header(&recording->map->header, limit_bytes,
                rate_bytes ? rate_bytes : heap_default_rate(limit_bytes));
    return 0;
}

int heap_recording_new(pid_t pid, uint64_t limit_bytes, uint64_t rate_bytes,
                       struct heap_recording **ret, struct error *err)
{
    AUTO_CLOSE int fd = -1;
    struct heap_recording *recording = calloc(1, sizeof(*recording));
    struct heap_totals *totals = calloc(1, sizeof(*totals));
    if (!recording || !totals) {
        free(recording);
        free(totals);
        return error_errno(err, ENOMEM, "preparing the heap profile");
    }
    recording->totals = totals;
    int r = make_file(pid, &fd, err);
    if (r == 0)
        r = map_file(recording, fd, limit_bytes, rate_bytes, err);
    if (r < 0) {
        heap_recording_free(recording);
        return error_wrap(err, "preparing the heap profile");
    }
    *ret = recording;
    return 0;
}

void heap_recording_free(struct heap_recording *recording)
{
    if (!recording)
        return;
    heap_guard_remove(recording->guard);
    if (recording->map)
        munmap(recording->map, sizeof(struct heap_map));
    for (uint32_t i = 1; i <= HEAP_MODULES; i++) {
        free(recording->places[i]);
        if (recording->looked_for[i])
            close_fd(&recording->files[i]);
    }
    buffer_done(&recording->stamps);
    free(recording->unsettled);
    free(recording->killed);
    free(recording->totals);
    free(recording);
}

static uint32_t count_stacks(const struct heap_totals *totals)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < HEAP_STACKS; i++)
        count += totals->stacks[i].samples > 0;
    return count;
}

void heap_recording_leave_out(const struct heap_recording *recording, uint64_t kills,
                              struct heap_process processes[static HEAP_PROCESSES + 1])
{
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        struct heap_process *process = &processes[slot];
        if (process->state == HEAP_PROCESS_LIVE && process->pid > HEAP_MAIN_PID &&
            process->pid == recording->gone[slot].pid && recording->gone[slot].kills <= kills)
            process->state = HEAP_PROCESS_EXITED;
    }
}

int heap_recording_stamp(struct heap_recording *recording, int64_t at_ns, unsigned cycle,
                         struct error *err)
{
    if (recording->stamp_count >= HEAP_STAMPS_MAX)
        return 0;
    const struct heap_totals *totals = recording->totals;
    struct heap_process processes[HEAP_PROCESSES + 1];
    memcpy(processes, recording->map->processes, sizeof(processes));
    heap_recording_leave_out(recording, recording->kills, processes);
    heap_totals_sum(recording->map, processes, recording->totals);
    const struct heap_stamp stamp = {
        .at_ns = at_ns,
        .cycle = cycle,
        .stacks = count_stacks(totals),
        .kills = recording->kills,
    };
    buffer_append(&recording->stamps, &stamp, sizeof(stamp));
    for (uint32_t i = 0; i < HEAP_STACKS; i++) {
        const struct heap_stamped entry = {
            .stack = i,
            .samples = totals->stacks[i].samples,
            .bytes = totals->stacks[i].bytes,
            .objects = totals->stacks[i].objects,
        };
        if (entry.samples > 0)
            buffer_append(&recording->stamps, &entry, sizeof(entry));
    }
    if (recording->stamps.failed)
        return error_errno(err, ENOMEM, "stamping the heap profile");
    recording->stamp_count++;
    return 0;
}

/* Of a library that the loader knows by a relative path, of which the outside, or the program in
 * another working directory, can make nothing, the absolute one; the map itself keeps the loader's
 * name, by which the recorder finds it. */
static void find_place(struct heap_recording *recording, const struct heap_proc *proc,
                       const struct heap_process *process, uint32_t i)
{
    const struct heap_module *module = &recording->map->modules[i];
    struct heap_mapping mapping;
    if (module->path[0] != '\0' && module->path[0] != '/' &&
        heap_proc_find_mapping(proc, process, module->start, &mapping) && mapping.path[0] != '\0')
        recording->places[i] = strdup(mapping.path); /* without memory the loader's has to do */
}

/* Each module is looked for once, while a process that loaded it runs. */
static void find_files(struct heap_recording *recording, const struct heap_proc *proc)
{
    unsigned looks = 0;
    for (uint32_t i = 1; i <= HEAP_MODULES && looks < LOOKS_MOST; i++) {
        const struct heap_module *module = &recording->map->modules[i];
        if (__atomic_load_n(&module->state, __ATOMIC_ACQUIRE) != HEAP_STATE_COMPLETE ||
            recording->looked_for[i])
            continue;
        looks++;
        recording->looked_for[i] = true;
        recording->files[i] = -1;
        uint32_t slot = __atomic_load_n(&module->process, __ATOMIC_RELAXED); /* once: see map */
        if (slot > HEAP_PROCESSES)
            continue;
        const struct heap_process *process = &recording->map->processes[slot];
        find_place(recording, proc, process, i);
        if (recording->file_count == FILES_MOST)
            continue;
        recording->files[i] = heap_module_open(proc, process, module);
        recording->file_count += recording->files[i] >= 0;
    }
}

/* The main process lives on. */
static void settle_kill(struct heap_recording *recording)
{
    if (!recording->unsettled || ++recording->looks_after_kill < LOOKS_AFTER_KILL)
        return;
    free(recording->killed);
    recording->killed = steal_ptr(&recording->unsettled);
}

void heap_recording_mark_gone(struct heap_recording *recording, pid_t main_pid)
{
    CLEANUP(heap_proc_close) struct heap_proc proc;
    if (!heap_proc_open(main_pid, &proc))
        return;
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        const struct heap_process *process = &recording->map->processes[slot];
        int32_t pid = process->pid;
        if (heap_proc_is_dying(&proc, process) && recording->gone[slot].pid != pid)
            recording->gone[slot] = (struct gone){.pid = pid, .kills = recording->kills};
    }
}

static void take_moment(struct heap_recording *recording, int64_t at_ns, uint64_t kills)
{
    struct heap_moment *moment = calloc(1, sizeof(*moment));
    if (!moment)
        return; /* what was held at the end has to do */
    moment->at_ns = at_ns;
    moment->kills = kills;
    moment->stamps = recording->stamp_count;
    moment->stamp_bytes = recording->stamps.length;
    heap_moment_take(recording->map, moment);
    heap_recording_leave_out(recording, recording->kills, moment->processes);
    recording->unsettled = moment;
    recording->looks_after_kill = 0;
}

/* Who is gone or dying by now belongs to this kill or an earlier one, and not to the next. */
void heap_recording_killed(struct heap_recording *recording, int64_t at_ns, pid_t main_pid,
                           bool kills_all)
{
    uint64_t kills = recording->kills++;
    if (!recording->unsettled)
        take_moment(recording, at_ns, kills);
    if (!kills_all)
        heap_recording_mark_gone(recording, main_pid);
}

/* Twice in a row, with the main process alive both times: when the kernel kills all processes at
 * once, what they held is what the profile is about. */
void heap_recording_reap(struct heap_recording *recording, pid_t main_pid)
{
    CLEANUP(heap_proc_close) struct heap_proc proc;
    struct ended now[HEAP_PROCESSES + 1] = {0};
    if (!heap_proc_open(main_pid, &proc))
        return;
    find_files(recording, &proc);
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        const struct heap_process *process = &recording->map->processes[slot];
        now[slot].pid = process->pid;
        now[slot].state = heap_proc_look(&proc, process);
    }
    if (heap_proc_is_gone(&proc, HEAP_MAIN_PID))
        return;
    settle_kill(recording);
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        struct heap_process *process = &recording->map->processes[slot];
        uint32_t live = HEAP_PROCESS_LIVE;
        if (now[slot].state != HEAP_PROCESS_LIVE && now[slot].pid == process->pid &&
            recording->seen[slot].pid == process->pid &&
            recording->seen[slot].state != HEAP_PROCESS_LIVE)
            __atomic_compare_exchange_n(&process->state, &live, now[slot].state, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        recording->seen[slot] = now[slot];
    }
}

bool heap_recording_is_intact(const struct heap_recording *recording)
{
    return __atomic_load_n(&recording->map->header.magic, __ATOMIC_ACQUIRE) == HEAP_MAGIC &&
           !heap_guard_is_lost(recording->guard);
}

unsigned heap_recording_attached(const struct heap_recording *recording)
{
    return __atomic_load_n(&recording->map->header.attached, __ATOMIC_RELAXED);
}
