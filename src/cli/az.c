/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/az.h"

#include "base/log.h"
#include "cli/help.h"
#include "cli/options.h"
#include "jmespath/jmespath.h"
#include "lab/plan_nearest.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* How many of the words after the verb name this command; 0: another one. */
static int words_matched(const char *words, int argc, char **argv)
{
    int at = 2;
    while (*words) {
        size_t length = strcspn(words, " ");
        if (at >= argc || strncmp(argv[at], words, length) != 0 || argv[at][length] != '\0')
            return 0;
        at++;
        words += length;
        words += *words == ' ';
    }
    return at - 2;
}

void az_print_commands(const struct verb *verb, FILE *out)
{
    fprintf(out, "Usage: oomlab %s COMMAND [OPTION...]\n\n%c%s.\n\nCommands:\n", verb->name,
            verb->summary[0] - 'a' + 'A', verb->summary + 1);
    for (const struct az_command *command = verb->commands; command->words; command++)
        fprintf(out, "  %-22s %s\n", command->words, command->verb.summary);
    fprintf(out, "\n'oomlab %s COMMAND --help' tells more.\n", verb->name);
}

/* "revision": the commands that begin with these words, as az shows a group's. False: there are
 * none. */
static bool print_group(const struct verb *verb, const char *words, FILE *out)
{
    size_t length = strlen(words);
    bool any = false;
    for (const struct az_command *command = verb->commands; command->words; command++) {
        if (strncmp(command->words, words, length) != 0 || command->words[length] != ' ')
            continue;
        if (!any)
            fprintf(out, "Usage: oomlab %s %s COMMAND [OPTION...]\n\nCommands:\n", verb->name,
                    words);
        any = true;
        fprintf(out, "  %-22s %s\n", command->words + length + 1, command->verb.summary);
    }
    if (any)
        fprintf(out, "\n'oomlab %s %s COMMAND --help' tells more.\n", verb->name, words);
    return any;
}

/* The words after the verb, up to the first option: the place of that one. */
static int given_words(const struct invocation *invocation, char words[static 128])
{
    size_t used = 0;
    int at = 2;
    words[0] = '\0';
    for (; at < invocation->argc && invocation->argv[at][0] != '-'; at++) {
        if (at < 5)
            used += (size_t)snprintf(words + used, 128 - used, "%s%.30s", used ? " " : "",
                                     invocation->argv[at]);
    }
    return at;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int unknown(const struct invocation *invocation, const struct az_command *commands,
                   struct error *err)
{
    char given[128];
    char hint[NEAREST_HINT_MAX];
    struct nearest nearest;
    int option = given_words(invocation, given);
    if (option < invocation->argc && is_help(invocation->argv[option]) &&
        print_group(invocation->verb, given, stdout))
        return STATUS_DONE;
    if (given[0] == '\0')
        return error_usage(err, "%s: a command is missing; 'oomlab %s --help' lists them",
                           invocation->verb->name, invocation->verb->name);
    nearest_init(&nearest, given);
    for (; commands->words; commands++)
        nearest_offer(&nearest, commands->words);
    nearest_hint(&nearest, "", hint);
    return error_usage(err, "%s: '%s' is not a command of it%s", invocation->verb->name, given,
                       hint[0] ? hint : "; --help lists them");
}

static int check_query(const char *query, struct error *err)
{
    struct jmespath *expression = NULL;
    int r = query ? jmespath_compile(query, &expression, err) : 0;
    jmespath_free(expression);
    return r < 0 ? error_wrap(err, "argument --query") : 0;
}

int az_check_common(struct az_arguments *arguments, struct error *err)
{
    static const char *const outputs[] = {"json", "jsonc", "yaml", "yamlc", "table", "tsv", "none"};
    int r = check_query(arguments->query, err);
    if (r < 0 || !arguments->output)
        return r;
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        if (strcasecmp(outputs[i], arguments->output) == 0) {
            arguments->output = outputs[i];
            return 0;
        }
    }
    return error_usage(err,
                       "argument --output/-o: '%.40s' is not a valid value (json, jsonc, yaml, "
                       "yamlc, table, tsv, none)",
                       arguments->output);
}

static int run_command(const struct invocation *invocation, bool destroys, struct error *err)
{
    struct az_arguments *arguments = invocation->arguments;
    int r = az_check_common(arguments, err);
    if (r == 0 && destroys)
        r = az_confirm(arguments, err);
    if (r < 0)
        return r;
    return arguments->ids ? az_run_ids(invocation, err) : invocation->verb->run(invocation, err);
}

int az_whole_number(const char *option, const char *text, long least, long most, long *ret,
                    struct error *err)
{
    char *end = NULL;
    *ret = strtol(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || strlen(text) > 9)
        return error_usage(err, "argument --%s: invalid int value: '%.40s'", option, text);
    if (*ret < least || *ret > most)
        return error_usage(err, "--%s must be between %ld and %ld.", option, least, most);
    return 0;
}

void az_put_escaped(struct buffer *query, const char *value)
{
    buffer_put_escaped(query, value, "-_.~,/:");
}

json_t *az_tags_json(const char *const *tags)
{
    json_t *object = json_object();
    for (; *tags; tags++) {
        size_t length = strcspn(*tags, "=");
        const char *value = *tags + length + ((*tags)[length] == '=');
        if (length > 0)
            json_object_setn_new(object, *tags, length, json_string(value));
    }
    return object;
}

int az_run(const struct invocation *invocation, struct error *err)
{
    const struct az_command *commands = invocation->verb->commands;
    const struct az_command *found = NULL;
    int longest = 0;
    if (invocation->argc > 2 && is_help(invocation->argv[2])) {
        az_print_commands(invocation->verb, stdout);
        return STATUS_DONE;
    }
    for (const struct az_command *c = commands; c->words; c++) {
        int matched = words_matched(c->words, invocation->argc, invocation->argv);
        if (matched > longest) {
            longest = matched;
            found = c;
        }
    }
    if (!found)
        return unknown(invocation, commands, err);
    struct invocation own = {0};
    bool help = false;
    int r = options_parse(&found->verb, invocation->argc - longest, invocation->argv + longest,
                          &own, &help, err);
    if (r >= 0 && help)
        help_print_verb(&found->verb, stdout);
    else if (r >= 0)
        r = run_command(&own, found->destroys, err);
    invocation_done(&own);
    return r;
}

int az_require(const struct invocation *invocation, const char *value, const char *option,
               struct error *err)
{
    if (value)
        return 0;
    return error_usage(err, "%s: the following arguments are required: %s", invocation->verb->name,
                       option);
}

struct az_segment az_segment(const char *name)
{
    static const char UNRESERVED[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~()";
    struct az_segment ret;
    size_t used = 0;
    for (; *name && used + sizeof("%252F") < sizeof(ret.text); name++) {
        if (*name == '/')
            used += (size_t)sprintf(ret.text + used, "%%252F");
        else if (strchr(UNRESERVED, *name))
            ret.text[used++] = *name;
        else
            used += (size_t)sprintf(ret.text + used, "%%%02X", (unsigned char)*name);
    }
    ret.text[used] = '\0';
    return ret;
}

__attribute__((format(printf, 3, 0))) static void
put_path(char path[static AZ_PATH_MAX], size_t used, const char *format, va_list rest)
{
    int length = vsnprintf(path + used, AZ_PATH_MAX - used, format, rest);
    if (length > 0)
        used += (size_t)length;
    if (used < AZ_PATH_MAX)
        snprintf(path + used, AZ_PATH_MAX - used, "%sapi-version=" AZ_API_VERSION,
                 strchr(path, '?') ? "&" : "?");
}

void az_path(char path[static AZ_PATH_MAX], const struct az_arguments *arguments,
             const char *format, ...)
{
    int used = snprintf(path, AZ_PATH_MAX, "/subscriptions/" AZ_SUBSCRIPTION "/resourceGroups/%s",
                        az_segment(arguments->group).text);
    va_list rest;
    va_start(rest, format);
    put_path(path, (size_t)used, format, rest);
    va_end(rest);
}

void az_app_path(char path[static AZ_PATH_MAX], const struct az_arguments *arguments,
                 const char *format, ...)
{
    int used = snprintf(path, AZ_PATH_MAX,
                        "/subscriptions/" AZ_SUBSCRIPTION
                        "/resourceGroups/%s/providers/Microsoft.App/containerApps/%s",
                        az_segment(arguments->group).text, az_segment(arguments->name).text);
    va_list rest;
    va_start(rest, format);
    put_path(path, (size_t)used, format, rest);
    va_end(rest);
}
