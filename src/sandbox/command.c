/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/command.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static const char *find_path(const char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return DEFAULT_PATH;
}

static size_t count_elements(const char *path)
{
    size_t count = 1;
    for (const char *p = path; *p; p++)
        count += *p == ':';
    return count;
}

/* An empty element of PATH is the working directory. */
static int add_elements(struct command *command)
{
    const char *element = command->path;
    for (size_t i = 0;; i++) {
        size_t length = strcspn(element, ":");
        const char *directory = length ? element : ".";
        int directory_length = length ? (int)length : 1;
        if (asprintf(&command->candidates[i], "%.*s/%s", directory_length, directory,
                     command->name) < 0) {
            command->candidates[i] = NULL;
            return -ENOMEM;
        }
        if (!element[length])
            return 0;
        element += length + 1;
    }
}

static int fill(struct command *command, const char *name, const char *const *env,
                const char *directory)
{
    command->name = strdup(name);
    command->directory = directory ? strdup(directory) : NULL;
    bool is_path = strchr(name, '/');
    command->path = is_path ? NULL : strdup(find_path(env));
    size_t count = command->path ? count_elements(command->path) : 1;
    command->candidates = calloc(count + 1, sizeof(*command->candidates));
    if (!command->name || !command->candidates || (directory && !command->directory) ||
        (!is_path && !command->path))
        return -ENOMEM;
    if (!is_path)
        return add_elements(command);
    command->candidates[0] = strdup(name);
    return command->candidates[0] ? 0 : -ENOMEM;
}

int command_init(const char *name, const char *const *env, const char *directory,
                 struct command *ret, struct error *err)
{
    if (!name || !*name)
        return error_usage(err, "the command is empty");
    struct command command = {0};
    int r = fill(&command, name, env, directory);
    if (r < 0) {
        command_done(&command);
        return error_errno(err, -r, "looking up '%s'", name);
    }
    *ret = command;
    return 0;
}

void command_done(struct command *command)
{
    for (char **p = command->candidates; p && *p; p++)
        free(*p);
    free(command->candidates);
    free(command->path);
    free(command->name);
    free(command->directory);
    free(command->root);
    *command = (struct command){0};
}

/* As below, in another root: neither ".." nor a link leads out of it. */
static mode_t mode_in_root(const char *root, const char *candidate)
{
    AUTO_CLOSE int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    AUTO_CLOSE int fd = (int)syscall(SYS_openat2, root_fd, candidate, &how, sizeof(how));
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 ? status.st_mode : 0;
}

/* The candidate's mode, seen from where the child looked; 0 when it is not there. */
static mode_t mode_of(const struct command *command, const char *candidate)
{
    if (command->root)
        return mode_in_root(command->root, candidate);
    AUTO_CLOSE int dir_fd = -1;
    if (command->directory)
        dir_fd = open(command->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    int from = command->directory ? dir_fd : AT_FDCWD;
    return fstatat(from, candidate, &status, 0) == 0 ? status.st_mode : 0;
}

static const char *explain(const struct command *command, const char *candidate, int errnum)
{
    mode_t mode = mode_of(command, candidate);
    if (errnum == EACCES && S_ISDIR(mode))
        return ". It is a directory: name the program inside it";
    if (errnum == EACCES && mode && !(mode & 0111))
        return ". It is not marked executable: chmod +x it, or name its interpreter first";
    if (errnum == ENOENT && mode)
        return ". The file is there, but the interpreter it names (its #! line or loader) is not";
    if (errnum == ENOEXEC)
        return ". It is neither a program for this machine nor a script with a #! line";
    return "";
}

int command_error(const struct command *command, unsigned index, int errnum, struct error *err)
{
    const char *candidate = command->candidates[index];
    bool found = mode_of(command, candidate) != 0;
    if (errnum == ENOENT && command->path && !found) {
        error_set(err, errnum, "command not found: '%s'; searched PATH=%s", command->name,
                  command->path);
    } else {
        error_errno(err, errnum, "executing '%s'", candidate);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof(err->text) - used, "%s",
                 explain(command, candidate, errnum));
    }
    if (errnum == ENOENT || errnum == ENOTDIR || errnum == EACCES || errnum == ENOEXEC)
        err->kind = ERROR_USAGE;
    return err->code;
}
