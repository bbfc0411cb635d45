/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "lab/plan_nearest.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const struct verb *verb;
    struct invocation *invocation;
    int argc;
    char **argv;
    int at;
};

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "reading the command line");
}

static const struct option_spec *find_letter(const struct verb *verb, char letter)
{
    for (const struct option_spec *option = verb->options; option && option->name; option++) {
        if (option->letter == letter)
            return option;
    }
    return NULL;
}

static int unknown_option(const struct parser *parser, const char *word, struct error *err)
{
    char name[64];
    char hint[NEAREST_HINT_MAX];
    struct nearest nearest;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    nearest_init(&nearest, name + strspn(name, "-"));
    for (const struct option_spec *option = parser->verb->options; option && option->name; option++)
        nearest_offer(&nearest, option->name);
    nearest_offer(&nearest, "help");
    nearest_hint(&nearest, "--", hint);
    if (hint[0] == '\0')
        snprintf(hint, sizeof(hint), "; 'oomlab %s --help' lists them", parser->verb->name);
    return error_usage(err, "%s: unknown option '%s'%s", parser->verb->name, name, hint);
}

/* Stands for --help among the candidates of an abbreviation. */
static const struct option_spec HELP = {.name = "help", .offset = SIZE_MAX};

struct match {
    const struct option_spec *option; /* NULL: none */
    bool exact, ambiguous;
    struct buffer names; /* of all that begin so */
};

static void match_done(struct match *match)
{
    buffer_done(&match->names);
}

static void offer(struct match *match, const struct option_spec *option, const char *name,
                  size_t length)
{
    if (match->exact || strncmp(option->name, name, length) != 0)
        return;
    match->exact = option->name[length] == '\0';
    /* Two spellings of one option are not two options. */
    match->ambiguous |= match->option && match->option->offset != option->offset;
    match->option = option;
    buffer_printf(&match->names, "%s--%s", match->names.length > 0 ? ", " : "", option->name);
}

static int find_long(const struct parser *parser, const char *word, size_t length,
                     const struct option_spec **ret, struct error *err)
{
    CLEANUP(match_done) struct match match = {0};
    for (const struct option_spec *option = parser->verb->options; option && option->name; option++)
        offer(&match, option, word + 2, length);
    offer(&match, &HELP, word + 2, length);
    bool taken = match.exact || (parser->verb->abbreviates && length > 0 && match.option);
    if (!taken)
        return unknown_option(parser, word, err);
    if (!match.exact && match.ambiguous)
        return error_usage(err, "%s: ambiguous option: %.*s could match %s", parser->verb->name,
                           (int)length + 2, word, buffer_text(&match.names));
    *ret = match.option;
    return 0;
}

static int append(const char ***list, const char *text)
{
    size_t count = 0;
    while (*list && (*list)[count])
        count++;
    const char **grown = realloc(*list, (count + 2) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    grown[count] = text;
    grown[count + 1] = NULL;
    *list = grown;
    return 0;
}

static int apply(const struct parser *parser, const struct option_spec *option, const char *value,
                 struct error *err)
{
    char *member = (char *)parser->invocation->arguments + option->offset;
    if (option->kind == OPTION_FLAG)
        *(bool *)member = true;
    else if (option->kind == OPTION_TEXT)
        *(const char **)member = value;
    else if (append((const char ***)member, value) < 0)
        return out_of_memory(err);
    return 0;
}

/* The value that follows as a word of its own. */
static const char *next_word(struct parser *parser)
{
    if (parser->at >= parser->argc)
        return NULL;
    return parser->argv[parser->at++];
}

static int missing_value(const struct parser *parser, const struct option_spec *option,
                         struct error *err)
{
    return error_usage(err, "%s: --%s needs a value: --%s %s", parser->verb->name, option->name,
                       option->name, option->argument);
}

/* All words up to the next option. None at all makes an empty list, which is not the same as none
 * given. */
static int take_words(struct parser *parser, const struct option_spec *option, const char *value,
                      struct error *err)
{
    const char ***list = (const char ***)((char *)parser->invocation->arguments + option->offset);
    if (value)
        return apply(parser, option, value, err);
    if (!*list)
        *list = calloc(1, sizeof(**list));
    if (!*list)
        return out_of_memory(err);
    while (parser->at < parser->argc) {
        const char *word = parser->argv[parser->at];
        bool is_option = strncmp(word, "--", 2) == 0 ||
                         (word[0] == '-' && (word[1] == 'h' || find_letter(parser->verb, word[1])));
        if (is_option)
            break;
        int r = apply(parser, option, word, err);
        if (r < 0)
            return r;
        parser->at++;
    }
    return 0;
}

static int parse_long(struct parser *parser, const char *word, bool *ret_help, struct error *err)
{
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;
    const struct option_spec *option = NULL;
    int r = find_long(parser, word, length, &option, err);
    if (r < 0 || !option)
        return r;
    *ret_help = option == &HELP;
    if (*ret_help)
        return 0;
    if (option->kind == OPTION_FLAG && value)
        return error_usage(err, "%s: --%s takes no value", parser->verb->name, option->name);
    if (option->kind == OPTION_WORDS)
        return take_words(parser, option, value, err);
    if (option->kind != OPTION_FLAG && !value)
        value = next_word(parser);
    if (option->kind != OPTION_FLAG && !value)
        return missing_value(parser, option, err);
    return apply(parser, option, value, err);
}

/* One letter, its value in the same word or the next; letters are not bundled. */
static int parse_letter(struct parser *parser, const char *word, struct error *err)
{
    const struct option_spec *option = find_letter(parser->verb, word[1]);
    if (!option || (option->kind == OPTION_FLAG && word[2] != '\0'))
        return unknown_option(parser, word, err);
    const char *value = word[2] != '\0' ? word + 2 : NULL;
    if (option->kind != OPTION_FLAG && !value)
        value = next_word(parser);
    if (option->kind != OPTION_FLAG && !value)
        return missing_value(parser, option, err);
    return apply(parser, option, value, err);
}

static int check_operands(const struct parser *parser, struct error *err)
{
    const struct verb *verb = parser->verb;
    const struct invocation *invocation = parser->invocation;
    if (invocation->operand_count < verb->operands_min)
        return error_usage(err, "%s: it needs %s: oomlab %s %s", verb->name,
                           verb->operands_min > 1 ? "more operands" : "an operand", verb->name,
                           verb->operands);
    if (invocation->operand_count > verb->operands_max)
        return error_usage(err, "%s: unexpected operand '%s'%s", verb->name,
                           invocation->operands[verb->operands_max],
                           verb->takes_command ? "; a command stands after '--'" : "");
    if (invocation->command && !verb->takes_command)
        return error_usage(err, "%s: it takes no command after '--'", verb->name);
    if (invocation->command && !invocation->command[0])
        return error_usage(err, "%s: the command after '--' is missing", verb->name);
    return 0;
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int parse_words(struct parser *parser, bool *ret_help, struct error *err)
{
    struct invocation *invocation = parser->invocation;
    while (parser->at < parser->argc && !*ret_help) {
        const char *word = parser->argv[parser->at++];
        int r = 0;
        if (asks_help(word)) {
            *ret_help = true;
            return 0;
        }
        if (strcmp(word, "--") == 0) {
            invocation->command = (const char *const *)parser->argv + parser->at;
            break;
        }
        if (strncmp(word, "--", 2) == 0)
            r = parse_long(parser, word, ret_help, err);
        else if (word[0] == '-' && word[1] != '\0')
            r = parse_letter(parser, word, err);
        else
            invocation->operands[invocation->operand_count++] = word;
        if (r < 0)
            return r;
    }
    return *ret_help ? 0 : check_operands(parser, err);
}

int options_parse(const struct verb *verb, int argc, char **argv, struct invocation *ret,
                  bool *ret_help, struct error *err)
{
    *ret = (struct invocation){.verb = verb, .argc = argc, .argv = argv};
    *ret_help = false;
    ret->operands = calloc((size_t)argc + 1, sizeof(*ret->operands));
    ret->arguments = calloc(1, verb->arguments_bytes ? verb->arguments_bytes : 1);
    if (!ret->operands || !ret->arguments)
        return out_of_memory(err);
    struct parser parser = {.verb = verb, .invocation = ret, .argc = argc, .argv = argv, .at = 2};
    return verb->raw ? 0 : parse_words(&parser, ret_help, err);
}

void invocation_done(struct invocation *invocation)
{
    if (!invocation->verb)
        return;
    const struct option_spec *option = invocation->verb->options;
    for (; invocation->arguments && option && option->name; option++) {
        void **member = (void **)((char *)invocation->arguments + option->offset);
        if (option->kind != OPTION_LIST && option->kind != OPTION_WORDS)
            continue;
        free(*member);
        *member = NULL; /* another spelling of the option may have the same one */
    }
    free(invocation->arguments);
    free(invocation->operands);
    *invocation = (struct invocation){0};
}

int format_parse(const char *text, bool *ret_json, struct error *err)
{
    if (!text || strcmp(text, "text") == 0) {
        *ret_json = false;
        return 0;
    }
    if (strcmp(text, "json") == 0) {
        *ret_json = true;
        return 0;
    }
    struct nearest nearest;
    char hint[NEAREST_HINT_MAX];
    nearest_init(&nearest, text);
    nearest_offer(&nearest, "text");
    nearest_offer(&nearest, "json");
    return error_usage(err, "--format: '%s' is neither text nor json%s", text,
                       nearest_hint(&nearest, "", hint));
}
