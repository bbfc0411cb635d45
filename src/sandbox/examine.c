/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine allows, found out by doing it where that is cheap: a run's cgroup and a held
 * container are really made, and removed. */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/size.h"
#include "kernel/cgroup.h"
#include "kernel/kmsg.h"
#include "sandbox/container.h"
#include "sandbox/root.h"
#include "sandbox/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMORY_WANTED (GIB + GIB / 2) /* the built-in lab's 1 GiB limit, and oomlab beside it */
#define LOCKED_WANTED (64 * MIB)      /* the observer's rings */
#define TEXT_BYTES    8192

struct examination {
    struct doctor_item *items;
    unsigned max, count;
    struct cgroup_host host;
    struct sandbox_root *root; /* NULL: none could be made */
    struct sandbox *probe;     /* NULL: none could be started */
};

__attribute__((format(printf, 4, 5))) static struct doctor_item *
put(struct examination *examination, const char *name, enum doctor_state state, const char *format,
    ...)
{
    static const struct doctor_item none;
    if (examination->count >= examination->max)
        return NULL;
    struct doctor_item *item = &examination->items[examination->count++];
    *item = none;
    item->name = name;
    item->state = state;
    va_list args;
    va_start(args, format);
    vsnprintf(item->found, sizeof(item->found), format, args);
    va_end(args);
    return item;
}

static void advise(struct doctor_item *item, const char *text)
{
    if (item)
        snprintf(item->advice, sizeof(item->advice), "%s", text);
}

/* An error says what is missing and what to do in two sentences: keep it whole, across both texts.
 */
static void put_error(struct examination *examination, const char *name, const struct error *err)
{
    const char *end = strstr(err->text, ". ");
    size_t length = end ? (size_t)(end - err->text) : strlen(err->text);
    struct doctor_item *item =
        put(examination, name, DOCTOR_MISSING, "%.*s", (int)length, err->text);
    advise(item, end ? end + 2 : "Correct this; nothing can be run without it");
}

static void examine_version(struct examination *examination)
{
    const struct cgroup_host *host = &examination->host;
    put(examination, "cgroup version", DOCTOR_OK, "v%d, memory at %s", (int)host->version,
        host->mount[CGROUP_MEMORY]);
}

static void examine_place(struct examination *examination)
{
    char id[32];
    snprintf(id, sizeof(id), "doctor-%d", getpid());
    struct error err;
    if (sandbox_root_new(id, &examination->root, &err) < 0) {
        put_error(examination, "place for containers", &err);
        return;
    }
    put(examination, "place for containers", DOCTOR_OK, "below %s",
        examination->root->parent.path[CGROUP_MEMORY]);
}

static bool has_controller(const struct examination *examination, enum cgroup_controller controller)
{
    if (!examination->root)
        return examination->host.available[controller];
    const struct cgroup *cgroup = &examination->root->cgroup;
    if (cgroup->version == CGROUP_V1)
        return cgroup->dir_fd[controller] >= 0;
    char list[TEXT_BYTES];
    return controller == CGROUP_CPUACCT ||
           (file_read_text(cgroup->dir_fd[CGROUP_MEMORY], "cgroup.subtree_control", list,
                           sizeof(list)) >= 0 &&
            strstr(list, cgroup_controller_name(controller)));
}

static void examine_controllers(struct examination *examination)
{
    static const struct {
        const char *name;
        enum doctor_state state;
        const char *advice;
    } rows[CGROUP_CONTROLLERS] = {
        [CGROUP_MEMORY] = {"memory controller", DOCTOR_MISSING,
                           "Run oomlab as root, or where a cgroup is delegated to you"},
        [CGROUP_CPU] = {"cpu controller", DOCTOR_LIMITED,
                        "CPU limits (--cpu) are refused; run labs without them, or enable cpu"},
        [CGROUP_CPUACCT] = {"cpu accounting", DOCTOR_LIMITED, "CPU usage will be missing"},
        [CGROUP_PIDS] = {"pids controller", DOCTOR_LIMITED,
                         "The number of processes cannot be limited; enable pids"},
    };
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        bool usable = has_controller(examination, (enum cgroup_controller)i);
        struct doctor_item *item =
            put(examination, rows[i].name, usable ? DOCTOR_OK : rows[i].state, "%s",
                usable ? "usable" : "not usable here");
        advise(item, usable ? "" : rows[i].advice);
    }
}

/* More than the heading in /proc/swaps. */
static bool machine_swaps(void)
{
    char text[TEXT_BYTES];
    if (file_read_text(AT_FDCWD, "/proc/swaps", text, sizeof(text)) < 0)
        return false;
    const char *second = strchr(text, '\n');
    return second && second[1];
}

static void examine_swap(struct examination *examination)
{
    bool v1 = examination->host.version == CGROUP_V1;
    const char *file = v1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max";
    bool accounted = examination->root && faccessat(examination->root->cgroup.dir_fd[CGROUP_MEMORY],
                                                    file, W_OK, AT_EACCESS) == 0;
    bool swaps = machine_swaps();
    if (accounted || !swaps) {
        put(examination, "swap", DOCTOR_OK, "%s, %s",
            accounted ? "can be forbidden to containers" : "not accounted for",
            swaps ? "and this machine swaps" : "and this machine has none");
        return;
    }
    advise(put(examination, "swap", DOCTOR_LIMITED,
               "this machine swaps, and containers cannot be kept from it"),
           "Turn swap off for the lab (swapoff -a), or boot with swapaccount=1");
}

static int start_probe(struct examination *examination, int null_fd, struct error *err)
{
    const char *const argv[] = {"/proc/self/exe", NULL}; /* held only, never executed */
    const char *const env[] = {NULL};
    struct sandbox_spec spec = {
        .name = "probe",
        .argv = argv,
        .env = env,
        .stdout_fd = null_fd,
        .stderr_fd = null_fd,
        .limits = {.memory_bytes = 64 * MIB, .forbid_swap = true, .oom_group = true},
    };
    return sandbox_start(examination->root, &spec, &examination->probe, err);
}

static void examine_start(struct examination *examination)
{
    if (!examination->root)
        return;
    AUTO_CLOSE int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct error err;
    if (start_probe(examination, null_fd, &err) < 0) {
        put_error(examination, "namespaces", &err);
        return;
    }
    put(examination, "namespaces", DOCTOR_OK, "%s",
        examination->root->needs_user_namespace ? "user, PID, mount, UTS and IPC, own /proc"
                                                : "PID, mount, UTS and IPC, own /proc");
    if (sandbox_was_born_inside(examination->probe))
        put(examination, "birth in the cgroup", DOCTOR_OK, "CLONE_INTO_CGROUP");
    else if (examination->host.version == CGROUP_V1)
        put(examination, "birth in the cgroup", DOCTOR_OK,
            "v1: a held process joins before it executes");
    else
        advise(put(examination, "birth in the cgroup", DOCTOR_LIMITED,
                   "CLONE_INTO_CGROUP is refused; a held process joins before it executes"),
               "Nothing has to be done; Linux 5.7 and later have it");
}

static void examine_kernel_log(struct examination *examination)
{
    AUTO_CLOSE int fd = kmsg_open();
    if (fd >= 0) {
        put(examination, "kernel log", DOCTOR_OK, "/dev/kmsg can be read");
        return;
    }
    advise(put(examination, "kernel log", DOCTOR_LIMITED, "/dev/kmsg cannot be read: %s",
               strerrordesc_np(-fd)),
           "Kills are still proven by the counters; for the log's account run oomlab as root or "
           "set sysctl kernel.dmesg_restrict=0");
}

static void examine_pressure(struct examination *examination)
{
    char text[256];
    if (file_read_text(AT_FDCWD, "/proc/pressure/memory", text, sizeof(text)) > 0)
        put(examination, "memory pressure", DOCTOR_OK, "PSI is on");
    else
        advise(put(examination, "memory pressure", DOCTOR_LIMITED, "this kernel has no PSI"),
               "Stall times will be missing; boot with psi=1 to have them");
}

/* The number after a key at the start of a line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0)
            return strtoull(line + length, NULL, 10);
    }
    return 0;
}

/* The least limit around us, UINT64_MAX when there is none. */
static uint64_t enclosing_limit(const struct cgroup_host *host)
{
    char text[TEXT_BYTES];
    char path[CGROUP_PATH_MAX + 32];
    uint64_t least = UINT64_MAX;
    snprintf(path, sizeof(path), "%s/memory.stat", host->own[CGROUP_MEMORY]);
    if (host->version == CGROUP_V1) {
        if (file_read_text(AT_FDCWD, path, text, sizeof(text)) > 0)
            least = number_after(text, "hierarchical_memory_limit ");
        return least ? least : UINT64_MAX;
    }
    char own[CGROUP_PATH_MAX];
    snprintf(own, sizeof(own), "%s", host->own[CGROUP_MEMORY]);
    size_t top = strlen(host->mount[CGROUP_MEMORY]);
    while (strlen(own) > top) {
        snprintf(path, sizeof(path), "%s/memory.max", own);
        if (file_read_text(AT_FDCWD, path, text, sizeof(text)) > 0 && text[0] != 'm') {
            uint64_t limit = strtoull(text, NULL, 10);
            least = limit < least ? limit : least;
        }
        *strrchr(own, '/') = '\0';
    }
    return least;
}

static void examine_memory(struct examination *examination)
{
    char text[TEXT_BYTES];
    char size[SIZE_TEXT_MAX];
    if (file_read_text(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) < 0)
        text[0] = '\0';
    uint64_t bytes = number_after(text, "MemAvailable:") * KIB;
    uint64_t limit = enclosing_limit(&examination->host);
    bool bounded = limit < bytes;
    uint64_t usable = bounded ? limit : bytes;
    bool enough = usable >= MEMORY_WANTED;
    struct doctor_item *item =
        put(examination, "memory", enough ? DOCTOR_OK : DOCTOR_LIMITED, "%s available%s",
            size_format(usable, size), bounded ? ", as far as the enclosing cgroup allows" : "");
    if (!enough)
        advise(item, "The built-in lab wants 1.5 GiB; use smaller limits (--memory, --raise)");
}

static void examine_locked_memory(struct examination *examination)
{
    struct rlimit limit = {0};
    char size[SIZE_TEXT_MAX];
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (root_has_capability(CAP_IPC_LOCK) || limit.rlim_cur >= LOCKED_WANTED) {
        put(examination, "locked memory", DOCTOR_OK, "%s",
            root_has_capability(CAP_IPC_LOCK) ? "not limited for this user" : "enough");
        return;
    }
    advise(put(examination, "locked memory", DOCTOR_LIMITED, "at most %s",
               size_format(limit.rlim_cur, size)),
           "The observer may be paged out under pressure; raise it with ulimit -l 65536");
}

static void examine_systemd(struct examination *examination)
{
    if (!scope_needed()) {
        put(examination, "systemd", DOCTOR_OK, "does not run this machine; not needed");
        return;
    }
    struct error err;
    if (scope_check(&err) == 0)
        put(examination, "systemd", DOCTOR_OK, "gives a delegated scope (%s manager)",
            geteuid() == 0 ? "system" : "user");
    else
        put_error(examination, "systemd", &err);
}

unsigned sandbox_examine(struct doctor_item *items, unsigned max_items)
{
    AUTO_FREE struct examination *examination = calloc(1, sizeof(*examination));
    if (!examination)
        return 0;
    examination->items = items;
    examination->max = max_items;
    struct error err;
    if (cgroup_host_detect(&examination->host, &err) < 0) {
        put_error(examination, "cgroup version", &err);
    } else {
        examine_version(examination);
        examine_place(examination);
        examine_controllers(examination);
        examine_swap(examination);
        examine_start(examination);
    }
    examine_kernel_log(examination);
    examine_pressure(examination);
    examine_memory(examination);
    examine_locked_memory(examination);
    examine_systemd(examination);
    sandbox_free(examination->probe);
    sandbox_root_free(examination->root);
    return examination->count;
}
