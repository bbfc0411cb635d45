/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"
#include "jmespath/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
    const char *text;
    size_t at;
    struct token *tokens;
    size_t count, capacity;
};

static int fault(size_t at, const char *what, struct error *err)
{
    return error_usage(err, "syntax: %s at column %zu of the expression", what, at + 1);
}

static struct token *push(struct lexer *lexer, enum token_kind kind, size_t at)
{
    if (lexer->count == lexer->capacity) {
        size_t capacity = lexer->capacity ? 2 * lexer->capacity : 32;
        struct token *grown = realloc(lexer->tokens, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        lexer->tokens = grown;
        lexer->capacity = capacity;
    }
    struct token *token = &lexer->tokens[lexer->count++];
    *token = (struct token){.kind = kind, .at = at};
    return token;
}

static int out_of_memory(struct error *err)
{
    return error_errno(err, ENOMEM, "reading the expression");
}

static int push_value(struct lexer *lexer, enum token_kind kind, size_t at, json_t *value,
                      struct error *err)
{
    struct token *token = value ? push(lexer, kind, at) : NULL;
    if (!token) {
        json_decref(value);
        return out_of_memory(err);
    }
    token->value = value;
    return 0;
}

static int read_name(struct lexer *lexer, struct error *err)
{
    size_t start = lexer->at;
    const char *text = lexer->text;
    while (isalnum((unsigned char)text[lexer->at]) || text[lexer->at] == '_')
        lexer->at++;
    return push_value(lexer, TOKEN_NAME, start, json_stringn(text + start, lexer->at - start), err);
}

static int read_number(struct lexer *lexer, struct error *err)
{
    size_t start = lexer->at;
    char *end = NULL;
    errno = 0;
    long long number = strtoll(lexer->text + start, &end, 10);
    if (end == lexer->text + start)
        return fault(start, "a number is missing after '-'", err);
    if (errno == ERANGE)
        return fault(start, "the number is too large", err);
    lexer->at = (size_t)(end - lexer->text);
    struct token *token = push(lexer, TOKEN_NUMBER, start);
    if (!token)
        return out_of_memory(err);
    token->number = number;
    return 0;
}

/* The text up to the closing `quote`, backslashes kept except before the quote when
 * `unescape_quote`. Moves behind the closing quote. */
static int read_until(struct lexer *lexer, char quote, bool unescape_quote, struct buffer *ret,
                      struct error *err)
{
    size_t start = lexer->at++;
    for (; lexer->text[lexer->at] != quote; lexer->at++) {
        const char *at = lexer->text + lexer->at;
        if (*at == '\0')
            return fault(start, "a quotation without its end", err);
        if (*at == '\\' && at[1] != '\0') {
            if (!unescape_quote || at[1] != quote)
                buffer_append(ret, at, 1);
            buffer_append(ret, at + 1, 1);
            lexer->at++;
            continue;
        }
        buffer_append(ret, at, 1);
    }
    lexer->at++;
    return ret->failed ? out_of_memory(err) : 0;
}

static json_t *load(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

static int read_quoted_name(struct lexer *lexer, struct error *err)
{
    AUTO_BUFFER text = {0};
    size_t start = lexer->at;
    buffer_puts(&text, "\"");
    int r = read_until(lexer, '"', false, &text, err);
    if (r < 0)
        return r;
    buffer_puts(&text, "\"");
    json_t *value = load(buffer_text(&text));
    if (!value)
        return fault(start, "a quoted name that is no JSON string", err);
    return push_value(lexer, TOKEN_QUOTED_NAME, start, value, err);
}

static int read_raw(struct lexer *lexer, struct error *err)
{
    AUTO_BUFFER text = {0};
    size_t start = lexer->at;
    int r = read_until(lexer, '\'', true, &text, err);
    if (r < 0)
        return r;
    json_t *value = json_string(buffer_text(&text));
    if (!value)
        return fault(start, "a string that is no UTF-8", err);
    return push_value(lexer, TOKEN_LITERAL, start, value, err);
}

/* `json`; what is no JSON is a string, as jmespath.py has it. */
static int read_literal(struct lexer *lexer, struct error *err)
{
    AUTO_BUFFER text = {0};
    AUTO_BUFFER quoted = {0};
    size_t start = lexer->at;
    int r = read_until(lexer, '`', true, &text, err);
    if (r < 0)
        return r;
    json_t *value = load(buffer_text(&text));
    if (!value) {
        const char *content = buffer_text(&text);
        content += strspn(content, " \t\r\n");
        buffer_printf(&quoted, "\"%s\"", content);
        value = quoted.failed ? NULL : load(buffer_text(&quoted));
    }
    if (!value)
        return fault(start, "a literal that is no JSON", err);
    return push_value(lexer, TOKEN_LITERAL, start, value, err);
}

static enum token_kind sign_of(const char *at, size_t *ret_length)
{
    static const struct {
        const char *text;
        enum token_kind kind;
    } signs[] = {
        /* The longer ones first. */
        {"[]", TOKEN_FLATTEN},     {"[?", TOKEN_FILTER},       {"&&", TOKEN_AND},
        {"||", TOKEN_OR},          {"==", TOKEN_EQ},           {"!=", TOKEN_NE},
        {"<=", TOKEN_LE},          {">=", TOKEN_GE},           {"<", TOKEN_LT},
        {">", TOKEN_GT},           {"!", TOKEN_NOT},           {"&", TOKEN_REFERENCE},
        {"|", TOKEN_PIPE},         {".", TOKEN_DOT},           {"*", TOKEN_STAR},
        {"[", TOKEN_LEFT_BRACKET}, {"]", TOKEN_RIGHT_BRACKET}, {"(", TOKEN_LEFT_PAREN},
        {")", TOKEN_RIGHT_PAREN},  {"{", TOKEN_LEFT_BRACE},    {"}", TOKEN_RIGHT_BRACE},
        {",", TOKEN_COMMA},        {":", TOKEN_COLON},         {"@", TOKEN_CURRENT},
    };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        *ret_length = strlen(signs[i].text);
        if (strncmp(at, signs[i].text, *ret_length) == 0)
            return signs[i].kind;
    }
    return TOKEN_KIND_COUNT;
}

static int read_token(struct lexer *lexer, struct error *err)
{
    const char *at = lexer->text + lexer->at;
    size_t length = 0;
    if (isalpha((unsigned char)*at) || *at == '_')
        return read_name(lexer, err);
    if (isdigit((unsigned char)*at) || *at == '-')
        return read_number(lexer, err);
    if (*at == '"')
        return read_quoted_name(lexer, err);
    if (*at == '\'')
        return read_raw(lexer, err);
    if (*at == '`')
        return read_literal(lexer, err);
    enum token_kind kind = sign_of(at, &length);
    if (kind == TOKEN_KIND_COUNT)
        return fault(
            lexer->at,
            *at == '=' ? "'=' compares nothing (use '==')" : "a character that means nothing", err);
    if (!push(lexer, kind, lexer->at))
        return out_of_memory(err);
    lexer->at += length;
    return 0;
}

int lexer_read(const char *text, struct token **ret, size_t *ret_count, struct error *err)
{
    struct lexer lexer = {.text = text};
    int r = 0;
    while (r == 0 && text[lexer.at] != '\0') {
        if (strchr(" \t\r\n", text[lexer.at]))
            lexer.at++;
        else
            r = read_token(&lexer, err);
    }
    if (r == 0 && !push(&lexer, TOKEN_END, lexer.at))
        r = out_of_memory(err);
    if (r < 0) {
        lexer_free(lexer.tokens, lexer.count);
        return r;
    }
    *ret = lexer.tokens;
    *ret_count = lexer.count;
    return 0;
}

void lexer_free(struct token *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(tokens[i].value);
    free(tokens);
}
