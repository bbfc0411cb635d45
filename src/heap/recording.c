/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/recording.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "heap/file.h"
#include "heap/guard.h"
#include "heap/preload.h"
#include "heap/totals.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <zlib.h>

#define RATE_MIN_BYTES  (UINT64_C(4) << 10)
#define RATE_MAX_BYTES  (UINT64_C(512) << 10)
#define RATE_LIMIT_PART 16384

/* What a look found of a process that holds nothing any more. */
struct ended {
    int32_t pid;
    uint32_t state; /* enum heap_process_state that it should have; HEAP_PROCESS_FREE: it lives */
};

struct heap_recording {
    struct heap_map *map; /* the container may write it, and cut its file off */
    struct heap_guard *guard;
    struct heap_totals *totals; /* room for summing up */
    struct buffer stamps;       /* struct heap_stamp and its entries, one after the other */
    unsigned stamp_count;
    struct ended seen[HEAP_PROCESSES + 1]; /* by slot: what the last look found */
};

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
        snprintf(path, PATH_MAX, "%s/../../preload/liboomlab-heap.so", program); /* build tree */
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
    buffer_done(&recording->stamps);
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

int heap_recording_stamp(struct heap_recording *recording, int64_t at_ns, unsigned cycle,
                         struct error *err)
{
    if (recording->stamp_count >= HEAP_STAMPS_MAX)
        return 0;
    const struct heap_totals *totals = recording->totals;
    heap_totals_sum(recording->map, recording->totals);
    const struct heap_stamp stamp = {
        .at_ns = at_ns, .cycle = cycle, .stacks = count_stacks(totals)};
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

/* Behind the name in /proc/PID/stat, which may hold anything. A zombie's memory is gone, too. */
static bool is_gone(int proc_fd, int32_t pid)
{
    char path[32], text[512];
    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    AUTO_CLOSE int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        return length < 0 && errno == ESRCH;
    text[length] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' && strchr("ZXx", name_end[2]) != NULL;
}

/* The main process's own view: the pids in the map are those of its namespace. Where it lies is up
 * to the container, which may have put FIFOs there: only the kernel's own will do. */
static int open_proc(pid_t main_pid)
{
    char path[64];
    struct statfs kind;
    snprintf(path, sizeof(path), "/proc/%d/root/proc", (int)main_pid);
    AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &kind) < 0 || kind.f_type != PROC_SUPER_MAGIC)
        return -1;
    return steal_fd(&fd);
}

/* Of another program than the one that filled in the slot, because it was executed since. Without
 * the right to read it, or when the process has no memory any more, nothing is known. */
static bool is_replaced(int proc_fd, const struct heap_process *process)
{
    char path[32];
    uint64_t entries[128][2];
    uint64_t random_address = 0, loader_address = 0;
    snprintf(path, sizeof(path), "%d/auxv", (int)process->pid);
    AUTO_CLOSE int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, entries, sizeof(entries));
    if (length < (ssize_t)sizeof(entries[0]))
        return false;
    for (size_t i = 0; i < (size_t)length / sizeof(entries[0]); i++) {
        if (entries[i][0] == AT_RANDOM)
            random_address = entries[i][1];
        else if (entries[i][0] == AT_BASE)
            loader_address = entries[i][1];
    }
    return heap_image(random_address, loader_address) != process->image;
}

/* 0: unknown. */
static uint64_t pid_namespace(int proc_fd, int32_t pid)
{
    char path[32];
    struct stat status;
    snprintf(path, sizeof(path), "%d/ns/pid", (int)pid);
    return fstatat(proc_fd, path, &status, 0) == 0 ? status.st_ino : 0;
}

/* A process in a pid namespace below the container's has a pid that is another process's here, or
 * nobody's. */
static bool is_elsewhere(const struct heap_process *process, uint64_t main_namespace)
{
    return process->pid_namespace != 0 && main_namespace != 0 &&
           process->pid_namespace != main_namespace;
}

/* The state that a slot should have; HEAP_PROCESS_FREE: the one that it has. */
static uint32_t look(int proc_fd, const struct heap_process *process, uint64_t main_namespace)
{
    if (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) != HEAP_PROCESS_LIVE ||
        process->pid < HEAP_MAIN_PID || is_elsewhere(process, main_namespace))
        return HEAP_PROCESS_FREE;
    if (process->pid != HEAP_MAIN_PID && is_gone(proc_fd, process->pid))
        return HEAP_PROCESS_EXITED;
    return is_replaced(proc_fd, process) ? HEAP_PROCESS_REPLACED : HEAP_PROCESS_FREE;
}

/* Twice in a row, with the main process alive both times: when the kernel kills all processes at
 * once, what they held is what the profile is about. */
void heap_recording_reap(struct heap_recording *recording, pid_t main_pid)
{
    AUTO_CLOSE int proc_fd = open_proc(main_pid);
    if (proc_fd < 0)
        return;
    uint64_t main_namespace = pid_namespace(proc_fd, HEAP_MAIN_PID);
    struct ended now[HEAP_PROCESSES + 1] = {0};
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        const struct heap_process *process = &recording->map->processes[slot];
        now[slot].pid = process->pid;
        now[slot].state = look(proc_fd, process, main_namespace);
    }
    if (is_gone(proc_fd, HEAP_MAIN_PID))
        return;
    for (uint32_t slot = 1; slot <= HEAP_PROCESSES; slot++) {
        struct heap_process *process = &recording->map->processes[slot];
        uint32_t live = HEAP_PROCESS_LIVE;
        if (now[slot].state != HEAP_PROCESS_FREE && now[slot].pid == process->pid &&
            recording->seen[slot].pid == process->pid &&
            recording->seen[slot].state != HEAP_PROCESS_FREE)
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

static bool write_parts(gzFile file, const struct heap_recording *recording)
{
    const struct heap_saved_header header = {
        .magic = HEAP_SAVED_MAGIC,
        .map_bytes = sizeof(struct heap_map),
        .stamps = recording->stamp_count,
    };
    unsigned stamps = (unsigned)recording->stamps.length;
    return gzwrite(file, &header, sizeof(header)) == (int)sizeof(header) &&
           gzwrite(file, recording->map, sizeof(*recording->map)) == (int)sizeof(*recording->map) &&
           (stamps == 0 || gzwrite(file, recording->stamps.data, stamps) == (int)stamps);
}

int heap_recording_save(const struct heap_recording *recording, const char *directory,
                        unsigned lifetime_id, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" HEAP_DIRECTORY, directory);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_errno(err, errno, "making '%s'", path);
    snprintf(path, sizeof(path), "%s/" HEAP_FILE_FORMAT, directory, lifetime_id);
    gzFile file = gzopen(path, "wb1e");
    if (!file)
        return error_errno(err, errno ? errno : ENOMEM, "making '%s'", path);
    bool written = write_parts(file, recording);
    written = gzclose(file) == Z_OK && written;
    if (written && !heap_recording_is_intact(recording)) {
        unlink(path);
        return error_set(err, EBADMSG,
                         "the container overwrote its heap profile ('%s'), which is lost",
                         HEAP_FILE_PATH);
    }
    return written ? 0 : error_errno(err, errno ? errno : EIO, "writing '%s'", path);
}
