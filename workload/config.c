/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/duration.h"
#include "base/size.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const mode_names[MODE_COUNT] = {
    [MODE_HEALTHY] = "healthy",
    [MODE_HARD_OOM] = "hard-oom",
    [MODE_LEAK] = "leak",
    [MODE_LEAK_PER_REQUEST] = "leak-per-request",
    [MODE_CACHE] = "cache",
    [MODE_SPIKE] = "spike",
    [MODE_PAGE_CACHE] = "page-cache",
    [MODE_SHMEM] = "shmem",
    [MODE_CHILD] = "child",
};

const char *workload_mode_name(enum mode mode)
{
    return mode_names[mode];
}

/* How a variable is written. */
enum unit { UNIT_MODE, UNIT_TEXT, UNIT_PORT, UNIT_MIB, UNIT_SIZE, UNIT_SECONDS, UNIT_MS };

/* The one list of settings: parsing, defaults and the help come from it. */
static const struct setting {
    const char *name, *initial;
    enum unit unit;
    size_t offset;
    const char *help;
} settings[] = {
    {"MODE", "healthy", UNIT_MODE, offsetof(struct config, mode),
     "healthy, hard-oom, leak, leak-per-request, cache, spike, page-cache, shmem or child"},
    {"HOST", "127.0.0.1", UNIT_TEXT, offsetof(struct config, host),
     "address to listen on; 0.0.0.0 in a container with its own network"},
    {"PORT", "8000", UNIT_PORT, offsetof(struct config, port),
     "TCP port; 0 takes a free one and prints it"},
    {"HARD_OOM_MB", "600", UNIT_MIB, offsetof(struct config, hard_oom_bytes),
     "hard-oom: MiB allocated before listening"},
    {"LEAK_MB_PER_TICK", "30", UNIT_MIB, offsetof(struct config, tick_bytes),
     "leak: MiB retained at each tick, the first at the start"},
    {"LEAK_INTERVAL_SECONDS", "20", UNIT_SECONDS, offsetof(struct config, tick_ns),
     "leak: seconds between ticks (decimals allowed)"},
    {"LEAK_BYTES_PER_REQUEST", "1Mi", UNIT_SIZE, offsetof(struct config, request_bytes),
     "what one /work needs, and retains in the modes that retain"},
    {"CACHE_MB", "64", UNIT_MIB, offsetof(struct config, cache_bytes),
     "cache: MiB at which the cache is full and begins to replace"},
    {"SPIKE_MB", "64", UNIT_MIB, offsetof(struct config, spike_bytes),
     "spike: MiB that one /work holds for a moment"},
    {"SPIKE_MS", "100", UNIT_MS, offsetof(struct config, spike_ns),
     "spike: how long it holds them, in milliseconds"},
    {"DATA_DIR", "/var/tmp", UNIT_TEXT, offsetof(struct config, data_dir),
     "page-cache: directory of the file, on a real disk"},
    {"DATA_MB", "512", UNIT_MIB, offsetof(struct config, data_bytes),
     "page-cache: size at which the file is written from its start again"},
    {"HOST_RESERVE_MB", "256", UNIT_MIB, offsetof(struct config, reserve_bytes),
     "refuse to retain when the host has less available; 0: take everything"},
};
#define SETTING_COUNT (sizeof(settings) / sizeof(*settings))

static int parse_mode(const char *name, const char *text, enum mode *ret, struct error *err)
{
    for (unsigned mode = 0; mode < MODE_COUNT; mode++) {
        if (strcmp(text, mode_names[mode]) != 0)
            continue;
        *ret = (enum mode)mode;
        return 0;
    }
    return error_usage(err, "%s: there is no mode '%s' (%s)", name, text, settings[0].help);
}

/* A whole decimal number up to `max`. */
static int parse_number(const char *name, const char *text, uint64_t max, uint64_t *ret,
                        struct error *err)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value > max)
        return error_usage(err, "%s: '%s' is not a whole number from 0 to %llu", name, text,
                           (unsigned long long)max);
    *ret = value;
    return 0;
}

static int parse_size_of(const char *name, const char *text, uint64_t *ret, struct error *err)
{
    if (size_parse(text, ret, err) < 0)
        return error_wrap(err, "%s", name);
    if (*ret < 1 || *ret > 16 * GIB)
        return error_usage(err, "%s: '%s' is not a size from 1 byte to 16Gi", name, text);
    return 0;
}

static int parse_seconds(const char *name, const char *text, int64_t *ret, struct error *err)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0.001) || !(seconds <= 1e6))
        return error_usage(err, "%s: '%s' is not a number of seconds from 0.001 to 1000000", name,
                           text);
    *ret = (int64_t)(seconds * (double)NS_PER_S);
    return 0;
}

static int parse_value(const struct setting *setting, const char *name, const char *text,
                       struct config *config, struct error *err)
{
    void *field = (char *)config + setting->offset;
    uint64_t number = 0;
    int r = 0;
    switch (setting->unit) {
    case UNIT_MODE:
        return parse_mode(name, text, field, err);
    case UNIT_TEXT:
        *(const char **)field = text;
        return *text ? 0 : error_usage(err, "%s is empty", name);
    case UNIT_PORT:
        return parse_number(name, text, UINT16_MAX, field, err);
    case UNIT_SIZE:
        return parse_size_of(name, text, field, err);
    case UNIT_SECONDS:
        return parse_seconds(name, text, field, err);
    case UNIT_MIB:
        r = parse_number(name, text, UINT64_C(16) << 20, &number, err);
        *(uint64_t *)field = number * MIB;
        return r;
    case UNIT_MS:
        r = parse_number(name, text, 600000, &number, err);
        *(int64_t *)field = (int64_t)number * NS_PER_MS;
        return r;
    }
    return error_set(err, EINVAL, "setting '%s' has no unit", name);
}

static int parse_options(int argc, char **argv, struct config *config, struct error *err)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"mode", required_argument, NULL, 'm'},
        {"port", required_argument, NULL, 'p'},
        {0},
    };
    optind = 0; /* the caller may have parsed its own options */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+:h", options, NULL)) != -1;) {
        int r = 0;
        if (option == 'h')
            config->help = true;
        else if (option == 'm')
            r = parse_value(&settings[0], "--mode", optarg, config, err);
        else if (option == 'p')
            r = parse_value(&settings[2], "--port", optarg, config, err);
        else if (option == ':')
            r = error_usage(err, "%s needs a value", argv[optind - 1]);
        else
            r = error_usage(err, "there is no option '%s' (--help, --mode, --port)",
                            argv[optind - 1]);
        if (r < 0)
            return r;
    }
    if (optind < argc)
        return error_usage(err, "'%s' is too much: the workload takes options only", argv[optind]);
    return 0;
}

static int check_together(const struct config *config, struct error *err)
{
    if (config->mode == MODE_CACHE && config->cache_bytes < config->request_bytes)
        return error_usage(err, "CACHE_MB is smaller than one entry (LEAK_BYTES_PER_REQUEST)");
    if (config->mode == MODE_PAGE_CACHE && config->data_bytes < config->request_bytes)
        return error_usage(err, "DATA_MB is smaller than one block (LEAK_BYTES_PER_REQUEST)");
    return 0;
}

int workload_config_read(int argc, char **argv, struct config *ret, struct error *err)
{
    struct config config = {0};
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *text = getenv(settings[i].name);
        int r = parse_value(&settings[i], settings[i].name, text ? text : settings[i].initial,
                            &config, err);
        if (r < 0)
            return r;
    }
    int r = parse_options(argc, argv, &config, err);
    if (r == 0)
        r = check_together(&config, err);
    if (r == 0)
        *ret = config;
    return r;
}

void workload_config_print_help(FILE *out)
{
    fputs("usage: oomlab workload [--mode MODE] [--port PORT]\n"
          "The built-in HTTP server that leaks in a chosen way, until SIGTERM or SIGINT.\n\n"
          "  --mode MODE  wins over the variable MODE\n"
          "  --port PORT  wins over the variable PORT\n"
          "  --help       this text\n\n"
          "Environment (default in brackets):\n",
          out);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        fprintf(out, "  %-22s %s [%s]\n", settings[i].name, settings[i].help, settings[i].initial);
    fputs("\nEndpoints: /health  /info  /work  /leak?bytes=SIZE  /spike?bytes=SIZE&ms=N  /\n", out);
}
