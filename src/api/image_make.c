/* SPDX-License-Identifier: Apache-2.0 */
/* From a container's JSON and its image to what is executed. */
#include "api/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "making a template");
}

static size_t length_of(char *const *list)
{
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* --- the command ---------------------------------------------------------------------------- */

static int put(char **list, const char *word)
{
    size_t length = length_of(list);
    list[length] = strdup(word);
    return list[length] ? 0 : -ENOMEM;
}

static int put_json(char **list, const json_t *words)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(words); i++)
        r = put(list, json_string_value(json_array_get(words, i)));
    return r;
}

static int put_list(char **list, char *const *words)
{
    int r = 0;
    for (size_t i = 0; r == 0 && words && words[i]; i++)
        r = put(list, words[i]);
    return r;
}

/* As Kubernetes does: a command takes the place of both, arguments that of the image's own. */
static int make_command(const json_t *container, const struct image_config *config,
                        struct image_parts *parts)
{
    const json_t *command = json_object_get(container, "command");
    const json_t *args = json_object_get(container, "args");
    size_t most = json_array_size(command) + json_array_size(args) + length_of(config->entrypoint) +
                  length_of(config->cmd) + 1;
    parts->command = calloc(most, sizeof(*parts->command));
    if (!parts->command)
        return -ENOMEM;
    bool own = json_array_size(command) == 0;
    int r = own ? put_list(parts->command, config->entrypoint) : put_json(parts->command, command);
    if (r == 0 && own && json_array_size(args) == 0)
        return put_list(parts->command, config->cmd);
    return r == 0 ? put_json(parts->command, args) : r;
}

/* --- an unpacked image ---------------------------------------------------------------------- */

static bool has_variable(char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; env && env[i]; i++)
        if (strncmp(env[i], name, length) == 0 && env[i][length] == '=')
            return true;
    return false;
}

static int make_env(const struct image_config *config, const char *home, struct image_parts *parts)
{
    char line[IMAGE_HOME_MAX + 8];
    parts->env = calloc(length_of(config->env) + 2, sizeof(*parts->env));
    if (!parts->env)
        return -ENOMEM;
    int r = put_list(parts->env, config->env);
    snprintf(line, sizeof(line), "HOME=%s", home);
    return r == 0 && !has_variable(config->env, "HOME") ? put(parts->env, line) : r;
}

/* A relative one is meant from the root on. */
static int make_directory(const struct image_config *config, struct image_parts *parts)
{
    const char *directory = config->directory;
    if (directory[0] == '\0')
        return 0;
    return asprintf(&parts->directory, "%s%s", directory[0] == '/' ? "" : "/", directory) < 0
               ? -ENOMEM
               : 0;
}

static void make_user(const struct image_user *user, struct image_parts *parts)
{
    parts->has_user = true;
    parts->user.uid = user->uid;
    parts->user.gid = user->gid;
    parts->user.group_count = user->group_count;
    memcpy(parts->user.groups, user->groups, sizeof(parts->user.groups));
}

static int make_unpacked(const json_t *container, const struct image_cache *cache,
                         const char *digest, struct image_parts *parts, struct error *err)
{
    struct image_config config = {0};
    struct image_user user;
    int r = image_cache_config(cache, digest, &config, err);
    if (r == 0)
        r = image_cache_user(cache, digest, config.user, &user, err);
    if (r == 0) {
        make_user(&user, parts);
        parts->shared_root = true;
        parts->root = image_cache_root(cache, digest);
        if (!parts->root || make_command(container, &config, parts) < 0 ||
            make_env(&config, user.home, parts) < 0 || make_directory(&config, parts) < 0)
            r = out_of_memory(err);
    }
    image_config_done(&config);
    return r;
}

/* --- all kinds ------------------------------------------------------------------------------ */

static int make_plain(const json_t *container, struct image_parts *parts, struct error *err)
{
    char program[] = "/proc/self/exe";
    char workload[] = "workload";
    char *entrypoint[] = {program, workload, NULL};
    const char *image = json_string_value(json_object_get(container, "image"));
    struct image_config config = {0};
    if (strcmp(image, "builtin/leaky") == 0)
        config.entrypoint = entrypoint;
    if (strncmp(image, "dir:", 4) == 0 && !(parts->root = strdup(image + 4)))
        return out_of_memory(err);
    return make_command(container, &config, parts) < 0 ? out_of_memory(err) : 0;
}

int image_make(const json_t *container, const struct image_cache *cache, struct image_parts *ret,
               struct error *err)
{
    struct image_parts parts = {0};
    const char *digest = image_pinned(container);
    int r = digest ? make_unpacked(container, cache, digest, &parts, err)
                   : make_plain(container, &parts, err);
    if (r < 0) {
        image_parts_free(&parts);
        return r;
    }
    *ret = parts;
    return 0;
}

void image_parts_free(struct image_parts *parts)
{
    free_list(parts->command);
    free_list(parts->env);
    free(parts->root);
    free(parts->directory);
    *parts = (struct image_parts){0};
}
