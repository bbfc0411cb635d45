/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/state.h"

#include "base/cleanup.h"
#include "lab/plan_nearest.h"
#include "lab/plan_value.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAKE_TRIES 10

static int path_too_long(struct error *err)
{
    return error_errno(err, ENAMETOOLONG, "the run's directory");
}

/* dirfd + name, checked. */
static int join(const char *directory, const char *name, char ret[static PATH_MAX],
                struct error *err)
{
    int length = snprintf(ret, PATH_MAX, "%s/%s", directory, name);
    return length < 0 || length >= PATH_MAX ? path_too_long(err) : 0;
}

int state_runs_directory(char ret[static PATH_MAX], struct error *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    /* The XDG specification: a relative path is invalid and is ignored. */
    if (state && state[0] == '/')
        return join(state, "oomlab/runs", ret, err);
    if (home && home[0] == '/')
        return join(home, ".local/state/oomlab/runs", ret, err);
    return error_usage(err,
                       "neither XDG_STATE_HOME nor HOME is set to an absolute path, so there is "
                       "no place for runs; set one of them, or say --output DIR with 'run'");
}

int run_id_make(const char *name, char ret[static RUN_ID_MAX], struct error *err)
{
    unsigned short random = 0;
    char when[24];
    struct tm utc;
    time_t now = time(NULL);
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(err, errno, "getting random bytes for the run's id");
    if (!gmtime_r(&now, &utc) || strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &utc) == 0)
        return error_set(err, EOVERFLOW, "the clock is out of any range");
    snprintf(ret, RUN_ID_MAX, "%s-%.*s-%04x", when, NAME_MAX_CHARS, name, random);
    return 0;
}

static int make_parents(const char *path, struct error *err)
{
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", path);
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(parent, 0700) < 0 && errno != EEXIST)
            return error_errno(err, errno, "making the directory '%s'", parent);
        *slash = '/';
    }
    if (mkdir(parent, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "making the directory '%s'", parent);
    return 0;
}

static bool is_empty(const char *path)
{
    DIR *directory = opendir(path);
    bool empty = directory != NULL;
    for (struct dirent *entry; empty && (entry = readdir(directory));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (directory)
        closedir(directory);
    return empty;
}

static int make_output(const char *output, struct run_directory *run, struct error *err)
{
    if (output[0] == '\0')
        return error_usage(err, "--output: the directory's name is empty");
    run->made = mkdir(output, 0700) == 0;
    if (!run->made) {
        struct stat status;
        if (errno != EEXIST)
            return error_usage(err, "--output: cannot make '%s': %s", output,
                               strerrordesc_np(errno));
        if (stat(output, &status) == 0 && !S_ISDIR(status.st_mode))
            return error_usage(err, "--output: '%s' is not a directory", output);
        if (!is_empty(output))
            return error_usage(
                err, "--output: '%s' is not empty; a run needs a directory of its own", output);
    }
    if (!realpath(output, run->path))
        return error_errno(err, errno, "the directory '%s'", output);
    return 0;
}

int run_directory_make(const char *name, const char *output, struct run_directory *ret,
                       struct error *err)
{
    struct run_directory run = {.lock_fd = -1};
    char runs[PATH_MAX];
    int r = run_id_make(name, run.id, err);
    if (r == 0 && output) {
        r = make_output(output, &run, err);
    } else if (r == 0) {
        run.made = true;
        r = state_runs_directory(runs, err);
        if (r == 0)
            r = make_parents(runs, err);
        if (r == 0)
            r = join(runs, run.id, run.path, err);
        for (int i = 0; r == 0 && mkdir(run.path, 0700) < 0; i++) {
            if (errno != EEXIST || i == MAKE_TRIES)
                return error_errno(err, errno, "making the directory '%s'", run.path);
            r = run_id_make(name, run.id, err);
            if (r == 0)
                r = join(runs, run.id, run.path, err);
        }
    }
    if (r == 0)
        r = run_directory_lock(&run, err);
    if (r == 0)
        *ret = run;
    return r;
}

int run_directory_lock(struct run_directory *run, struct error *err)
{
    AUTO_CLOSE int fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", run->path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return error_errno(err, errno, "locking '%s'", run->path);
        error_usage(err, "the run '%s' is still going on", run->id);
        err->code = -EBUSY;
        return err->code;
    }
    run->lock_fd = steal_fd(&fd);
    return 0;
}

void run_directory_unlock(struct run_directory *run)
{
    close_fd(&run->lock_fd);
}

bool run_directory_busy(const struct run_directory *run)
{
    AUTO_CLOSE int fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_ids(DIR *directory, char ***ids, struct error *err)
{
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (run_id_is_valid(entry->d_name) && strv_append(ids, entry->d_name) < 0)
            return error_errno(err, ENOMEM, "listing the runs");
    }
    return errno ? error_errno(err, errno, "listing the runs") : 0;
}

int run_ids_list(char ***ret, struct error *err)
{
    char runs[PATH_MAX];
    int r = state_runs_directory(runs, err);
    if (r < 0)
        return r;
    CLEANUP(strv_cleanup) char **ids = calloc(1, sizeof(*ids));
    if (!ids)
        return error_errno(err, ENOMEM, "listing the runs");
    DIR *directory = opendir(runs);
    if (!directory && errno != ENOENT)
        return error_errno(err, errno, "opening '%s'", runs);
    if (directory) {
        r = read_ids(directory, &ids, err);
        closedir(directory);
    }
    if (r < 0)
        return r;
    qsort(ids, strv_length(ids), sizeof(*ids), compare_texts);
    *ret = steal_ptr(&ids);
    return 0;
}

int run_directory_of_id(const char *id, struct run_directory *ret, struct error *err)
{
    struct run_directory run = {.lock_fd = -1};
    char runs[PATH_MAX];
    int r = state_runs_directory(runs, err);
    if (r == 0)
        r = join(runs, id, run.path, err);
    snprintf(run.id, sizeof(run.id), "%s", id);
    if (r == 0)
        *ret = run;
    return r;
}

static int find_by_path(const char *path, struct run_directory *ret, struct error *err)
{
    struct run_directory run = {.lock_fd = -1};
    char evidence[PATH_MAX];
    if (!realpath(path, run.path))
        return error_usage(err, "'%s': %s", path, strerrordesc_np(errno));
    int r = join(run.path, "evidence.db", evidence, err);
    if (r < 0)
        return r;
    if (access(evidence, F_OK) < 0)
        return error_usage(err, "'%s' is no run: there is no evidence.db in it", path);
    const char *slash = strrchr(run.path, '/');
    snprintf(run.id, sizeof(run.id), "%.*s", RUN_ID_MAX - 1, slash + 1);
    *ret = run;
    return 0;
}

static int find_by_id(char *const *ids, const char *text, struct run_directory *ret,
                      struct error *err)
{
    const char *found = NULL;
    struct nearest nearest;
    char hint[NEAREST_HINT_MAX];
    nearest_init(&nearest, text);
    for (char *const *id = ids; id && *id; id++) {
        if (strcmp(*id, text) == 0)
            return run_directory_of_id(*id, ret, err);
        nearest_offer(&nearest, *id);
        if (strncmp(*id, text, strlen(text)) != 0)
            continue;
        if (found)
            return error_usage(err, "more than one run begins with '%s': %s and %s", text, found,
                               *id);
        found = *id;
    }
    if (found)
        return run_directory_of_id(found, ret, err);
    nearest_hint(&nearest, "", hint);
    return error_usage(err, "there is no run '%.80s'%s", text,
                       hint[0] ? hint : "; 'oomlab list' shows them");
}

const char *run_operand_colon(const char *text)
{
    struct stat status;
    const char *colon = strrchr(text, ':');
    return colon && stat(text, &status) < 0 ? colon : NULL;
}

int run_directory_find(const char *text, struct run_directory *ret, struct error *err)
{
    struct stat status;
    if (strchr(text, '/') || strcmp(text, ".") == 0)
        return find_by_path(text, ret, err);
    CLEANUP(strv_cleanup) char **ids = NULL;
    int r = run_ids_list(&ids, err);
    bool may_be_id = r == 0 && (run_id_is_valid(text) || strcmp(text, "last") == 0);
    if (!may_be_id && stat(text, &status) == 0 && S_ISDIR(status.st_mode))
        return find_by_path(text, ret, err);
    if (r < 0 || !ids)
        return r;
    size_t count = strv_length(ids);
    if (strcmp(text, "last") == 0 && count > 0)
        return run_directory_of_id(ids[count - 1], ret, err);
    if (count == 0)
        return error_usage(err, "there is no run yet; 'oomlab run' makes one");
    if (text[0] == '\0')
        return error_usage(err, "the run's id is empty");
    return find_by_id(ids, text, ret, err);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int run_directory_remove(const struct run_directory *run, struct error *err)
{
    if (nftw(run->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return error_errno(err, errno, "removing '%s'", run->path);
    return 0;
}

static bool is_of_a_run(const char *name)
{
    size_t length = strlen(name);
    return strncmp(name, "evidence.db", 11) == 0 ||
           (strncmp(name, "console-", 8) == 0 && length > 4 &&
            strcmp(name + length - 4, ".log") == 0);
}

void run_directory_discard(const struct run_directory *run)
{
    DIR *directory = opendir(run->path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (is_of_a_run(entry->d_name))
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    if (directory)
        closedir(directory);
    if (run->made)
        rmdir(run->path);
}
