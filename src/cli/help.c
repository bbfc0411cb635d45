/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include "base/buffer.h"
#include "cli/az.h"
#include "lab/plan_nearest.h"

#include <string.h>

#define WIDTH       100
#define HELP_COLUMN 32

static void synopsis(const struct verb *verb, FILE *out)
{
    fprintf(out, "oomlab %s%s%s%s\n", verb->name,
            verb->options && verb->options->name ? " [OPTION...]" : "",
            verb->operands[0] ? " " : "", verb->operands);
}

void help_print_all(FILE *out)
{
    fputs("oomlab: reproduce a container's out-of-memory kill, prove who killed it, and prove the "
          "fix\n\nUsage: oomlab VERB [OPTION...]\n\nVerbs:\n",
          out);
    for (const struct verb *const *verb = VERBS; *verb; verb++)
        fprintf(out, "  %-12s %s\n", (*verb)->name, (*verb)->summary);
    fputs("\nBegin with:\n"
          "  oomlab doctor                  does this machine have what it takes?\n"
          "  oomlab run                     the built-in lab, about a minute\n"
          "  oomlab run --memory 256Mi --port 8080 --request 'GET /search?q=x' -- ./my-server\n"
          "\n'oomlab VERB --help' tells more. Exit status: 0 done, 1 the tool failed, 2 usage,\n"
          "3 done and the verdict is negative, 4 this machine cannot run it, 128 + signal: "
          "interrupted.\n",
          out);
}

/* Words of `text`, broken so that no line is longer than WIDTH, from column `indent` on. */
static void print_wrapped(const char *text, size_t indent, FILE *out)
{
    size_t column = indent;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (column > indent && column + 1 + length > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, length, out);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_option(const struct option_spec *option, FILE *out)
{
    AUTO_BUFFER left = {0};
    AUTO_BUFFER right = {0};
    if (option->letter)
        buffer_printf(&left, "  -%c, --%s", option->letter, option->name);
    else
        buffer_printf(&left, "      --%s", option->name);
    if (option->argument)
        buffer_printf(&left, " %s", option->argument);
    buffer_puts(&right, option->help);
    if (option->fallback)
        buffer_printf(&right, " (default: %s)", option->fallback);
    if (left.length + 2 > HELP_COLUMN)
        fprintf(out, "%s\n%*s", buffer_text(&left), HELP_COLUMN, "");
    else
        fprintf(out, "%-*s", HELP_COLUMN, buffer_text(&left));
    print_wrapped(buffer_text(&right), HELP_COLUMN, out);
}

void help_print_verb(const struct verb *verb, FILE *out)
{
    if (verb->commands) {
        az_print_commands(verb, out);
        return;
    }
    fputs("Usage: ", out);
    synopsis(verb, out);
    fprintf(out, "\n%c%s.\n", verb->summary[0] - 'a' + 'A', verb->summary + 1);
    if (verb->details) {
        fputc('\n', out);
        print_wrapped(verb->details, 0, out);
    }
    if (verb->raw)
        return;
    fputs("\nOptions:\n", out);
    for (const struct option_spec *option = verb->options; option && option->name; option++)
        print_option(option, out);
    const struct option_spec help = {.name = "help", .letter = 'h', .help = "print this help"};
    print_option(&help, out);
}

int help_unknown_verb(const char *name, struct error *err)
{
    struct nearest nearest;
    char hint[NEAREST_HINT_MAX];
    nearest_init(&nearest, name);
    for (const struct verb *const *verb = VERBS; *verb; verb++)
        nearest_offer(&nearest, (*verb)->name);
    nearest_hint(&nearest, "oomlab ", hint);
    return error_usage(err, "unknown verb '%.60s'%s", name,
                       hint[0] ? hint : "; 'oomlab help' lists them");
}

static int run_help(const struct invocation *invocation, struct error *err)
{
    if (invocation->operand_count == 0) {
        help_print_all(stdout);
        return STATUS_DONE;
    }
    const struct verb *verb = verb_find(invocation->operands[0]);
    if (!verb)
        return help_unknown_verb(invocation->operands[0], err);
    help_print_verb(verb, stdout);
    return STATUS_DONE;
}

const struct verb VERB_HELP = {
    .name = "help",
    .summary = "print this list, or the help of one verb",
    .operands = "[VERB]",
    .operand_values = "@verb",
    .operands_max = 1,
    .run = run_help,
};
