/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab compare: the arms of two runs, or two arms, side by side. */
#include "cli/compare.h"

#include "base/cleanup.h"
#include "cli/result.h"
#include "cli/verb.h"

#include <errno.h>
#include <string.h>

struct compare_arguments {
    const char *format;
};

/* One operand. */
struct subject {
    struct run_directory directory;
    json_t *result;
    struct store *store;
    const json_t *arm; /* the one that was named; NULL: all of them */
};

static void subject_done(struct subject *subject)
{
    store_close(subject->store);
    json_decref(subject->result);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* --- what is compared ------------------------------------------------------------------------ */

/* The arms as one could write them. */
static void list_arms(const json_t *result, char text[static 256])
{
    size_t index;
    const json_t *arm;
    text[0] = '\0';
    json_array_foreach(json_object_get(result, "arms"), index, arm)
    {
        size_t used = strlen(text);
        snprintf(text + used, 256 - used, "%s%s/%s", index ? ", " : "", text_of(arm, "scenario"),
                 text_of(arm, "name"));
    }
}

/* "ARM" or "SCENARIO/ARM". */
static int find_named_arm(const char *name, struct subject *subject, struct error *err)
{
    size_t index;
    const json_t *arm;
    char arms[256];
    const char *slash = strchr(name, '/');
    const char *wanted = slash ? slash + 1 : name;
    size_t scenario = slash ? (size_t)(slash - name) : 0;
    list_arms(subject->result, arms);
    json_array_foreach(json_object_get(subject->result, "arms"), index, arm)
    {
        const char *of = text_of(arm, "scenario");
        if (strcmp(text_of(arm, "name"), wanted) != 0 ||
            (slash && (strncmp(of, name, scenario) != 0 || of[scenario] != '\0')))
            continue;
        if (subject->arm)
            return error_usage(err, "more than one scenario of the run '%s' has an arm '%s': %s",
                               subject->directory.id, wanted, arms);
        subject->arm = arm;
    }
    if (!subject->arm)
        return error_usage(err, "the run '%s' has no arm '%.80s'; it has %s", subject->directory.id,
                           name, arms[0] ? arms : "none");
    return 0;
}

static int subject_load(const char *text, struct subject *subject, struct error *err)
{
    const char *colon = run_operand_colon(text);
    AUTO_FREE char *run = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
    if (!run)
        return error_errno(err, ENOMEM, "comparing the runs");
    int r = run_directory_find(run, &subject->directory, err);
    if (r == 0)
        r = result_load(&subject->directory, &subject->result, err);
    if (r == 0 && colon)
        r = find_named_arm(colon + 1, subject, err);
    if (r == 0)
        r = store_open(subject->directory.path, &subject->store, err);
    return r;
}

/* The same arm of the other run; NULL: it has none. */
static const json_t *find_arm(const json_t *result, const json_t *arm)
{
    size_t index;
    const json_t *other;
    json_array_foreach(json_object_get(result, "arms"), index, other)
    {
        if (strcmp(text_of(arm, "scenario"), text_of(other, "scenario")) == 0 &&
            strcmp(text_of(arm, "name"), text_of(other, "name")) == 0)
            return other;
    }
    return NULL;
}

/* --- output ---------------------------------------------------------------------------------- */

/* Where the comparison goes: into `arms`, or to standard output when that is NULL. */
struct output {
    json_t *arms;
};

static void put_name(const json_t *arm, char text[static 160])
{
    snprintf(text, 160, "%s/%s", text_of(arm, "scenario"), text_of(arm, "name"));
}

static int print_pair(const json_t *a, const json_t *b, const json_t *values,
                      const struct compare_pair *pair, struct error *err)
{
    static const char *const headings[] = {"", ">A", ">B", ">CHANGE", NULL};
    char left[160], right[160];
    put_name(a ? a : b, left);
    put_name(b ? b : a, right);
    if (strcmp(left, right) == 0)
        printf("\n%s\n", left);
    else
        printf("\nA is %s, B is %s\n", left, right);
    struct table *table = table_new(headings);
    int r = table ? compare_values_add(table, values, pair != NULL) : -ENOMEM;
    if (r == 0)
        table_print(table, stdout);
    table_free(table);
    if (r < 0)
        return error_errno(err, -r, "comparing the runs");
    if (!pair) {
        printf("\nOnly %s has this arm.\n", a ? "A" : "B");
        return 0;
    }
    putchar('\n');
    return compare_print_pair(pair, stdout, err);
}

static json_t *name_to_json(const json_t *arm)
{
    return arm ? json_pack("{s:s, s:s}", "scenario", text_of(arm, "scenario"), "name",
                           text_of(arm, "name"))
               : json_null();
}

static int append_pair(const json_t *a, const json_t *b, json_t *values,
                       const struct compare_pair *pair, json_t *arms, struct error *err)
{
    const json_t *any = a ? a : b;
    json_t *arm = json_pack("{s:s, s:s, s:o, s:o, s:O}", "scenario", text_of(any, "scenario"),
                            "name", text_of(any, "name"), "a", name_to_json(a), "b",
                            name_to_json(b), "values", values);
    int r = arm && pair ? compare_pair_to_json(pair, arm) : 0;
    if (json_array_append_new(arms, arm) < 0 || r < 0)
        return error_errno(err, ENOMEM, "comparing the runs");
    return 0;
}

static int put_pair(const json_t *a, const json_t *b, const struct compare_pair *pair,
                    const struct output *output, struct error *err)
{
    CLEANUP(json_cleanup) json_t *values = compare_values(a, b);
    return output->arms ? append_pair(a, b, values, pair, output->arms, err)
                        : print_pair(a, b, values, pair, err);
}

static int compare_pair(const struct subject subjects[2], const json_t *a, const json_t *b,
                        const struct output *output, struct error *err)
{
    struct compare_pair pair = {0};
    struct compare_setup setups[2] = {0};
    int r = compare_side_load(subjects[0].store, subjects[0].directory.id, a, &pair.a, err);
    if (r == 0)
        r = compare_side_load(subjects[1].store, subjects[1].directory.id, b, &pair.b, err);
    if (r == 0)
        r = compare_setup_load(subjects[0].store, subjects[0].result, a, &setups[0], err);
    if (r == 0)
        r = compare_setup_load(subjects[1].store, subjects[1].result, b, &setups[1], err);
    if (r == 0 && compare_pair_judge(a, b, &setups[0], &setups[1], &pair) < 0)
        r = error_errno(err, ENOMEM, "comparing the arms");
    if (r == 0)
        r = put_pair(a, b, &pair, output, err);
    compare_setup_done(&setups[0]);
    compare_setup_done(&setups[1]);
    compare_pair_done(&pair);
    return r;
}

static int compare_all(const struct subject subjects[2], const struct output *output,
                       struct error *err)
{
    size_t index;
    const json_t *arm;
    int r = 0;
    json_array_foreach(json_object_get(subjects[0].result, "arms"), index, arm)
    {
        const json_t *other = find_arm(subjects[1].result, arm);
        if (r == 0)
            r = other ? compare_pair(subjects, arm, other, output, err)
                      : put_pair(arm, NULL, NULL, output, err);
    }
    json_array_foreach(json_object_get(subjects[1].result, "arms"), index, arm)
    {
        if (r == 0 && !find_arm(subjects[0].result, arm))
            r = put_pair(NULL, arm, NULL, output, err);
    }
    return r;
}

static int compare_subjects(const struct subject subjects[2], bool json, struct error *err)
{
    const struct output output = {.arms = json ? json_array() : NULL};
    if (!json)
        printf("A  %s\nB  %s\n", subjects[0].directory.id, subjects[1].directory.id);
    int r = subjects[0].arm ? compare_pair(subjects, subjects[0].arm, subjects[1].arm, &output, err)
                            : compare_all(subjects, &output, err);
    if (r < 0 || !json) {
        json_decref(output.arms);
        return r;
    }
    return json_print(json_pack("{s:s, s:{s:s, s:s}, s:o}", "schema", "oomlab.compare/1", "runs",
                                "a", subjects[0].directory.id, "b", subjects[1].directory.id,
                                "arms", output.arms),
                      stdout, err);
}

static int run_compare(const struct invocation *invocation, struct error *err)
{
    const struct compare_arguments *arguments = invocation->arguments;
    struct subject subjects[2] = {0};
    bool json = false;
    int r = format_parse(arguments->format, &json, err);
    for (size_t i = 0; r == 0 && i < 2; i++)
        r = subject_load(invocation->operands[i], &subjects[i], err);
    if (r == 0 && !subjects[0].arm != !subjects[1].arm)
        r = error_usage(err, "'%.80s' names an arm and '%.80s' does not; name one of each, or none",
                        invocation->operands[subjects[0].arm ? 0 : 1],
                        invocation->operands[subjects[0].arm ? 1 : 0]);
    if (r == 0)
        r = compare_subjects(subjects, json, err);
    subject_done(&subjects[0]);
    subject_done(&subjects[1]);
    return r;
}

static const struct option_spec OPTIONS[] = {OPTION_FORMAT(struct compare_arguments),
                                             {.name = NULL}};

const struct verb VERB_COMPARE = {
    .name = "compare",
    .summary = "compare two runs, or two arms: growth, time to kill, peak",
    .operands = "RUN[:ARM] RUN[:ARM]",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'. ARM is an "
               "arm's name, or SCENARIO/ARM; without it each arm is compared with the same of "
               "the other run.",
    .operands_min = 2,
    .operands_max = 2,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct compare_arguments),
    .run = run_compare,
};
