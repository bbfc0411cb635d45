/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLATFORM_VARIABLES = 5 };

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

    size_t most = list_length(environ) + PLATFORM_VARIABLES + list_length(template->env) + 1;
    char **env = calloc(most, sizeof(*env));
    size_t count = 0;
    if (!env || put_list(env, &count, environ) < 0)
        goto failed;
    for (size_t i = 0; i < PLATFORM_VARIABLES; i++) {
        if (put(env, &count, platform[i]) < 0)
            goto failed;
    }
    if (put_list(env, &count, template->env) < 0)
        goto failed;
    return env;

failed:
    environment_free(env);
    return NULL;
}
