/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab completion: a shell's completion script, from the table of verbs. */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

/* What stands around the cases that are made from the table. */
static const char HEAD[] = "# bash completion for oomlab; made by 'oomlab completion bash'\n"
                           "_oomlab_runs() {\n"
                           "    local state=${XDG_STATE_HOME:-$HOME/.local/state}\n"
                           "    command ls \"$state/oomlab/runs\" 2>/dev/null\n"
                           "    echo last\n"
                           "}\n"
                           "_oomlab_offer() {\n"
                           "    case $1 in\n"
                           "    @file) COMPREPLY=($(compgen -f -- \"$2\")) ;;\n"
                           "    @run) COMPREPLY=($(compgen -W \"$(_oomlab_runs)\" -- \"$2\")) ;;\n"
                           "    @verb) COMPREPLY=($(compgen -W \"$verbs\" -- \"$2\")) ;;\n"
                           "    *) COMPREPLY=($(compgen -W \"$1\" -- \"$2\")) ;;\n"
                           "    esac\n"
                           "}\n"
                           "_oomlab() {\n"
                           "    local cur=${COMP_WORDS[COMP_CWORD]} prev= verb=${COMP_WORDS[1]} "
                           "options= operands= values= i\n";

static const char MIDDLE[] =
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" -le 1 ]; then\n"
    "        _oomlab_offer \"$verbs --help --version\" \"$cur\"\n"
    "        return\n"
    "    fi\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        [ \"${COMP_WORDS[i]}\" = -- ] && { compopt -o default; return; }\n"
    "    done\n"
    "    prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    # '=' is a word of its own to bash: --name = value\n"
    "    if [ \"$cur\" = = ]; then\n"
    "        cur= prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    elif [ \"$prev\" = = ]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n";

static const char TAIL[] = "    if [ -n \"$values\" ]; then\n"
                           "        [ \"$values\" = - ] || _oomlab_offer \"$values\" \"$cur\"\n"
                           "    elif [[ $cur == -* ]]; then\n"
                           "        _oomlab_offer \"$options --help\" \"$cur\"\n"
                           "    else\n"
                           "        _oomlab_offer \"$operands\" \"$cur\"\n"
                           "    fi\n"
                           "}\n"
                           "complete -F _oomlab oomlab\n";

static void print_verb_case(const struct verb *verb, FILE *out)
{
    fprintf(out, "    %s)\n        operands='%s'\n        options='", verb->name,
            verb->operand_values ? verb->operand_values : "");
    for (const struct option_spec *option = verb->options; option && option->name; option++)
        fprintf(out, "%s--%s", option == verb->options ? "" : " ", option->name);
    fputs("'\n        case $prev in\n", out);
    /* '-' stands for a value that nothing can be offered for. */
    for (const struct option_spec *option = verb->options; option && option->name; option++) {
        if (option->kind != OPTION_FLAG)
            fprintf(out, "        --%s) values='%s' ;;\n", option->name,
                    option->values ? option->values : "-");
    }
    fputs("        esac\n        ;;\n", out);
}

static void print_bash(FILE *out)
{
    fputs(HEAD, out);
    fputs("    local verbs='", out);
    for (const struct verb *const *verb = VERBS; *verb; verb++)
        fprintf(out, "%s%s", verb == VERBS ? "" : " ", (*verb)->name);
    fputs("'\n", out);
    fputs(MIDDLE, out);
    fputs("    case $verb in\n", out);
    for (const struct verb *const *verb = VERBS; *verb; verb++)
        print_verb_case(*verb, out);
    fputs("    esac\n", out);
    fputs(TAIL, out);
}

static int run_completion(const struct invocation *invocation, struct error *err)
{
    if (strcmp(invocation->operands[0], "bash") != 0)
        return error_usage(err, "completion: '%.60s' is not known; there is bash",
                           invocation->operands[0]);
    print_bash(stdout);
    return STATUS_DONE;
}

const struct verb VERB_COMPLETION = {
    .name = "completion",
    .summary = "print the completion script of a shell",
    .operands = "bash",
    .operand_values = "bash",
    .details = "Load it with: source <(oomlab completion bash)",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_completion,
};
