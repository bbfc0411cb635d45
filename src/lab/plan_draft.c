/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_draft.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "lab/plan_request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ITEMS_MAX         1000
#define REQUESTS_FILE_MAX (1 << 20)

static const struct setting_info SETTINGS[SETTING_COUNT] = {
#define SETTING_OPTION(id, field, name, argument, scope, fallback, help)                           \
    [SETTING_##id] = {name, scope, fallback, offsetof(struct plan_options, field)},
    PLAN_SETTING_LIST(SETTING_OPTION)
#undef SETTING_OPTION
#define SETTING_KEY(id, name, scope) [SETTING_##id] = {name, scope, NULL, SIZE_MAX},
        PLAN_FILE_KEY_LIST(SETTING_KEY)
#undef SETTING_KEY
};

const struct setting_info *setting_info(enum setting setting)
{
    return &SETTINGS[setting];
}

int origin_wrap(const struct origin *origin, struct error *err)
{
    if (!origin->file)
        return error_wrap(err, "--%s", origin->name);
    if (origin->name)
        error_wrap(err, "%s", origin->name);
    return error_wrap(err, "%s:%u:%u", origin->file, origin->line, origin->column);
}

static void variables_done(struct draft_variables *variables)
{
    for (size_t i = 0; i < variables->count; i++) {
        free(variables->items[i].name);
        free(variables->items[i].value);
    }
    free(variables->items);
}

void draft_done(struct draft *draft)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        free(draft->settings[i].text);
    strv_free(draft->command.words);
    strv_free(draft->patch_command.words);
    variables_done(&draft->env);
    variables_done(&draft->patch_env);
    for (size_t i = 0; i < draft->requests.count; i++)
        plan_request_done(&draft->requests.items[i]);
    free(draft->requests.items);
    *draft = (struct draft){0};
}

void lab_draft_done(struct lab_draft *lab)
{
    for (size_t i = 0; i < lab->scenario_count; i++) {
        free(lab->scenarios[i].name);
        draft_done(&lab->scenarios[i].draft);
    }
    free(lab->scenarios);
    draft_done(&lab->top);
    free(lab->file);
    *lab = (struct lab_draft){0};
}

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "reading the lab");
}

int draft_set_text(struct draft *draft, enum setting setting, const char *text,
                   const struct origin *origin, struct error *err)
{
    char *copy = strdup(text);
    if (!copy)
        return out_of_memory(err);
    free(draft->settings[setting].text);
    draft->settings[setting] = (struct draft_text){.text = copy, .origin = *origin};
    return 0;
}

int draft_set_words(struct draft_words *command, const char *const *words,
                    const struct origin *origin, struct error *err)
{
    if (!words[0] || words[0][0] == '\0') {
        error_usage(err, "the command is empty");
        return origin_wrap(origin, err);
    }
    char **copy = strv_copy((char *const *)words, strv_length((char *const *)words));
    if (!copy)
        return out_of_memory(err);
    strv_free(command->words);
    *command = (struct draft_words){.words = copy, .origin = *origin};
    return 0;
}

int draft_set_command(struct draft_words *command, const char *text, const struct origin *origin,
                      struct error *err)
{
    CLEANUP(strv_cleanup) char **words = NULL;
    if (command_split(text, &words, err) < 0)
        return origin_wrap(origin, err);
    return draft_set_words(command, (const char *const *)words, origin, err);
}

static int check_variable(const struct draft_variables *variables, const char *name,
                          struct error *err)
{
    if (name[0] == '\0' || strpbrk(name, "= \t\n"))
        return error_usage(err, "'%s' is no name of an environment variable", name);
    for (size_t i = 0; i < variables->count; i++) {
        if (strcmp(variables->items[i].name, name) == 0)
            return error_usage(err, "'%s' is set twice", name);
    }
    if (variables->count >= ITEMS_MAX)
        return error_usage(err, "more than %d variables", ITEMS_MAX);
    return 0;
}

int draft_add_variable(struct draft_variables *variables, const char *name, const char *value,
                       const struct origin *origin, struct error *err)
{
    if (check_variable(variables, name, err) < 0)
        return origin_wrap(origin, err);
    size_t bytes = (variables->count + 1) * sizeof(*variables->items);
    struct draft_variable *grown = realloc(variables->items, bytes);
    if (!grown)
        return out_of_memory(err);
    variables->items = grown;
    struct draft_variable *item = &grown[variables->count];
    *item = (struct draft_variable){strdup(name), strdup(value), *origin};
    if (!item->name || !item->value) {
        free(item->name);
        free(item->value);
        return out_of_memory(err);
    }
    variables->count++;
    return 0;
}

int draft_add_request(struct draft_requests *requests, struct traffic_request *request,
                      const struct origin *origin, struct error *err)
{
    if (requests->count >= ITEMS_MAX) {
        plan_request_done(request);
        error_usage(err, "more than %d kinds of requests", ITEMS_MAX);
        return origin_wrap(origin, err);
    }
    size_t bytes = (requests->count + 1) * sizeof(*requests->items);
    struct traffic_request *grown = realloc(requests->items, bytes);
    if (!grown) {
        plan_request_done(request);
        return out_of_memory(err);
    }
    if (requests->count == 0)
        requests->origin = *origin;
    requests->items = grown;
    grown[requests->count++] = *request;
    return 0;
}

/* Pipes are taken (process substitution), but nothing that could block for ever or has no end. */
static int read_requests_file(const char *path, struct buffer *text, struct error *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_usage(err, "cannot read '%s': %s", path, strerrordesc_np(errno));
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
        return error_usage(err, "'%s' is not a file", path);
    int r = file_read_all(AT_FDCWD, path, REQUESTS_FILE_MAX, text, err);
    if (r < 0)
        err->kind = ERROR_USAGE;
    return r;
}

int draft_read_requests(struct draft_requests *requests, const char *path,
                        const struct origin *origin, struct error *err)
{
    AUTO_BUFFER text = {0};
    if (read_requests_file(path, &text, err) < 0)
        return origin_wrap(origin, err);
    if (text.length != strlen(buffer_text(&text)))
        return error_usage(err, "%s: this is no text file", path);
    struct traffic_request *parsed = NULL;
    size_t count = 0;
    int r = traffic_requests_parse_text(path, buffer_text(&text), &parsed, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct traffic_request request = {0};
        r = plan_request_copy(&parsed[i], &request, err);
        if (r == 0)
            r = draft_add_request(requests, &request, origin, err);
    }
    traffic_requests_free(parsed, count);
    return r;
}

static int variables_from_options(struct draft_variables *variables, const char *const *texts,
                                  const struct origin *origin, struct error *err)
{
    for (; texts && *texts; texts++) {
        const char *equals = strchr(*texts, '=');
        if (!equals) {
            error_usage(err, "'%s' is not NAME=VALUE", *texts);
            return origin_wrap(origin, err);
        }
        AUTO_FREE char *name = strndup(*texts, (size_t)(equals - *texts));
        if (!name)
            return out_of_memory(err);
        int r = draft_add_variable(variables, name, equals + 1, origin, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int requests_from_options(struct draft_requests *requests, const char *const *texts,
                                 struct error *err)
{
    struct origin origin = {.name = "request"};
    for (; texts && *texts; texts++) {
        struct traffic_request request = {0};
        if (plan_request_parse(*texts, &request, err) < 0)
            return origin_wrap(&origin, err);
        int r = draft_add_request(requests, &request, &origin, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int settings_from_options(const struct plan_options *options, struct draft *draft,
                                 struct error *err)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (SETTINGS[i].option_offset == SIZE_MAX)
            continue;
        const char *text =
            *(const char *const *)((const char *)options + SETTINGS[i].option_offset);
        struct origin origin = {.name = SETTINGS[i].name};
        if (text && draft_set_text(draft, (enum setting)i, text, &origin, err) < 0)
            return err->code;
    }
    return 0;
}

static int fill_from_options(const struct plan_options *options, struct draft *draft,
                             struct error *err)
{
    struct origin command = {.name = ""};
    struct origin patch_command = {.name = "patch-command"};
    struct origin env = {.name = "env"};
    struct origin patch_env = {.name = "patch-env"};
    struct origin https = {.name = "https"};
    struct origin heap = {.name = "heap"};
    struct origin kills = {.name = "kills"};
    int r = settings_from_options(options, draft, err);
    if (r == 0 && options->command)
        r = draft_set_words(&draft->command, options->command, &command, err);
    if (r == 0 && options->patch_command)
        r = draft_set_command(&draft->patch_command, options->patch_command, &patch_command, err);
    if (r == 0)
        r = variables_from_options(&draft->env, options->env, &env, err);
    if (r == 0)
        r = variables_from_options(&draft->patch_env, options->patch_env, &patch_env, err);
    if (r == 0)
        r = requests_from_options(&draft->requests, options->requests, err);
    if (r == 0 && options->kills && kill_stops_parse(options->kills, &draft->kills, err) < 0)
        r = origin_wrap(&kills, err);
    draft->https_given = options->https != NULL;
    if (r == 0 && options->https && flag_parse(options->https, &draft->https, err) < 0)
        r = origin_wrap(&https, err);
    draft->heap_given = options->heap != NULL;
    if (r == 0 && options->heap && flag_parse(options->heap, &draft->heap, err) < 0)
        r = origin_wrap(&heap, err);
    return r;
}

int draft_from_options(const struct plan_options *options, struct draft *ret, struct error *err)
{
    *ret = (struct draft){0};
    int r = fill_from_options(options, ret, err);
    if (r < 0)
        draft_done(ret);
    return r;
}
