/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_arms.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/redact.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void arm_plan_done(struct arm_plan *arm)
{
    strv_free(arm->command);
    strv_free(arm->env);
    strv_free(arm->differs_in);
    free(arm->memory_place);
    *arm = (struct arm_plan){0};
}

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "planning the arms");
}

/* The limits of the scenario's arms. */
struct resources {
    uint64_t memory, raise, patch_memory;
    double cpu, patch_cpu;
    bool leak_path;   /* a patched environment or command is known */
    bool patch_known; /* or at least another size */
};

static bool leak_path_known(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->patch_env.count > 0 || layers->at[i]->patch_command.words)
            return true;
    }
    return false;
}

static int read_resources(const struct layers *layers, struct resources *ret, struct error *err)
{
    struct resources resources = {.leak_path = leak_path_known(layers)};
    int r = layers_read(layers, SETTING_MEMORY, read_memory, &resources.memory, err);
    resources.raise = 2 * resources.memory;
    if (r == 0)
        r = layers_read(layers, SETTING_RAISE, read_memory, &resources.raise, err);
    resources.patch_memory = resources.raise;
    if (r == 0)
        r = layers_read(layers, SETTING_PATCH_MEMORY, read_memory, &resources.patch_memory, err);
    if (r == 0)
        r = layers_read(layers, SETTING_CPU, read_cpu, &resources.cpu, err);
    resources.patch_cpu = resources.cpu;
    if (r == 0)
        r = layers_read(layers, SETTING_PATCH_CPU, read_cpu, &resources.patch_cpu, err);
    resources.patch_known = resources.leak_path || layers_text(layers, SETTING_PATCH_MEMORY);
    if (r == 0)
        *ret = resources;
    return r;
}

static struct arm_order default_order(const struct resources *resources)
{
    struct arm_order order = {.kinds = {ARM_TRIGGER, ARM_RAISE}, .count = 2};
    if (resources->leak_path)
        order.kinds[order.count++] = ARM_PATCH;
    if (resources->patch_known) {
        order.kinds[order.count++] = ARM_FIX;
        order.kinds[order.count++] = ARM_REVERT;
    }
    return order;
}

static bool stands_before(const struct arm_order *order, size_t index, enum arm_kind kind)
{
    for (size_t i = 0; i < index; i++) {
        if (order->kinds[i] == kind)
            return true;
    }
    return false;
}

/* Each arm's place and whether anybody said how to run it. */
static int check_order(const struct arm_order *order, const struct resources *resources,
                       struct error *err)
{
    for (size_t i = 0; i < order->count; i++) {
        enum arm_kind kind = order->kinds[i];
        const char *name = arm_kind_name(kind);
        bool trigger = stands_before(order, i, ARM_TRIGGER);
        if (kind == ARM_CONTROL && order->count > 1)
            return error_usage(err,
                               "the arm 'control' is compared with nothing; give it a scenario "
                               "of its own");
        if (kind != ARM_TRIGGER && kind != ARM_CONTROL && !trigger)
            return error_usage(err,
                               "the arm '%s' is compared with 'trigger', so 'trigger' must stand "
                               "before it",
                               name);
        if (kind == ARM_PATCH && !resources->leak_path)
            return error_usage(err, "the arm 'patch' needs patch-env or patch-command: how is the "
                                    "leak removed?");
        if (kind == ARM_FIX && !resources->patch_known)
            return error_usage(err, "the arm 'fix' needs patch-env, patch-command or patch-memory: "
                                    "what is shipped?");
        if (kind == ARM_REVERT && !stands_before(order, i, ARM_PATCH) &&
            !stands_before(order, i, ARM_FIX))
            return error_usage(err, "the arm 'revert' takes a cure back, so 'patch' or 'fix' must "
                                    "stand before it");
    }
    return 0;
}

/* "oomlab" as the program is this very executable, wherever it is installed. */
static int resolve_self(char **command, struct error *err)
{
    char path[4096];
    if (strcmp(command[0], "oomlab") != 0)
        return 0;
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length < 0)
        return error_errno(err, errno, "reading /proc/self/exe");
    path[length] = '\0';
    char *copy = strdup(path);
    if (!copy)
        return out_of_memory(err);
    free(command[0]);
    command[0] = copy;
    return 0;
}

static bool is_patched(enum arm_kind kind)
{
    return kind == ARM_PATCH || kind == ARM_FIX || kind == ARM_CONTROL;
}

/* Where the limit of this kind of arm was written. What was not said follows from what was: raise
 * from memory, patch-memory from raise. */
static int set_memory_place(const struct layers *layers, enum arm_kind kind, struct arm_plan *arm)
{
    static const enum setting chain[] = {SETTING_PATCH_MEMORY, SETTING_RAISE, SETTING_MEMORY};
    size_t first = kind == ARM_FIX || kind == ARM_CONTROL ? 0 : kind == ARM_RAISE ? 1 : 2;
    const struct draft_text *given = NULL;
    for (size_t i = first; !given && i < sizeof(chain) / sizeof(chain[0]); i++)
        given = layers_text(layers, chain[i]);
    if (!given || (!given->origin.file && !given->origin.name))
        return 0;
    struct error place = {0};
    error_set(&place, EINVAL, "%s", "");
    origin_wrap(&given->origin, &place);
    size_t length = strlen(place.text);
    while (length > 0 && strchr(": ", place.text[length - 1]))
        place.text[--length] = '\0';
    arm->memory_place = strdup(place.text);
    return arm->memory_place ? 0 : -ENOMEM;
}

static int fill_arm(const struct layers *layers, const struct resources *resources,
                    enum arm_kind kind, struct arm_plan *ret, struct error *err)
{
    const struct draft_words *command = layers_command(layers);
    const struct draft_words *patched = layers_patch_command(layers);
    struct kill_stops stops = layers_kill_stops(layers);
    if (!command)
        return error_usage(err, "there is no command to run");
    if (is_patched(kind) && patched)
        command = patched;
    *ret = (struct arm_plan){
        .kind = kind,
        .reference = -1,
        .command = strv_copy(command->words, strv_length(command->words)),
        .env = layers_environment(layers, is_patched(kind)),
        .memory_bytes = resources->memory,
        .cpu_cores = resources->cpu,
        .kill_stop = stops.count[kind],
    };
    if (kind == ARM_RAISE)
        ret->memory_bytes = resources->raise;
    if (kind == ARM_FIX || kind == ARM_CONTROL) {
        ret->memory_bytes = resources->patch_memory;
        ret->cpu_cores = resources->patch_cpu;
    }
    if (!ret->command || !ret->env || set_memory_place(layers, kind, ret) < 0)
        return out_of_memory(err);
    return resolve_self(ret->command, err);
}

/* The value of a variable in an environment; NULL: not set. */
static const char *env_value(char *const *env, const char *variable, size_t name_length)
{
    for (; *env; env++) {
        if (strncmp(*env, variable, name_length) == 0 && (*env)[name_length] == '=')
            return *env + name_length + 1;
    }
    return NULL;
}

static void add_change(struct buffer *list, const char *what, size_t what_length, const char *from,
                       const char *to)
{
    if (from && to && strcmp(from, to) == 0)
        return;
    buffer_printf(list, "%.*s: %s -> %s", (int)what_length, what, from ? from : REDACT_UNSET,
                  to ? to : REDACT_UNSET);
    buffer_append(list, "", 1);
}

static void env_differences(struct buffer *list, char *const *env, char *const *reference)
{
    for (char *const *at = reference; at && *at; at++) {
        size_t length = strcspn(*at, "=");
        char name[256];
        int used = snprintf(name, sizeof(name), "env %.*s", (int)length, *at);
        add_change(list, name, (size_t)used, *at + length + 1, env_value(env, *at, length));
    }
    for (char *const *at = env; at && *at; at++) {
        size_t length = strcspn(*at, "=");
        char name[256];
        int used = snprintf(name, sizeof(name), "env %.*s", (int)length, *at);
        if (!env_value(reference, *at, length))
            add_change(list, name, (size_t)used, NULL, *at + length + 1);
    }
}

static void join_words(struct buffer *text, char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        buffer_printf(text, "%s%s", i ? " " : "", words[i]);
}

static void command_difference(struct buffer *list, char *const *command, char *const *reference)
{
    size_t words = strv_length(command);
    bool same = words == strv_length(reference);
    for (size_t i = 0; same && command && i < words; i++)
        same = strcmp(command[i], reference[i]) == 0;
    if (same)
        return;
    AUTO_BUFFER from = {0};
    AUTO_BUFFER to = {0};
    join_words(&from, reference);
    join_words(&to, command);
    buffer_printf(list, "command: %s -> %s", buffer_text(&from), buffer_text(&to));
    buffer_append(list, "", 1);
    list->failed = list->failed || from.failed || to.failed;
}

static void limit_differences(struct buffer *list, const struct arm_plan *arm,
                              const struct arm_plan *reference, unsigned *kinds)
{
    char from[SIZE_TEXT_MAX], to[SIZE_TEXT_MAX];
    if (arm->memory_bytes != reference->memory_bytes) {
        *kinds |= DIFFERS_MEMORY;
        add_change(list, "memory", strlen("memory"),
                   size_format_quantity(reference->memory_bytes, from),
                   size_format_quantity(arm->memory_bytes, to));
    }
    if (arm->cpu_cores < reference->cpu_cores || arm->cpu_cores > reference->cpu_cores) {
        *kinds |= DIFFERS_CPU;
        snprintf(from, sizeof(from), "%g", reference->cpu_cores);
        snprintf(to, sizeof(to), "%g", arm->cpu_cores);
        add_change(list, "cpu", strlen("cpu"), reference->cpu_cores > 0 ? from : "no quota",
                   arm->cpu_cores > 0 ? to : "no quota");
    }
}

char **arm_differences(const struct arm_plan *arm, const struct arm_plan *reference,
                       unsigned *ret_kinds)
{
    AUTO_BUFFER list = {0}; /* texts, each terminated */
    unsigned kinds = 0;
    limit_differences(&list, arm, reference, &kinds);
    size_t before = list.length;
    env_differences(&list, arm->env, reference->env);
    command_difference(&list, arm->command, reference->command);
    if (list.length > before)
        kinds |= DIFFERS_LEAK_PATH;
    CLEANUP(strv_cleanup) char **texts = calloc(1, sizeof(*texts));
    if (list.failed || !texts)
        return NULL;
    for (size_t at = 0; at < list.length; at += strlen(list.data + at) + 1) {
        if (strv_append(&texts, list.data + at) < 0)
            return NULL;
    }
    *ret_kinds = kinds;
    return steal_ptr(&texts);
}

/* An arm proves something about one factor only if nothing else differs. */
static int check_difference(const struct arm_plan *arm, unsigned kinds, const char *differs,
                            bool leak_path, struct error *err)
{
    switch (arm->kind) {
    case ARM_RAISE:
        if (kinds != DIFFERS_MEMORY)
            return error_usage(err,
                               "the arm 'raise' must differ from 'trigger' in its memory limit "
                               "and in nothing else, but differs in: %s",
                               differs);
        return 0;
    case ARM_PATCH:
        if (kinds != DIFFERS_LEAK_PATH)
            return error_usage(err,
                               "the arm 'patch' must differ from 'trigger' in its environment "
                               "or command and in nothing else, but differs in: %s",
                               differs);
        return 0;
    case ARM_FIX:
        if (!(kinds & DIFFERS_MEMORY) || (leak_path && !(kinds & DIFFERS_LEAK_PATH)))
            return error_usage(err,
                               "the arm 'fix' must differ from 'trigger' in its memory limit%s, "
                               "but differs in: %s (a patch at the same limit is 'patch')",
                               leak_path ? " and in its environment or command" : "", differs);
        return 0;
    case ARM_REVERT:
        if (kinds != 0)
            return error_usage(err, "the arm 'revert' must be 'trigger' again, but differs in: %s",
                               differs);
        return 0;
    case ARM_TRIGGER:
    case ARM_CONTROL:
    case ARM_KINDS:
        break;
    }
    return 0;
}

static int compare_with_trigger(struct scenario_plan *scenario, struct arm_plan *arm,
                                bool leak_path, struct error *err)
{
    unsigned kinds = 0;
    for (size_t i = 0; arm->kind != ARM_CONTROL && i < scenario->arm_count; i++) {
        if (&scenario->arms[i] != arm && scenario->arms[i].kind == ARM_TRIGGER)
            arm->reference = (int)i;
    }
    const struct arm_plan *reference = arm->reference >= 0 ? &scenario->arms[arm->reference] : arm;
    arm->differs_in = arm_differences(arm, reference, &kinds);
    if (!arm->differs_in)
        return out_of_memory(err);
    if (arm->reference < 0)
        return 0;
    AUTO_BUFFER differs = {0};
    for (size_t i = 0; arm->differs_in[i]; i++)
        buffer_printf(&differs, "%s%s", i ? ", " : "", arm->differs_in[i]);
    const char *text = differs.length > 0 ? buffer_text(&differs) : "nothing";
    return check_difference(arm, kinds, text, leak_path, err);
}

static int at_place(const struct origin *place, struct error *err)
{
    return place ? origin_wrap(place, err) : err->code;
}

/* More memory must be more: shown where the raised limit was written. */
static int check_raise(const struct layers *layers, const struct resources *resources,
                       struct error *err)
{
    char memory[SIZE_TEXT_MAX], raise[SIZE_TEXT_MAX];
    const struct draft_text *given = layers_text(layers, SETTING_RAISE);
    if (!given || resources->raise > resources->memory)
        return 0;
    error_usage(err, "%s is not more than the memory limit under test, %s",
                size_format_quantity(resources->raise, raise),
                size_format_quantity(resources->memory, memory));
    return origin_wrap(&given->origin, err);
}

static int build(const struct layers *layers, const struct resources *resources,
                 const struct arm_order *order, const struct origin *place,
                 struct scenario_plan *scenario, struct error *err)
{
    scenario->arms = calloc(order->count + 1, sizeof(*scenario->arms));
    if (!scenario->arms)
        return out_of_memory(err);
    for (size_t i = 0; i < order->count; i++) {
        struct arm_plan *arm = &scenario->arms[scenario->arm_count++];
        if (order->kinds[i] == ARM_RAISE && check_raise(layers, resources, err) < 0)
            return err->code;
        if (fill_arm(layers, resources, order->kinds[i], arm, err) < 0 ||
            compare_with_trigger(scenario, arm, resources->leak_path, err) < 0)
            return at_place(place, err);
    }
    return 0;
}

int plan_arms_build(const struct layers *layers, const struct arm_order *order,
                    const struct origin *order_place, const struct origin *place,
                    struct scenario_plan *scenario, struct error *err)
{
    struct resources resources = {0};
    if (!layers_text(layers, SETTING_MEMORY)) {
        error_usage(err, "the memory limit under test is missing: say --memory 512Mi (in a lab "
                         "file: memory: 512Mi)");
        return at_place(place, err);
    }
    int r = read_resources(layers, &resources, err);
    if (r < 0)
        return r;
    struct arm_order by_default = default_order(&resources);
    if (!order)
        order = &by_default;
    if (check_order(order, &resources, err) < 0)
        return at_place(order_place, err);
    return build(layers, &resources, order, place, scenario, err);
}
