/* SPDX-License-Identifier: Apache-2.0 */
#include "helper.h"

#include "base/clock.h"
#include "base/duration.h"
#include "sandbox/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEADLINE_MS 60000

static char records[256];

const char *runtime_directory(void)
{
    return records;
}

struct sandbox_root *root_or_fail(void)
{
    static int counter;
    char id[64];
    struct error err = {.text = ""};
    struct sandbox_root *root = NULL;
    snprintf(id, sizeof(id), "test-%d-%d", getpid(), counter++);
    if (sandbox_root_new(id, &root, &err) < 0)
        fail_msg("%s", err.text);
    return root;
}

int suite_setup(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(records, sizeof(records), "%s/oomlab-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(records) || setenv("OOMLAB_RUNTIME_DIR", records, 1) < 0)
        return -1;
    struct sandbox_root *root = NULL;
    struct error err;
    int r = sandbox_root_new("test-probe", &root, &err);
    sandbox_root_free(root);
    const char *must = getenv("OOMLAB_MUST_WORK");
    if (r < 0 && err.kind == ERROR_UNAVAILABLE && !(must && strcmp(must, "1") == 0)) {
        fprintf(stderr, "skipped: %s\n", err.text);
        rmdir(records);
        exit(77);
    }
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r;
}

static void list_records(void)
{
    DIR *dir = opendir(records);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            fprintf(stderr, "left behind: %s/%s\n", records, entry->d_name);
    if (dir)
        closedir(dir);
}

/* A failed test leaves what it had: let go of everything and sweep it. */
int suite_teardown(void **state)
{
    (void)state;
    if (rmdir(records) == 0)
        return 0;
    struct error err;
    list_records();
    close_range(STDERR_FILENO + 1, ~0U, 0);
    sandbox_sweep(&err);
    rmdir(records);
    return -1;
}

pid_t fork_process(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        setenv("CMOCKA_TEST_ABORT", "1", 1);
    return child;
}

int box_start(struct sandbox_root *root, const struct box_request *request, struct box *ret,
              struct error *err)
{
    static const char *const default_env[] = {"PATH=/usr/bin:/bin", NULL};
    const char *guest = getenv("SANDBOX_GUEST");
    assert_non_null(guest);
    const char *argv[GUEST_ARGS + 2] = {request->command ? request->command : guest};
    for (int i = 0; i < GUEST_ARGS && request->args[i]; i++)
        argv[i + 1] = request->args[i];
    int output[2];
    assert_return_code(pipe2(output, O_CLOEXEC), errno);
    struct sandbox_spec spec = {
        .name = request->name ? request->name : "box",
        .argv = argv,
        .env = request->env ? request->env : default_env,
        .directory = request->directory,
        .limits = request->limits,
        .stdout_fd = output[1],
        .stderr_fd = output[1],
    };
    if (!spec.limits.memory_bytes)
        spec.limits.memory_bytes = DEFAULT_LIMIT;
    spec.limits.forbid_swap = true;
    int r = sandbox_start(root, &spec, &ret->sandbox, err);
    close(output[1]);
    ret->output_fd = output[0];
    if (r < 0)
        close_fd(&ret->output_fd);
    return r;
}

struct box box_run(struct sandbox_root *root, const struct box_request *request)
{
    struct box box;
    struct error err;
    if (box_start(root, request, &box, &err) < 0 || sandbox_release(box.sandbox, &err) < 0)
        fail_msg("%s", err.text);
    return box;
}

void box_read(const struct box *box, char output[static OUTPUT_BYTES], const char *until)
{
    size_t used = 0;
    output[0] = '\0';
    while (used + 1 < OUTPUT_BYTES && !(until && strstr(output, until))) {
        struct pollfd more = {.fd = box->output_fd, .events = POLLIN};
        assert_int_equal(poll(&more, 1, DEADLINE_MS), 1);
        ssize_t n = read(box->output_fd, output + used, OUTPUT_BYTES - 1 - used);
        assert_return_code(n, errno);
        if (n == 0)
            return;
        used += (size_t)n;
        output[used] = '\0';
    }
}

bool ends_within(int pidfd, int ms)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, ms) == 1;
}

siginfo_t box_wait(const struct box *box)
{
    siginfo_t info = {0};
    int pidfd = sandbox_pidfd(box->sandbox);
    assert_true(ends_within(pidfd, DEADLINE_MS));
    assert_return_code(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), errno);
    return info;
}

void box_done(struct box *box)
{
    sandbox_free(box->sandbox);
    box->sandbox = NULL;
    close_fd(&box->output_fd);
}

siginfo_t box_run_to_end(struct sandbox_root *root, const struct box_request *request,
                         char output[static OUTPUT_BYTES])
{
    struct box box = box_run(root, request);
    box_read(&box, output, NULL);
    siginfo_t info = box_wait(&box);
    box_done(&box);
    return info;
}

uint64_t box_metric(const struct box *box, enum metric metric)
{
    struct error err;
    struct cgroup_reader reader;
    struct metrics metrics;
    if (cgroup_reader_open(sandbox_cgroup(box->sandbox), &reader, &err) < 0)
        fail_msg("%s", err.text);
    cgroup_reader_sample(&reader, &metrics);
    cgroup_reader_close(&reader);
    assert_true(metrics_has(&metrics, metric));
    return metrics.value[metric];
}

void line_value(const char *text, const char *key, char ret[static 256])
{
    char start[64];
    snprintf(start, sizeof(start), "\n%s", key);
    const char *found = strncmp(text, key, strlen(key)) == 0 ? text - 1 : strstr(text, start);
    if (!found)
        fail_msg("no line '%s' in:\n%s", key, text);
    const char *value = found + 1 + strlen(key);
    value += strspn(value, " \t");
    snprintf(ret, 256, "%.*s", (int)strcspn(value, "\n"), value);
}

static int count_entries(const char *path, bool directories)
{
    DIR *dir = opendir(path);
    int count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.' && (!directories || entry->d_type == DT_DIR);
    if (dir)
        closedir(dir);
    return count;
}

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    int count = 0;
    for (int c; (c = getc(file)) != EOF;)
        count += c == '\n';
    fclose(file);
    return count;
}

/* Children of ours: kept by the kernel for the first (and in these tests only) thread. */
static int count_children(void)
{
    char path[64];
    char text[4096] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    if (!file) { /* CONFIG_PROC_CHILDREN is off: waitid knows at least whether there is one */
        siginfo_t info;
        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    }
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    int count = 0;
    for (const char *p = text; *p; p++)
        count += *p == ' ';
    return count;
}

struct belongings count_belongings(struct sandbox_root *root)
{
    struct belongings count = {
        .descriptors = count_entries("/proc/self/fd", false),
        .mounts = count_lines("/proc/self/mountinfo"),
        .children = count_children(),
    };
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (root->cgroup.path[i][0])
            count.cgroups += count_entries(root->cgroup.path[i], true);
    return count;
}

void assert_same_belongings(struct belongings before, struct belongings after)
{
    assert_int_equal(before.descriptors, after.descriptors);
    assert_int_equal(before.mounts, after.mounts);
    assert_int_equal(before.cgroups, after.cgroups);
    assert_int_equal(before.children, after.children);
}

int count_records(void)
{
    return count_entries(records, false);
}
