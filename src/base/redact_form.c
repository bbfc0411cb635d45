/* SPDX-License-Identifier: Apache-2.0 */
#include "base/redact_form.h"

#include <stdbool.h>
#include <string.h>

/* What a service's documentation says of its tokens: the prefix, and at least so many characters
 * of letters, digits and, where it says so, '-' and '_'. The first character of each is in
 * BEGINS_A_FORM. */
static const struct form {
    const char *prefix;
    size_t rest;
    bool dashes;
} FORMS[] = {
    {"ghp_", 36, false},     {"gho_", 36, false},     {"ghu_", 36, false},
    {"ghs_", 36, false},     {"ghr_", 36, false},     {"github_pat_", 22, true},
    {"glpat-", 20, true},    {"xoxb-", 10, true},     {"xoxp-", 10, true},
    {"xoxa-", 10, true},     {"xoxr-", 10, true},     {"xoxs-", 10, true},
    {"xapp-", 10, true},     {"AKIA", 16, false},     {"ASIA", 16, false},
    {"AIza", 35, true},      {"sk_live_", 16, false}, {"sk_test_", 16, false},
    {"rk_live_", 16, false}, {"rk_test_", 16, false}, {"sk-ant-", 20, true},
    {"sk-proj-", 20, true},  {"npm_", 36, false},     {"pypi-", 50, true},
    {"dckr_pat_", 20, true}, {"hvs.", 24, true},      {"SG.", 40, true},
};

static const char WEB_TOKEN[] = "eyJ"; /* "{" and a quote in base64url; RFC 7519 */
#define WEB_TOKEN_PARTS 3
#define WEB_TOKEN_PART  10

static const char KEY_BEGIN[] = "-----BEGIN ";
static const char KEY_NAME[] = "PRIVATE KEY-----";
static const char KEY_END[] = "-----END ";

static bool begins(const char *text, size_t length, size_t at, const char *part)
{
    size_t size = strlen(part);
    return length - at >= size && memcmp(text + at, part, size) == 0;
}

/* By character, without the locale's tables: each byte of every console passes here. */
static const bool LETTER_OR_DIGIT[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true};
static const bool BEGINS_A_FORM[256] = {
    ['-'] = true, ['A'] = true, ['S'] = true, ['d'] = true, ['e'] = true, ['g'] = true,
    ['h'] = true, ['n'] = true, ['p'] = true, ['r'] = true, ['s'] = true, ['x'] = true};

static bool is_char(char c, const char *more)
{
    return LETTER_OR_DIGIT[(unsigned char)c] || (c != '\0' && strchr(more, c));
}

static size_t count_chars(const char *text, size_t length, size_t at, const char *more)
{
    size_t end = at;
    while (end < length && is_char(text[end], more))
        end++;
    return end - at;
}

/* Three parts of base64url with dots between them. */
static size_t web_token_at(const char *text, size_t length, size_t at)
{
    size_t end = at;
    if (!begins(text, length, at, WEB_TOKEN))
        return 0;
    for (unsigned part = 0; part < WEB_TOKEN_PARTS; part++) {
        size_t size = count_chars(text, length, end, "-_");
        bool dot = end + size < length && text[end + size] == '.';
        if (size < WEB_TOKEN_PART || (part + 1 < WEB_TOKEN_PARTS && !dot))
            return 0;
        end += size + (part + 1 < WEB_TOKEN_PARTS);
    }
    return end - at;
}

/* To the end of the line that ends it, or of what there is. */
static size_t private_key_at(const char *text, size_t length, size_t at)
{
    if (!begins(text, length, at, KEY_BEGIN))
        return 0;
    const char *name =
        memmem(text + at, length - at < 80 ? length - at : 80, KEY_NAME, sizeof(KEY_NAME) - 1);
    if (!name)
        return 0;
    const char *end = memmem(name, length - (size_t)(name - text), KEY_END, sizeof(KEY_END) - 1);
    const char *last =
        end ? memmem(end, length - (size_t)(end - text), KEY_NAME, sizeof(KEY_NAME) - 1) : NULL;
    return last ? (size_t)(last - text) + sizeof(KEY_NAME) - 1 - at : length - at;
}

/* How many bytes at the beginning of a word are a token; 0: none. */
static size_t token_at(const char *text, size_t length, size_t at)
{
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        if (text[at] != FORMS[i].prefix[0] || !begins(text, length, at, FORMS[i].prefix))
            continue;
        size_t prefix = strlen(FORMS[i].prefix);
        size_t rest = count_chars(text, length, at + prefix, FORMS[i].dashes ? "-_." : "");
        if (rest >= FORMS[i].rest)
            return prefix + rest;
    }
    return web_token_at(text, length, at);
}

size_t redact_form_find(const char *text, size_t length, size_t at, size_t *ret_bytes)
{
    bool within = at > 0 && is_char(text[at - 1], "_");
    for (; at < length; at++) {
        while (within && at < length && LETTER_OR_DIGIT[(unsigned char)text[at]])
            at++; /* the rest of a word */
        if (at == length)
            break;
        within = is_char(text[at], "_");
        if (!BEGINS_A_FORM[(unsigned char)text[at]])
            continue;
        *ret_bytes =
            text[at] == '-' ? private_key_at(text, length, at) : token_at(text, length, at);
        if (*ret_bytes > 0)
            return at;
    }
    return length;
}

/* The word is the beginning of the prefix, or begins with it. */
static bool may_become(const char *word, size_t length, const char *prefix)
{
    size_t size = strlen(prefix);
    return memcmp(word, prefix, length < size ? length : size) == 0;
}

size_t redact_form_begun(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && is_char(text[start - 1], "-_."))
        start--;
    size_t size = length - start;
    if (size == 0 || size > 4096) /* no token is that long */
        return 0;
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        if (may_become(text + start, size, FORMS[i].prefix))
            return size;
    }
    return may_become(text + start, size, WEB_TOKEN) ? size : 0;
}
