/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: lab files, through to the plan. Whatever is refused names a place in the file;
 * whatever is accepted is a plan that can run. */
#include "lab/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_arm(const struct scenario_plan *scenario, size_t index)
{
    const struct arm_plan *arm = &scenario->arms[index];
    require(arm->memory_bytes >= 4u << 20);
    require(arm->cpu_cores >= 0);
    require(arm->command && arm->command[0] && arm->command[0][0] != '\0');
    require(arm->reference < (int)index);
    require(arm->env && arm->differs_in);
    if (arm->kind == ARM_RAISE || arm->kind == ARM_PATCH || arm->kind == ARM_FIX)
        require(arm->reference >= 0 && arm->differs_in[0] != NULL);
    else
        require(arm->differs_in[0] == NULL);
}

static void check_plan(const struct plan *plan)
{
    require(plan->scenario_count > 0);
    require(plan->sample_rate_hz >= 1 && plan->sample_rate_hz <= 1000);
    for (size_t i = 0; i < plan->scenario_count; i++) {
        const struct scenario_plan *scenario = &plan->scenarios[i];
        struct traffic_plan *sequence = NULL;
        struct error err = {0};
        require(scenario->arm_count > 0);
        for (size_t j = 0; j < scenario->arm_count; j++)
            check_arm(scenario, j);
        require(traffic_plan_new(&scenario->traffic, &sequence, &err) == 0);
        require(traffic_plan_duration_ns(sequence) < plan->arm_deadline_ns);
        traffic_plan_free(sequence);
    }
    json_t *json = plan_to_json(plan);
    require(json != NULL);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct plan *plan = NULL;
    if (plan_from_text("FILE", (const char *)data, size, &plan, &err) == 0)
        check_plan(plan);
    else
        require(err.kind == ERROR_USAGE && strncmp(err.text, "FILE:", 5) == 0);
    plan_free(plan);
    return 0;
}
