/* SPDX-License-Identifier: Apache-2.0 */
/* A template for az containerapp update --yaml, and the alerts that Azure's metrics allow. */
#include "report/advice.h"
#include "report/story.h"
#include "report/text.h"

#include <math.h>

/* The Consumption plan sells memory in steps, each with its half in cores. */
#define STEP_BYTES  536870912.0
#define STEP_CORES  0.25
#define STEPS_MOST  8
#define ALERT_SHARE 0.8

static double steps_of(double bytes)
{
    return ceil(bytes / STEP_BYTES);
}

static void write_resources(const struct advice *advice, struct buffer *out)
{
    double cores = number_at(advice->holder, "cpu_cores");
    if (!advice->holder)
        return;
    double steps = steps_of(advice->limit);
    if (isfinite(cores))
        steps = fmax(steps, ceil(cores / STEP_CORES));
    buffer_puts(out, "        resources:\n");
    if (steps > STEPS_MOST)
        advice_comment(out, 10, "More than the Consumption plan sells: take a dedicated profile.");
    else
        advice_comment(out, 10,
                       "The next step that the Consumption plan sells: half a GiB, with a "
                       "quarter of a core for each.");
    buffer_printf(out, "          cpu: %g\n          memory: %gGi\n", steps * STEP_CORES,
                  steps / 2);
}

/* The update replaces the list of containers: what is not in it is gone. */
static void write_fill_in(const struct advice *advice, struct buffer *out)
{
    advice_comment(
        out, 0,
        "To be filled in before it is applied: the image, without which the update is "
        "refused, and the environment of the app as it is now, which it would drop. Both "
        "are in the output of:");
    buffer_printf(out, "# az containerapp show -g GROUP -n %s --query properties.template\n",
                  advice->app);
}

/* The containers' settings that a run cannot know. */
static void write_unknown(struct buffer *out)
{
    buffer_puts(out, "        # image: REGISTRY/IMAGE:TAG\n"
                     "        # env:\n"
                     "        #   - name: NAME\n"
                     "        #     value: VALUE\n"
                     "        #   - name: SECRET_NAME\n"
                     "        #     secretRef: NAME-OF-THE-APPS-SECRET\n");
}

/* Azure has no metric for kills and none that predicts: the commands stand as comments. */
static void write_alerts(const struct advice *advice, struct buffer *out)
{
    double tested = advice->holder ? advice->limit : advice->current;
    double limit = steps_of(tested) * STEP_BYTES;
    char text[FIGURE_TEXT_MAX];
    advice_comment(out, 0,
                   "Alerts. Azure counts restarts, not kills, and predicts nothing: run oomlab "
                   "diagnose on the system log to learn why it restarted.");
    if (isfinite(limit) && limit != tested)
        advice_comment(out, 0,
                       "The run tested %s, which is no size that Azure has: the threshold is 80 %% "
                       "of the next one, %g GiB. Set it to 80 %% of what the app has.",
                       figure_bytes(tested, text), limit / (2 * STEP_BYTES));
    if (isfinite(limit))
        buffer_printf(
            out,
            "# az monitor metrics alert create -g GROUP -n %.40s-memory --scopes APP_ID \\\n"
            "#   --condition 'max WorkingSetBytes > %.0f' --window-size 5m \\\n"
            "#   --evaluation-frequency 1m --description 'working set over 80 %%; oomlab "
            "run %s'\n",
            advice->app, floor(ALERT_SHARE * limit), text_or(advice->result, "run.id", "?"));
    advice_comment(out, 0,
                   "RestartCount counts on as long as a replica lives: this fires at its first "
                   "restart, and stays.");
    buffer_printf(
        out,
        "# az monitor metrics alert create -g GROUP -n %.40s-restarts --scopes APP_ID \\\n"
        "#   --condition 'max RestartCount > 0' --window-size 5m --evaluation-frequency 1m\n",
        advice->app);
}

void advice_write_azure(const struct advice *advice, struct buffer *out)
{
    unsigned probes = 0;
    advice_write_head(advice, "For az containerapp update --yaml", out);
    write_fill_in(advice, out);
    buffer_printf(out, "properties:\n  template:\n    containers:\n      - name: \"%s\"\n",
                  advice->app);
    write_unknown(out);
    write_resources(advice, out);
    for (size_t i = 0; i < ADVICE_PROBES; i++) {
        const struct advice_probe *probe = advice_probe(advice, i);
        if (!*probe->kind)
            continue;
        if (probes++ == 0)
            buffer_puts(out, "        probes:\n");
        buffer_printf(out, "          - type: %s\n", ADVICE_PROBE_NAMES[i].azure);
        advice_write_probe(advice, probe, 12, out);
    }
    if (probes == 0)
        advice_comment(out, 0, "The run had no probes.");
    write_alerts(advice, out);
}
