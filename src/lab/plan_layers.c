/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan_layers.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/size.h"

#include <string.h>

#define CPU_MAX_CORES 4096
#define RATE_MAX      100000
#define CYCLES_MAX    1000
#define PER_CYCLE_MAX 1000000
#define HEAP_RATE_MIN KIB
#define HEAP_RATE_MAX GIB
#define PIDS_MIN      4
#define PIDS_LIMIT    4194304 /* Linux' PID_MAX_LIMIT */

const struct draft_text *layers_text(const struct layers *layers, enum setting setting)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->settings[setting].text)
            return &layers->at[i]->settings[setting];
    }
    return NULL;
}

int layers_read(const struct layers *layers, enum setting setting, layers_parser parser, void *ret,
                struct error *err)
{
    const struct draft_text *given = layers_text(layers, setting);
    const char *fallback = setting_info(setting)->fallback;
    if (!given)
        return fallback ? parser(fallback, ret, err) : 0;
    return parser(given->text, ret, err) < 0 ? origin_wrap(&given->origin, err) : 0;
}

const struct draft_words *layers_command(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->command.words)
            return &layers->at[i]->command;
    }
    return NULL;
}

const struct draft_words *layers_patch_command(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->patch_command.words)
            return &layers->at[i]->patch_command;
    }
    return NULL;
}

bool layers_https(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->https_given)
            return layers->at[i]->https;
    }
    return false;
}

/* Whoever names a rate wants the profile. */
bool layers_heap(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        if (layers->at[i]->heap_given)
            return layers->at[i]->heap;
        if (layers->at[i]->settings[SETTING_HEAP_RATE].text)
            return true;
    }
    return false;
}

const struct draft *layers_requests(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        const struct draft *draft = layers->at[i];
        if (draft->requests.count > 0 || draft->settings[SETTING_REQUESTS_FILE].text)
            return draft;
    }
    return NULL;
}

struct kill_stops layers_kill_stops(const struct layers *layers)
{
    struct kill_stops stops = {
        .count = {[ARM_TRIGGER] = 3, [ARM_RAISE] = 2, [ARM_REVERT] = 2},
    };
    for (size_t i = layers->count; i-- > 0;) {
        const struct kill_stops *layer = &layers->at[i]->kills;
        for (size_t arm = 0; arm < ARM_KINDS; arm++) {
            if (layer->given[arm])
                stops.count[arm] = layer->count[arm];
        }
    }
    return stops;
}

bool layers_kills_given(const struct layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        for (size_t arm = 0; arm < ARM_KINDS; arm++) {
            if (layers->at[i]->kills.given[arm])
                return true;
        }
    }
    return false;
}

static int put_variable(char ***env, const struct draft_variable *variable)
{
    AUTO_BUFFER text = {0};
    size_t length = strlen(variable->name);
    buffer_printf(&text, "%s=%s", variable->name, variable->value);
    if (text.failed)
        return -1;
    for (size_t i = 0; *env && (*env)[i]; i++) {
        if (strncmp((*env)[i], variable->name, length) == 0 && (*env)[i][length] == '=') {
            free((*env)[i]);
            (*env)[i] = buffer_steal(&text);
            return 0;
        }
    }
    return strv_append(env, buffer_text(&text));
}

char **layers_environment(const struct layers *layers, bool patched)
{
    char **env = calloc(1, sizeof(*env));
    if (!env)
        return NULL;
    for (int patch = 0; patch <= patched; patch++) {
        for (size_t i = layers->count; i-- > 0;) {
            const struct draft *draft = layers->at[i];
            const struct draft_variables *variables = patch ? &draft->patch_env : &draft->env;
            for (size_t j = 0; j < variables->count; j++) {
                if (put_variable(&env, &variables->items[j]) < 0) {
                    strv_free(env);
                    return NULL;
                }
            }
        }
    }
    return env;
}

int read_memory(const char *text, void *ret_uint64, struct error *err)
{
    return memory_parse(text, ret_uint64, err);
}

int read_cpu(const char *text, void *ret_double, struct error *err)
{
    double cores = 0;
    int r = cpu_parse(text, &cores, err);
    if (r == 0 && cores > CPU_MAX_CORES)
        r = error_usage(err, "%s cores are more than any machine has", text);
    if (r == 0)
        *(double *)ret_double = cores;
    return r;
}

static int read_bounded_rate(const char *text, double low, double high, double *ret,
                             struct error *err)
{
    double rate = 0;
    int r = rate_parse(text, &rate, err);
    if (r == 0 && !(rate >= low && rate <= high))
        r = error_usage(err, "'%s' is out of range; it must be from %g/s to %.0f/s", text, low,
                        high);
    if (r == 0)
        *ret = rate;
    return r;
}

int read_rate(const char *text, void *ret_double, struct error *err)
{
    return read_bounded_rate(text, 0.001, RATE_MAX, ret_double, err);
}

int read_sample_rate(const char *text, void *ret_double, struct error *err)
{
    return read_bounded_rate(text, 1, 1000, ret_double, err);
}

int read_confidence(const char *text, void *ret_double, struct error *err)
{
    return confidence_parse(text, ret_double, err);
}

static int read_bounded_time(const char *text, int64_t low, int64_t high, int64_t *ret,
                             struct error *err)
{
    int64_t ns = 0;
    int r = duration_parse(text, &ns, err);
    if (r == 0 && (ns < low || ns > high)) {
        char low_text[DURATION_TEXT_MAX], high_text[DURATION_TEXT_MAX];
        r = error_usage(err, "'%s' is out of range; it must be from %s to %s", text,
                        low > 0 ? duration_format(low, low_text) : "0",
                        duration_format(high, high_text));
    }
    if (r == 0)
        *ret = ns;
    return r;
}

int read_pause(const char *text, void *ret_int64, struct error *err)
{
    return read_bounded_time(text, 0, 3600 * NS_PER_S, ret_int64, err);
}

int read_deadline(const char *text, void *ret_int64, struct error *err)
{
    return read_bounded_time(text, 100 * NS_PER_MS, NS_PER_S * 3600 * 24, ret_int64, err);
}

static int read_unsigned(const char *text, uint64_t high, unsigned *ret, struct error *err)
{
    uint64_t count = 0;
    int r = count_parse(text, 1, high, &count, err);
    if (r == 0)
        *ret = (unsigned)count;
    return r;
}

int read_cycles(const char *text, void *ret_unsigned, struct error *err)
{
    return read_unsigned(text, CYCLES_MAX, ret_unsigned, err);
}

int read_per_cycle(const char *text, void *ret_unsigned, struct error *err)
{
    return read_unsigned(text, PER_CYCLE_MAX, ret_unsigned, err);
}

int read_pids(const char *text, void *ret_uint64, struct error *err)
{
    return count_parse(text, PIDS_MIN, PIDS_LIMIT, ret_uint64, err);
}

int read_seed(const char *text, void *ret_uint64, struct error *err)
{
    /* SQLite's integers and JSON's are signed. */
    return count_parse(text, 0, INT64_MAX, ret_uint64, err);
}

int read_flag(const char *text, void *ret_bool, struct error *err)
{
    return flag_parse(text, ret_bool, err);
}

int read_heap_rate(const char *text, void *ret_uint64, struct error *err)
{
    uint64_t bytes;
    int r = size_parse(text, &bytes, err);
    if (r < 0)
        return r;
    if (bytes < HEAP_RATE_MIN || bytes > HEAP_RATE_MAX)
        return error_usage(err, "'%s' is not from 1Ki to 1Gi bytes", text);
    memcpy(ret_uint64, &bytes, sizeof(bytes));
    return 0;
}

int read_port(const char *text, void *ret_uint16, struct error *err)
{
    return port_parse(text, ret_uint16, err);
}

int read_probe(const char *text, void *ret_probe_spec, struct error *err)
{
    return probe_parse(text, ret_probe_spec, err);
}

int read_backoff(const char *text, void *ret_backoff_spec, struct error *err)
{
    return backoff_parse(text, ret_backoff_spec, err);
}

int read_arrival(const char *text, void *ret_arrival, struct error *err)
{
    return arrival_parse(text, ret_arrival, err);
}

int read_expectation(const char *text, void *ret_expectation, struct error *err)
{
    return expectation_parse(text, ret_expectation, err);
}

int read_arms(const char *text, void *ret_arm_order, struct error *err)
{
    return arm_order_parse(text, ret_arm_order, err);
}
