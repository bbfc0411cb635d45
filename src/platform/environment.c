/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/environment.h"

#include "base/buffer.h"
#include "preload/layout.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BASE_VARIABLES = 2, PLATFORM_VARIABLES = 5, HEAP_VARIABLES = 3 };

/* As container engines set it. */
#define IMAGE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define PRELOAD "LD_PRELOAD="

/* AddressSanitizer wants to come first, and ends the program when it does not. Behind the recorder
 * it works as ever: it is the allocator that stands there. */
#define SANITIZER         "ASAN_OPTIONS="
#define SANITIZER_OPTIONS "verify_asan_link_order=0"

static size_t list_length(char *const *list)
{
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

/* Replace the variable of the same name, or append. */
static int put(char **env, size_t *count, const char *variable)
{
    const char *equals = strchr(variable, '=');
    if (!equals)
        return 0;
    char *copy = strdup(variable);
    if (!copy)
        return -1;
    size_t name = (size_t)(equals - variable) + 1;
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(env[i], variable, name) == 0) {
            free(env[i]);
            env[i] = copy;
            return 0;
        }
    }
    env[(*count)++] = copy;
    return 0;
}

static int put_list(char **env, size_t *count, char *const *list)
{
    for (size_t i = 0; list && list[i]; i++) {
        if (put(env, count, list[i]) < 0)
            return -1;
    }
    return 0;
}

/* They are between oomlab and its manager: a container that speaks the protocol too would report
 * its own readiness as oomlab's. */
static bool is_managers(const char *variable)
{
    static const char *const names[] = {"NOTIFY_SOCKET=",  "LISTEN_FDS=",    "LISTEN_PID=",
                                        "LISTEN_FDNAMES=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static int put_base(char **env, size_t *count, const struct revision_template *template)
{
    if (template->root)
        return put(env, count, IMAGE_PATH) < 0 ||
                       put(env, count, geteuid() == 0 ? "HOME=/root" : "HOME=/") < 0
                   ? -1
                   : put_list(env, count, template->image_env);
    for (size_t i = 0; environ[i]; i++)
        if (!is_managers(environ[i]) && put(env, count, environ[i]) < 0)
            return -1;
    return 0;
}

/* Put `first` before the list that the variable `name` ("NAME=") has already. */
static int put_first(char **env, size_t *count, const char *name, const char *first)
{
    AUTO_BUFFER list = {0};
    buffer_printf(&list, "%s%s", name, first);
    for (size_t i = 0; i < *count; i++) {
        const char *others = env[i] + strlen(name);
        if (strncmp(env[i], name, strlen(name)) == 0 && *others)
            buffer_printf(&list, ":%s", others);
    }
    return list.failed ? -1 : put(env, count, buffer_text(&list));
}

/* The recorder stands before what is preloaded already, so that an allocator among it is behind;
 * the user's options stand behind ours, so that they hold. */
static int put_recorder(char **env, size_t *count, const char *library)
{
    if (put_first(env, count, PRELOAD, library) < 0 ||
        put_first(env, count, SANITIZER, SANITIZER_OPTIONS) < 0)
        return -1;
    return put(env, count, HEAP_VARIABLE "=" HEAP_FILE_PATH);
}

void environment_free(char **env)
{
    if (!env)
        return;
    for (size_t i = 0; env[i]; i++)
        free(env[i]);
    free(env);
}

char **environment_new(const struct revision_template *template, const char *revision,
                       const char *replica)
{
    char platform[PLATFORM_VARIABLES][320];
    snprintf(platform[0], sizeof(platform[0]), "PORT=%u", template->port);
    snprintf(platform[1], sizeof(platform[1]), "CONTAINER_APP_NAME=%s", template->app);
    snprintf(platform[2], sizeof(platform[2]), "CONTAINER_APP_REVISION=%s", revision);
    snprintf(platform[3], sizeof(platform[3]), "CONTAINER_APP_REPLICA_NAME=%s", replica);
    snprintf(platform[4], sizeof(platform[4]), "CONTAINER_APP_PORT=%u", template->port);

    size_t most = list_length(environ) + BASE_VARIABLES + PLATFORM_VARIABLES + HEAP_VARIABLES +
                  list_length(template->image_env) + list_length(template->env) + 1;
    char **env = calloc(most, sizeof(*env));
    size_t count = 0;
    if (!env || put_base(env, &count, template) < 0)
        goto failed;
    for (size_t i = 0; i < PLATFORM_VARIABLES; i++) {
        if (put(env, &count, platform[i]) < 0)
            goto failed;
    }
    if (put_list(env, &count, template->env) < 0)
        goto failed;
    if (template->heap.library && put_recorder(env, &count, template->heap.library) < 0)
        goto failed;
    return env;

failed:
    environment_free(env);
    return NULL;
}
