/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/duration.h"
#include "base/size.h"
#include "lab/lab_file.h"
#include "lab/plan_arms.h"
#include "lab/plan_budget.h"
#include "lab/plan_nearest.h"
#include "lab/plan_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the lab comes from. */
struct source {
    struct draft options;
    struct lab_draft lab;
    bool own_service;  /* neither a lab file nor the built-in lab */
    bool trigger_only; /* as in struct plan_options */
    const struct growth_budget *growth;
};

static void scenario_done(struct scenario_plan *scenario)
{
    for (size_t i = 0; i < scenario->arm_count; i++)
        arm_plan_done(&scenario->arms[i]);
    free(scenario->arms);
    struct traffic_request *requests = (struct traffic_request *)scenario->traffic.requests;
    for (size_t i = 0; i < scenario->traffic.request_count; i++)
        plan_request_done(&requests[i]);
    free(requests);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->scenario_count; i++)
        scenario_done(&plan->scenarios[i]);
    free(plan->scenarios);
    free(plan->question);
    free(plan);
}

static void plan_cleanup(struct plan **plan)
{
    plan_free(*plan);
}

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "planning the lab");
}

static struct layers top_layers(const struct source *source)
{
    return (struct layers){.at = {&source->options, &source->lab.top}, .count = 2};
}

static int read_settings(const struct layers *layers, struct plan *plan, struct error *err)
{
    plan->readiness = (struct probe_spec){
        .period_ns = 50 * NS_PER_MS, .timeout_ns = NS_PER_S, .failure_threshold = 3};
    plan->liveness = (struct probe_spec){
        .period_ns = 10 * NS_PER_S, .timeout_ns = NS_PER_S, .failure_threshold = 3};
    plan->startup = plan->liveness;
    plan->startup.failure_threshold = 240;
    plan->https = layers_https(layers);
    plan->heap = layers_heap(layers);
    const struct {
        enum setting setting;
        layers_parser parser;
        void *ret;
    } values[] = {
        {SETTING_PORT, read_port, &plan->port},
        {SETTING_READY, read_probe, &plan->readiness},
        {SETTING_READY_DEADLINE, read_deadline, &plan->ready_deadline_ns},
        {SETTING_LIVENESS, read_probe, &plan->liveness},
        {SETTING_STARTUP, read_probe, &plan->startup},
        {SETTING_BACKOFF, read_backoff, &plan->backoff},
        {SETTING_DEADLINE, read_deadline, &plan->arm_deadline_ns},
        {SETTING_SAMPLE_RATE, read_sample_rate, &plan->sample_rate_hz},
        {SETTING_HEAP_RATE, read_heap_rate, &plan->heap_rate_bytes},
        {SETTING_PIDS_MAX, read_pids, &plan->pids_max},
        {SETTING_STOP_GRACE, read_pause, &plan->stop_grace_ns},
        {SETTING_SEED, read_seed, &plan->seed},
        {SETTING_SIDE_BY_SIDE, read_flag, &plan->side_by_side},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int r = layers_read(layers, values[i].setting, values[i].parser, values[i].ret, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int copy_requests(const struct draft_requests *from, struct traffic_spec *traffic,
                         struct error *err)
{
    struct traffic_request *requests = calloc(from->count + 1, sizeof(*requests));
    if (!requests)
        return out_of_memory(err);
    traffic->requests = requests;
    while (traffic->request_count < from->count) {
        size_t i = traffic->request_count;
        int r = plan_request_copy(&from->items[i], &requests[i], err);
        if (r < 0)
            return r;
        traffic->request_count++;
    }
    return 0;
}

static int read_requests(const struct layers *layers, struct traffic_spec *traffic,
                         struct error *err)
{
    CLEANUP(draft_done) struct draft made = {0};
    const struct draft *draft = layers_requests(layers);
    const struct draft_text *file = NULL;
    int r = 0;
    if (!draft) {
        struct traffic_request request = {0};
        struct origin origin = {.name = "request"};
        r = plan_request_parse("GET /", &request, err);
        if (r == 0)
            r = draft_add_request(&made.requests, &request, &origin, err);
    } else if (draft->settings[SETTING_REQUESTS_FILE].text) {
        file = &draft->settings[SETTING_REQUESTS_FILE];
        if (draft->requests.count > 0) {
            error_usage(err, "requests are given twice: here and in the list of requests");
            return origin_wrap(&file->origin, err);
        }
        r = draft_read_requests(&made.requests, file->text, &file->origin, err);
    }
    if (r < 0)
        return r;
    return copy_requests(draft && !file ? &draft->requests : &made.requests, traffic, err);
}

/* A fault of the sequence as a whole is shown at the first of its settings that was given. */
static int traffic_fault(const struct layers *layers, const struct origin *place, struct error *err)
{
    static const enum setting settings[] = {SETTING_DEADLINE, SETTING_RATE, SETTING_PER_CYCLE,
                                            SETTING_CYCLES};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const struct draft_text *given = layers_text(layers, settings[i]);
        if (given)
            return origin_wrap(&given->origin, err);
    }
    return place ? origin_wrap(place, err) : err->code;
}

/* The sequence must be one that can be planned, and end before the arm's deadline. */
static int check_traffic(const struct layers *layers, const struct plan *plan,
                         const struct origin *place, const struct traffic_spec *traffic,
                         struct error *err)
{
    struct traffic_plan *sequence = NULL;
    if (traffic_plan_new(traffic, &sequence, err) < 0)
        return traffic_fault(layers, place, err);
    int64_t duration_ns = traffic_plan_duration_ns(sequence);
    traffic_plan_free(sequence);
    if (duration_ns < plan->arm_deadline_ns)
        return 0;
    error_usage(err,
                "an arm's deadline of %.4g s is shorter than its requests, which take %.1f s; "
                "raise deadline or rate, or lower cycles or per-cycle",
                (double)plan->arm_deadline_ns / 1e9, (double)duration_ns / 1e9);
    return traffic_fault(layers, place, err);
}

static int read_traffic(const struct layers *layers, const struct plan *plan,
                        const struct origin *place, struct scenario_plan *scenario,
                        struct error *err)
{
    struct traffic_spec *traffic = &scenario->traffic;
    traffic->seed = plan->seed;
    const struct {
        enum setting setting;
        layers_parser parser;
        void *ret;
    } values[] = {
        {SETTING_RATE, read_rate, &traffic->rate_per_s},
        {SETTING_ARRIVAL, read_arrival, &traffic->arrival},
        {SETTING_CYCLES, read_cycles, &traffic->cycles},
        {SETTING_PER_CYCLE, read_per_cycle, &traffic->per_cycle},
        {SETTING_IDLE, read_pause, &traffic->idle_ns},
        {SETTING_GAP, read_pause, &traffic->gap_ns},
        {SETTING_COOLDOWN, read_pause, &traffic->cooldown_ns},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int r = layers_read(layers, values[i].setting, values[i].parser, values[i].ret, err);
        if (r < 0)
            return r;
    }
    int r = plan_budget_apply(layers, plan, scenario, err);
    if (r == 0)
        r = read_requests(layers, traffic, err);
    return r < 0 ? r : check_traffic(layers, plan, place, traffic, err);
}

/* Which arms run. A lab of several scenarios says itself which arms each has: --arms then chooses
 * among them (ret->count 0: none is left). Elsewhere the strongest layer decides; false: the
 * default. */
static int choose_arms(const struct layers *layers, bool several, bool *ret_given,
                       struct arm_order *ret, struct error *err)
{
    struct layers below = {.at = {layers->at[1], layers->at[2]}, .count = layers->count - 1};
    bool filter = several && layers->at[0]->settings[SETTING_ARMS].text;
    const struct layers *own = filter ? &below : layers;
    *ret_given = layers_text(own, SETTING_ARMS) != NULL;
    int r = layers_read(own, SETTING_ARMS, read_arms, ret, err);
    struct arm_order wanted = {0};
    if (r < 0 || !filter)
        return r;
    r = layers_read(layers, SETTING_ARMS, read_arms, &wanted, err);
    if (r < 0 || !*ret_given)
        return r;
    struct arm_order order = {0};
    for (size_t i = 0; i < wanted.count; i++) {
        for (size_t j = 0; j < ret->count; j++) {
            if (ret->kinds[j] == wanted.kinds[i])
                order.kinds[order.count++] = wanted.kinds[i];
        }
    }
    *ret = order;
    return 0;
}

static int name_app(const struct layers *layers, const struct plan *plan,
                    struct scenario_plan *scenario, struct error *err)
{
    const struct draft_text *given = layers_text(layers, SETTING_APP);
    if (!given && strcmp(scenario->name, "service") == 0)
        snprintf(scenario->app, sizeof(scenario->app), "%s", plan->name);
    else if (!given)
        snprintf(scenario->app, sizeof(scenario->app), "ca-%.*s", NAME_MAX_CHARS, scenario->name);
    else if (name_check(given->text, err) < 0)
        return origin_wrap(&given->origin, err);
    else
        snprintf(scenario->app, sizeof(scenario->app), "%s", given->text);
    return 0;
}

/* Where a fault of the scenario as a whole is shown; false: nowhere (one's own service). */
static bool place_of(const struct source *source, const struct scenario_draft *draft,
                     struct origin *ret)
{
    if (draft)
        *ret = draft->origin;
    else if (source->lab.file)
        *ret = (struct origin){.file = source->lab.file, .line = 1, .column = 1};
    return draft || source->lab.file;
}

static int make_scenario(const struct source *source, const struct scenario_draft *draft,
                         struct plan *plan, struct error *err)
{
    struct layers layers = top_layers(source);
    if (draft)
        layers =
            (struct layers){.at = {&source->options, &draft->draft, &source->lab.top}, .count = 3};
    struct scenario_plan *scenario = &plan->scenarios[plan->scenario_count];
    struct arm_order order = {0};
    bool given = false;
    int r = 0;
    if (source->trigger_only) {
        order = (struct arm_order){.kinds = {ARM_TRIGGER}, .count = 1};
        given = true;
    } else {
        r = choose_arms(&layers, source->lab.scenario_count > 1, &given, &order, err);
    }
    if (r < 0 || (given && order.count == 0))
        return r;
    plan->scenario_count++;
    struct origin place;
    const struct draft_text *arms = layers_text(&layers, SETTING_ARMS);
    bool placed = place_of(source, draft, &place);
    snprintf(scenario->name, sizeof(scenario->name), "%s", draft ? draft->name : "service");
    r = name_app(&layers, plan, scenario, err);
    if (r == 0)
        r = layers_read(&layers, SETTING_EXPECT, read_expectation, &scenario->expect, err);
    if (r == 0)
        r = plan_arms_build(&layers, given ? &order : NULL, arms ? &arms->origin : NULL,
                            placed ? &place : NULL, scenario, err);
    if (r == 0)
        r = read_traffic(&layers, plan, placed ? &place : NULL, scenario, err);
    if (r == 0 && source->trigger_only) {
        scenario->expect = EXPECT_NOTHING;
        scenario->arms[0].kill_stop = 1;
    }
    return r;
}

static const struct scenario_draft *find_scenario(const struct lab_draft *lab, const char *name)
{
    for (size_t i = 0; i < lab->scenario_count; i++) {
        if (strcmp(lab->scenarios[i].name, name) == 0)
            return &lab->scenarios[i];
    }
    return NULL;
}

static int unknown_scenario(const struct lab_draft *lab, const char *name, struct error *err)
{
    struct nearest nearest;
    char hint[NEAREST_HINT_MAX];
    nearest_init(&nearest, name);
    for (size_t i = 0; i < lab->scenario_count; i++)
        nearest_offer(&nearest, lab->scenarios[i].name);
    return error_usage(err, "--scenarios: this lab has no scenario '%s'%s", name,
                       nearest_hint(&nearest, "", hint));
}

static int make_chosen_scenarios(const struct source *source, const char *names, struct plan *plan,
                                 struct error *err)
{
    AUTO_FREE char *copy = strdup(names);
    if (!copy)
        return out_of_memory(err);
    char *rest = copy;
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        const struct scenario_draft *draft = find_scenario(&source->lab, name);
        if (!draft)
            return unknown_scenario(&source->lab, name, err);
        for (size_t i = 0; i < plan->scenario_count; i++) {
            if (strcmp(plan->scenarios[i].name, name) == 0)
                return error_usage(err, "--scenarios: '%s' stands there twice", name);
        }
        int r = make_scenario(source, draft, plan, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_scenarios(const struct source *source, struct plan *plan, struct error *err)
{
    const struct draft_text *chosen = &source->options.settings[SETTING_SCENARIOS];
    size_t count = source->lab.scenario_count;
    plan->scenarios = calloc(count + 1, sizeof(*plan->scenarios));
    if (!plan->scenarios)
        return out_of_memory(err);
    int r = 0;
    if (chosen->text && count == 0)
        return error_usage(err, "--scenarios: this lab has no scenarios to choose from");
    if (chosen->text)
        r = make_chosen_scenarios(source, chosen->text, plan, err);
    else if (count == 0)
        r = make_scenario(source, NULL, plan, err);
    for (size_t i = 0; r == 0 && !chosen->text && i < count; i++)
        r = make_scenario(source, &source->lab.scenarios[i], plan, err);
    if (r == 0 && plan->scenario_count == 0)
        r = error_usage(err, "--arms: no scenario of this lab has any of these arms");
    return r;
}

/* The last part of a path, without what follows its last point. */
static void name_of_path(const char *path, char ret[static NAME_MAX_CHARS + 1])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *point = strrchr(base, '.');
    AUTO_FREE char *stem = strndup(base, point && point > base ? (size_t)(point - base) : 4096);
    name_make(stem ? stem : "", ret);
}

static int name_plan(const struct source *source, const struct layers *layers, struct plan *plan,
                     struct error *err)
{
    char name[NAME_MAX_CHARS + 1] = "service";
    const struct draft_text *given = layers_text(layers, SETTING_NAME);
    if (given && name_check(given->text, err) < 0)
        return origin_wrap(&given->origin, err);
    if (!given && source->own_service)
        name_of_path(source->options.command.words[0], name);
    else if (!given && source->lab.file)
        name_of_path(source->lab.file, name);
    snprintf(plan->name, sizeof(plan->name), "%s", given ? given->text : name);
    return 0;
}

static int ask_question(const struct layers *layers, struct plan *plan, struct error *err)
{
    const struct draft_text *given = layers_text(layers, SETTING_QUESTION);
    AUTO_BUFFER text = {0};
    char limit[SIZE_TEXT_MAX];
    if (given)
        buffer_puts(&text, given->text);
    else if (plan->scenarios && plan->scenarios[0].arms)
        buffer_printf(
            &text,
            "Does %s run out of memory under a limit of %s, and if so: is it a leak, or a "
            "limit that is too small?",
            plan->name, size_format_quantity(plan->scenarios[0].arms[0].memory_bytes, limit));
    plan->question = buffer_steal(&text);
    return plan->question ? 0 : out_of_memory(err);
}

/* Containers share the host's network: two scenarios cannot listen on one port. */
static int check_side_by_side(const struct layers *layers, const struct plan *plan,
                              struct error *err)
{
    const struct draft_text *port = layers_text(layers, SETTING_PORT);
    if (!plan->side_by_side || plan->port == 0 || plan->scenario_count < 2)
        return 0;
    error_usage(err, "%u cannot be the port of scenarios that run side by side; leave it at auto",
                plan->port);
    return origin_wrap(&port->origin, err);
}

static int make_plan(const struct source *source, struct plan *plan, struct error *err)
{
    struct layers layers = top_layers(source);
    plan->trigger_only = source->trigger_only;
    plan->to_growth_budget = source->trigger_only && growth_budget_is_asked(source->growth);
    if (plan->to_growth_budget)
        plan->growth = *source->growth;
    int r = name_plan(source, &layers, plan, err);
    if (r == 0)
        r = read_settings(&layers, plan, err);
    if (r == 0)
        r = make_scenarios(source, plan, err);
    if (r == 0)
        r = check_side_by_side(&layers, plan, err);
    if (r == 0)
        r = ask_question(&layers, plan, err);
    return r;
}

static int read_lab(const struct plan_options *options, struct source *source, struct error *err)
{
    size_t length = 0;
    if (options->lab_file)
        return lab_file_read(options->lab_file, &source->lab, err);
    source->own_service = options->command != NULL;
    if (source->own_service)
        return 0;
    const char *text = builtin_lab_text(&length);
    return lab_file_parse("<built-in lab>", text, length, &source->lab, err);
}

static void source_done(struct source *source)
{
    draft_done(&source->options);
    lab_draft_done(&source->lab);
}

static int plan_from_source(const struct source *source, struct plan **ret, struct error *err)
{
    CLEANUP(plan_cleanup) struct plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return out_of_memory(err);
    int r = make_plan(source, plan, err);
    if (r == 0)
        *ret = steal_ptr(&plan);
    return r;
}

int plan_new(const struct plan_options *options, struct plan **ret, struct error *err)
{
    CLEANUP(source_done)
    struct source source = {.trigger_only = options->trigger_only, .growth = options->growth};
    int r = draft_from_options(options, &source.options, err);
    if (r == 0)
        r = read_lab(options, &source, err);
    return r < 0 ? r : plan_from_source(&source, ret, err);
}

int plan_from_text(const char *file, const char *text, size_t length, struct plan **ret,
                   struct error *err)
{
    CLEANUP(source_done) struct source source = {0};
    int r = lab_file_parse(file, text, length, &source.lab, err);
    return r < 0 ? r : plan_from_source(&source, ret, err);
}
