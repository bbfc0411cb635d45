/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_file.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "lab/lab_file_yaml.h"
#include "lab/plan_nearest.h"
#include "lab/plan_request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCENARIOS_MAX 50

/* Where the keys that are being read go to. */
struct target {
    struct lab_draft *lab;
    struct draft *draft;
    bool scenario; /* within a scenario */
};

static int add_word(struct lab_yaml *yaml, const yaml_node_t *item, void *context,
                    struct error *err)
{
    char ***words = context;
    const char *text = NULL;
    int r = lab_yaml_text(yaml, item, NULL, NULL, &text, err);
    if (r == 0 && strv_append(words, text) < 0)
        r = error_errno(err, ENOMEM, "reading '%s'", yaml->file);
    return r;
}

/* A list of words, or one text that is split as a shell would. */
static int read_command(struct lab_yaml *yaml, const yaml_node_t *value, const char *name,
                        struct draft_words *command, struct error *err)
{
    struct origin origin = lab_yaml_origin(yaml, value, name);
    if (value->type == YAML_SEQUENCE_NODE) {
        CLEANUP(strv_cleanup) char **words = calloc(1, sizeof(*words));
        if (!words)
            return error_errno(err, ENOMEM, "reading '%s'", yaml->file);
        int r = lab_yaml_items(yaml, value, name, add_word, &words, err);
        return r < 0 ? r : draft_set_words(command, (const char *const *)words, &origin, err);
    }
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, name, NULL, &text, err);
    return r < 0 ? r : draft_set_command(command, text, &origin, err);
}

static int add_variable(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                        const yaml_node_t *value, void *context, struct error *err)
{
    const char *text = NULL;
    struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
    int r = lab_yaml_text(yaml, value, key, "", &text, err);
    return r < 0 ? r : draft_add_variable(context, key, text, &origin, err);
}

static int add_header(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                      const yaml_node_t *value, void *context, struct error *err)
{
    struct traffic_request *request = context;
    struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, key, "", &text, err);
    if (r < 0)
        return r;
    if (key[strcspn(key, ": \t\r\n")] != '\0' || strpbrk(text, "\r\n")) {
        error_usage(err,
                    "'%.60s' is no header: its name takes no blanks and colons, its value no "
                    "line breaks",
                    key);
        return origin_wrap(&origin, err);
    }
    AUTO_BUFFER header = {0};
    char **headers = (char **)request->headers;
    if (strv_length(headers) >= 100) {
        error_usage(err, "more than 100 headers");
        return origin_wrap(&origin, err);
    }
    buffer_printf(&header, "%s: %s", key, text);
    r = header.failed ? -ENOMEM : strv_append(&headers, buffer_text(&header));
    request->headers = (const char *const *)headers;
    return r < 0 ? error_errno(err, ENOMEM, "reading '%s'", yaml->file) : 0;
}

/* A request that is written as a map; method and path are joined and checked together. */
struct request_map {
    const char *method, *path;
    struct traffic_request request; /* headers, body and weight */
};

static int read_weight(const char *text, double *ret, struct error *err)
{
    char *end = NULL;
    double weight = strtod(text, &end);
    if (!strchr("0123456789.", text[0]) || *end != '\0' || !(weight > 0 && weight <= 1e6))
        return error_usage(err, "'%.60s' is not a weight: a number above 0", text);
    *ret = weight;
    return 0;
}

static int read_request_key(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                            const yaml_node_t *value, void *context, struct error *err)
{
    static const char *const names[] = {"method", "path", "headers", "body", "weight"};
    struct request_map *map = context;
    struct nearest nearest;
    size_t which = 0;
    nearest_init(&nearest, key);
    while (which < 5 && strcmp(key, names[which]) != 0)
        nearest_offer(&nearest, names[which++]);
    if (which == 5) {
        char hint[NEAREST_HINT_MAX];
        struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
        error_usage(err, "unknown key '%.60s' in a request%s", key,
                    nearest_hint(&nearest, "", hint));
        return origin_wrap(&origin, err);
    }
    if (which == 2)
        return lab_yaml_pairs(yaml, value, key, add_header, &map->request, err);
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, key, which == 3 ? "" : NULL, &text, err);
    if (r < 0)
        return r;
    if (which == 0)
        map->method = text;
    else if (which == 1)
        map->path = text;
    else if (which == 3)
        map->request.body = strdup(text);
    else if (read_weight(text, &map->request.weight, err) < 0) {
        struct origin origin = lab_yaml_origin(yaml, value, key);
        return origin_wrap(&origin, err);
    }
    return which == 3 && !map->request.body ? error_errno(err, ENOMEM, "reading a body") : 0;
}

/* Method and path through the same parser as --request. */
static int finish_request_map(struct request_map *map, struct traffic_request *ret,
                              struct error *err)
{
    AUTO_BUFFER text = {0};
    if (!map->path)
        return error_usage(err, "a request needs a path");
    if (strpbrk(map->path, " \t\r\n"))
        return error_usage(err, "the path '%.60s' holds a blank; write %%20", map->path);
    buffer_printf(&text, "%s %s", map->method ? map->method : "GET", map->path);
    if (text.failed)
        return error_errno(err, ENOMEM, "reading a request");
    struct traffic_request line = {0};
    int r = traffic_request_parse(buffer_text(&text), &line, err);
    if (r < 0)
        return r;
    map->request.method = line.method;
    map->request.path = line.path;
    map->request.body_bytes = map->request.body ? strlen(map->request.body) : 0;
    bool bodiless = strcmp(line.method, "GET") == 0 || strcmp(line.method, "HEAD") == 0;
    if (bodiless && map->request.body_bytes > 0)
        r = error_usage(err, "a %s request has no body", line.method);
    else
        r = plan_request_copy(&map->request, ret, err);
    traffic_request_done(&line);
    return r;
}

static int read_request(struct lab_yaml *yaml, const yaml_node_t *node, struct traffic_request *ret,
                        struct error *err)
{
    struct origin origin = lab_yaml_origin(yaml, node, NULL);
    if (node->type == YAML_SCALAR_NODE) {
        const char *text = NULL;
        int r = lab_yaml_text(yaml, node, "requests", NULL, &text, err);
        if (r == 0 && plan_request_parse(text, ret, err) < 0)
            r = origin_wrap(&origin, err);
        return r;
    }
    if (node->type != YAML_MAPPING_NODE) {
        error_usage(err, "a request is a text or a map, not %s", lab_yaml_kind(node));
        return origin_wrap(&origin, err);
    }
    struct request_map map = {.request.weight = 1};
    int r = lab_yaml_pairs(yaml, node, "requests", read_request_key, &map, err);
    if (r == 0 && finish_request_map(&map, ret, err) < 0)
        r = origin_wrap(&origin, err);
    strv_free((char **)map.request.headers);
    free((char *)map.request.body);
    return r;
}

static int add_request(struct lab_yaml *yaml, const yaml_node_t *item, void *context,
                       struct error *err)
{
    struct draft *draft = context;
    struct origin origin = lab_yaml_origin(yaml, item, "requests");
    struct traffic_request request = {0};
    int r = read_request(yaml, item, &request, err);
    return r < 0 ? r : draft_add_request(&draft->requests, &request, &origin, err);
}

static int read_requests(struct lab_yaml *yaml, const yaml_node_t *value, struct draft *draft,
                         struct error *err)
{
    if (value->type == YAML_SCALAR_NODE)
        return add_request(yaml, value, draft, err);
    int r = lab_yaml_items(yaml, value, "requests", add_request, draft, err);
    if (r == 0 && draft->requests.count == 0) {
        struct origin origin = lab_yaml_origin(yaml, value, "requests");
        error_usage(err, "there is no request in the list");
        return origin_wrap(&origin, err);
    }
    return r;
}

static int add_kill_stop(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                         const yaml_node_t *value, void *context, struct error *err)
{
    enum arm_kind kind = ARM_TRIGGER;
    const char *text = NULL;
    struct origin key_origin = lab_yaml_origin(yaml, key_node, NULL);
    struct origin value_origin = lab_yaml_origin(yaml, value, key);
    if (arm_kind_parse(key, &kind, err) < 0)
        return origin_wrap(&key_origin, err);
    int r = lab_yaml_text(yaml, value, key, NULL, &text, err);
    if (r == 0 && kill_stops_set(context, key, text, err) < 0)
        r = origin_wrap(&value_origin, err);
    return r;
}

static int read_kills(struct lab_yaml *yaml, const yaml_node_t *value, struct draft *draft,
                      struct error *err)
{
    if (value->type == YAML_MAPPING_NODE)
        return lab_yaml_pairs(yaml, value, "kills", add_kill_stop, &draft->kills, err);
    struct origin origin = lab_yaml_origin(yaml, value, "kills");
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, "kills", NULL, &text, err);
    if (r == 0 && kill_stops_parse(text, &draft->kills, err) < 0)
        r = origin_wrap(&origin, err);
    return r;
}

static int read_switch(struct lab_yaml *yaml, const yaml_node_t *value, const char *key,
                       bool *ret_on, bool *ret_given, struct error *err)
{
    struct origin origin = lab_yaml_origin(yaml, value, key);
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, key, NULL, &text, err);
    if (r == 0 && flag_parse(text, ret_on, err) < 0)
        r = origin_wrap(&origin, err);
    *ret_given = true;
    return r;
}

/* A file that the lab file names is looked for beside the lab file. */
static int read_requests_file_key(struct lab_yaml *yaml, const yaml_node_t *value,
                                  struct draft *draft, struct error *err)
{
    struct origin origin = lab_yaml_origin(yaml, value, "requests-file");
    AUTO_BUFFER path = {0};
    const char *text = NULL;
    int r = lab_yaml_text(yaml, value, "requests-file", NULL, &text, err);
    if (r < 0)
        return r;
    const char *slash = strrchr(yaml->file, '/');
    if (slash && text[0] != '/')
        buffer_append(&path, yaml->file, (size_t)(slash - yaml->file) + 1);
    buffer_puts(&path, text);
    if (path.failed)
        return error_errno(err, ENOMEM, "reading '%s'", yaml->file);
    return draft_set_text(draft, SETTING_REQUESTS_FILE, buffer_text(&path), &origin, err);
}

static int read_scenarios(struct lab_yaml *yaml, const yaml_node_t *value, struct lab_draft *lab,
                          struct error *err);

/* The keys whose value is more than one text. */
enum compound {
#define COMPOUND_ENUM(id, ...) COMPOUND_##id,
    PLAN_COMPOUND_LIST(COMPOUND_ENUM)
#undef COMPOUND_ENUM
        COMPOUND_COMMAND,
    COMPOUND_SCENARIOS,
    COMPOUND_COUNT
};

static const struct {
    const char *name;
    enum setting_scope scope;
} COMPOUNDS[COMPOUND_COUNT] = {
#define COMPOUND_INFO(id, field, option, key, argument, scope, help) [COMPOUND_##id] = {key, scope},
    PLAN_COMPOUND_LIST(COMPOUND_INFO)
#undef COMPOUND_INFO
        [COMPOUND_COMMAND] = {"command", SCOPE_SCENARIO},
    [COMPOUND_SCENARIOS] = {"scenarios", SCOPE_PLAN},
};

static int read_compound(struct lab_yaml *yaml, enum compound compound, const yaml_node_t *value,
                         struct target *target, struct error *err)
{
    struct draft *draft = target->draft;
    switch (compound) {
    case COMPOUND_HTTPS:
        return read_switch(yaml, value, "https", &draft->https, &draft->https_given, err);
    case COMPOUND_HEAP:
        return read_switch(yaml, value, "heap", &draft->heap, &draft->heap_given, err);
    case COMPOUND_ENV:
        return lab_yaml_pairs(yaml, value, "env", add_variable, &draft->env, err);
    case COMPOUND_PATCH_ENV:
        return lab_yaml_pairs(yaml, value, "patch-env", add_variable, &draft->patch_env, err);
    case COMPOUND_PATCH_COMMAND:
        return read_command(yaml, value, "patch-command", &draft->patch_command, err);
    case COMPOUND_REQUESTS:
        return read_requests(yaml, value, draft, err);
    case COMPOUND_KILLS:
        return read_kills(yaml, value, draft, err);
    case COMPOUND_COMMAND:
        return read_command(yaml, value, "command", &draft->command, err);
    case COMPOUND_SCENARIOS:
        return read_scenarios(yaml, value, target->lab, err);
    case COMPOUND_COUNT:
        break;
    }
    return error_set(err, EINVAL, "no such key");
}

static int check_scope(const struct lab_yaml *yaml, const yaml_node_t *key_node, const char *key,
                       enum setting_scope scope, const struct target *target, struct error *err)
{
    if (!target->scenario || scope == SCOPE_SCENARIO)
        return 0;
    struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
    error_usage(err, "the key '%s' stands at the top level only: it is the same for all scenarios",
                key);
    return origin_wrap(&origin, err);
}

static int unknown_key(const struct lab_yaml *yaml, const yaml_node_t *key_node, const char *key,
                       struct error *err)
{
    struct nearest nearest;
    char hint[NEAREST_HINT_MAX];
    struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
    nearest_init(&nearest, key);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        nearest_offer(&nearest, setting_info((enum setting)i)->name);
    for (size_t i = 0; i < COMPOUND_COUNT; i++)
        nearest_offer(&nearest, COMPOUNDS[i].name);
    if (strcmp(key, "<<") == 0)
        error_usage(err, "merge keys are not taken: top-level keys hold for every scenario");
    else
        error_usage(err, "unknown key '%.60s'%s", key, nearest_hint(&nearest, "", hint));
    return origin_wrap(&origin, err);
}

static int read_key(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                    const yaml_node_t *value, void *context, struct error *err)
{
    struct target *target = context;
    for (size_t i = 0; i < COMPOUND_COUNT; i++) {
        if (strcmp(key, COMPOUNDS[i].name) != 0)
            continue;
        int r = check_scope(yaml, key_node, key, COMPOUNDS[i].scope, target, err);
        return r < 0 ? r : read_compound(yaml, (enum compound)i, value, target, err);
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *info = setting_info((enum setting)i);
        if (strcmp(key, info->name) != 0)
            continue;
        const char *text = NULL;
        struct origin origin = lab_yaml_origin(yaml, value, info->name);
        int r = check_scope(yaml, key_node, key, info->scope, target, err);
        if (r == 0 && i == SETTING_REQUESTS_FILE)
            return read_requests_file_key(yaml, value, target->draft, err);
        if (r == 0)
            r = lab_yaml_text(yaml, value, info->name, NULL, &text, err);
        return r < 0 ? r : draft_set_text(target->draft, (enum setting)i, text, &origin, err);
    }
    return unknown_key(yaml, key_node, key, err);
}

static int read_scenario(struct lab_yaml *yaml, const char *key, const yaml_node_t *key_node,
                         const yaml_node_t *value, void *context, struct error *err)
{
    struct lab_draft *lab = context;
    struct origin origin = lab_yaml_origin(yaml, key_node, NULL);
    if (name_check(key, err) < 0)
        return origin_wrap(&origin, err);
    if (lab->scenario_count >= SCENARIOS_MAX) {
        error_usage(err, "more than %d scenarios", SCENARIOS_MAX);
        return origin_wrap(&origin, err);
    }
    size_t bytes = (lab->scenario_count + 1) * sizeof(*lab->scenarios);
    struct scenario_draft *grown = realloc(lab->scenarios, bytes);
    char *name = strdup(key);
    if (grown)
        lab->scenarios = grown;
    if (!grown || !name) {
        free(name);
        return error_errno(err, ENOMEM, "reading '%s'", yaml->file);
    }
    struct scenario_draft *scenario = &grown[lab->scenario_count++];
    *scenario = (struct scenario_draft){.name = name, .origin = origin};
    struct target target = {.lab = lab, .draft = &scenario->draft, .scenario = true};
    return lab_yaml_pairs(yaml, value, scenario->name, read_key, &target, err);
}

static int read_scenarios(struct lab_yaml *yaml, const yaml_node_t *value, struct lab_draft *lab,
                          struct error *err)
{
    int r = lab_yaml_pairs(yaml, value, "scenarios", read_scenario, lab, err);
    if (r == 0 && lab->scenario_count == 0) {
        struct origin origin = lab_yaml_origin(yaml, value, "scenarios");
        error_usage(err, "there is no scenario in the map");
        return origin_wrap(&origin, err);
    }
    return r;
}

int lab_file_parse(const char *file, const char *text, size_t length, struct lab_draft *ret,
                   struct error *err)
{
    struct lab_draft lab = {.file = strdup(file)};
    if (!lab.file)
        return error_errno(err, ENOMEM, "reading '%s'", file);
    CLEANUP(lab_yaml_done) struct lab_yaml yaml = {0};
    struct target target = {.lab = &lab, .draft = &lab.top};
    int r = lab_yaml_load(lab.file, text, length, &yaml, err);
    if (r == 0)
        r = lab_yaml_pairs(&yaml, yaml.root, NULL, read_key, &target, err);
    if (r < 0) {
        lab_draft_done(&lab);
        return r;
    }
    *ret = lab;
    return 0;
}

int lab_file_read(const char *file, struct lab_draft *ret, struct error *err)
{
    AUTO_BUFFER text = {0};
    struct stat status;
    const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;
    const char *name = strcmp(file, "-") == 0 ? "<stdin>" : file;
    if (stat(path, &status) < 0)
        return error_usage(err, "cannot read the lab file '%s': %s", name, strerrordesc_np(errno));
    if (S_ISDIR(status.st_mode))
        return error_usage(err, "the lab file '%s' is a directory", name);
    int r = file_read_all(AT_FDCWD, path, LAB_FILE_MAX_BYTES, &text, err);
    if (r < 0) {
        err->kind = ERROR_USAGE;
        return error_wrap(err, "the lab file");
    }
    return lab_file_parse(name, buffer_text(&text), text.length, ret, err);
}
