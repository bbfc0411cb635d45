/* SPDX-License-Identifier: Apache-2.0 */
#include "base/redact.h"

#include "base/redact_form.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUE_MIN       6
#define WORDS_MAX       16
#define QUERY_VALUE_MIN 16

struct redactor {
    char **values;
    size_t count;
};

/* A stretch of the text that is a secret. */
struct span {
    size_t start, end;
};

struct name_words {
    char text[WORDS_MAX][24]; /* lower case, cut */
    size_t count;
};

struct redactor *redactor_new(void)
{
    return calloc(1, sizeof(struct redactor));
}

void redactor_free(struct redactor *redactor)
{
    if (!redactor)
        return;
    for (size_t i = 0; i < redactor->count; i++)
        free(redactor->values[i]);
    free(redactor->values);
    free(redactor);
}

static void words_add(struct name_words *words, char c, bool starts)
{
    if (starts && words->count < WORDS_MAX)
        words->text[words->count++][0] = '\0';
    if (words->count == 0)
        return;
    char *word = words->text[words->count - 1];
    size_t length = strlen(word);
    if (length + 1 < sizeof(words->text[0])) {
        word[length] = (char)tolower((unsigned char)c);
        word[length + 1] = '\0';
    }
}

/* "accountKey", "ACCOUNT_KEY" and "account-key" are the same words. */
static void words_split(const char *name, size_t length, struct name_words *ret)
{
    bool starts = true;
    bool lower = false;
    ret->count = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!isalnum(c)) {
            starts = true;
            lower = false;
            continue;
        }
        words_add(ret, (char)c, starts || (isupper(c) && lower));
        starts = false;
        lower = islower(c) != 0;
    }
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(word, *list) == 0)
            return true;
    }
    return false;
}

/* "PGPASSWORD" is one word, and still says it. */
static bool ends_like_a_secret(const char *word)
{
    static const char *const ends[] = {
        "password",   "passwd",      "passphrase",    "secret",    "secrets",    "token",
        "credential", "credentials", "apikey",        "accesskey", "privatekey", "accountkey",
        "secretkey",  "sharedkey",   "authorization", "cookie",    "signature",  NULL};
    size_t length = strlen(word);
    for (const char *const *end = ends; *end; end++) {
        if (length >= strlen(*end) && strcmp(word + length - strlen(*end), *end) == 0)
            return true;
    }
    return false;
}

bool redact_is_secret_name(const char *name, size_t length)
{
    static const char *const places[] = {"file", "path", "dir", "name", "ref", NULL};
    static const char *const before_key[] = {"api",    "access",  "private",    "account",
                                             "secret", "signing", "encryption", "shared",
                                             "master", NULL};
    struct name_words words;
    words_split(name, length, &words);
    if (words.count == 0 || is_one_of(words.text[words.count - 1], places))
        return false;
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.text[i];
        const char *next = i + 1 < words.count ? words.text[i + 1] : "";
        if (ends_like_a_secret(word) || (strcmp(word, "pwd") == 0 && words.count > 1) ||
            (is_one_of(word, before_key) && strcmp(next, "key") == 0) ||
            (strcmp(word, "connection") == 0 && strcmp(next, "string") == 0))
            return true;
    }
    return false;
}

static int learn_value(struct redactor *redactor, const char *value)
{
    if (strlen(value) < VALUE_MIN)
        return 0;
    char **values = realloc(redactor->values, (redactor->count + 1) * sizeof(*values));
    if (!values)
        return -ENOMEM;
    redactor->values = values;
    values[redactor->count] = strdup(value);
    if (!values[redactor->count])
        return -ENOMEM;
    redactor->count++;
    return 0;
}

int redactor_learn(struct redactor *redactor, const char *text, char separator)
{
    const char *end = strchr(text, separator);
    if (!end || !redact_is_secret_name(text, (size_t)(end - text)))
        return 0;
    const char *value = end + 1;
    while (*value == ' ')
        value++;
    /* Of "Bearer abc" the second word is the secret. */
    const char *word = separator == ':' ? strchr(value, ' ') : NULL;
    int r = learn_value(redactor, value);
    return r == 0 && word ? learn_value(redactor, word + 1) : r;
}

int redactor_learn_command(struct redactor *redactor, char *const *command)
{
    int r = 0;
    for (; r == 0 && *command; command++) {
        const char *word = *command;
        const char *value = command[1];
        if (strchr(word, '='))
            r = redactor_learn(redactor, word, '=');
        else if (word[0] == '-' && value && value[0] != '-' &&
                 redact_is_secret_name(word, strlen(word)))
            r = learn_value(redactor, value);
    }
    return r;
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static size_t skip_spaces(const char *text, size_t length, size_t at)
{
    while (at < length && text[at] == ' ')
        at++;
    return at;
}

/* Up to the quote that closes, which no backslash precedes. */
static size_t end_of_quoted(const char *text, size_t length, size_t at, char quote)
{
    while (at < length && text[at] != quote && text[at] != '\n')
        at += text[at] == '\\' && at + 1 < length ? 2 : 1;
    return at < length ? at : length;
}

static size_t end_of_word(const char *text, size_t length, size_t at, const char *stops)
{
    while (at < length && !strchr(stops, text[at]))
        at++;
    return at;
}

/* The value that begins at `at`; `before` is the character in front of its name. A header's value
 * has blanks in it. */
static struct span value_span(const char *text, size_t length, size_t at, char before, bool header)
{
    struct span span = {at, at};
    if (at < length && (text[at] == '"' || text[at] == '\'')) {
        span.start = at + 1;
        span.end = end_of_quoted(text, length, at + 1, text[at]);
    } else if (at + 1 < length && text[at] == '\\' && text[at + 1] == '"') {
        span.start = at + 2; /* JSON within JSON */
        span.end = end_of_word(text, length, at + 2, "\\\n");
    } else if (before == '\'' || before == '"') {
        span.end = end_of_quoted(text, length, at, before);
    } else {
        span.end = end_of_word(text, length, at, header ? "\r\n\"'\\" : " \t\r\n\"',;&)}]\\`");
    }
    return span;
}

static bool is_header_name(const char *name, size_t length)
{
    static const char *const headers[] = {"authorization", "proxy-authorization", "cookie",
                                          "set-cookie"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (strlen(headers[i]) == length && strncasecmp(headers[i], name, length) == 0)
            return true;
    }
    return false;
}

/* "LICENSE_KEY" holds one where its value is long and of letters and digits; "SORT_KEY=name" does
 * not. Only as variables are written: a "cacheKey" of a log is another thing. */
static bool is_key_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (islower((unsigned char)name[i]))
            return false;
    }
    return length > 3 && memcmp(name + length - 3, "KEY", 3) == 0;
}

static bool is_like_a_key(const char *text, const struct span *span)
{
    bool letter = false, digit = false;
    for (size_t i = span->start; i < span->end; i++) {
        letter = letter || isalpha((unsigned char)text[i]);
        digit = digit || isdigit((unsigned char)text[i]);
        if (isspace((unsigned char)text[i]) || text[i] == '/')
            return false;
    }
    return letter && digit && span->end - span->start >= QUERY_VALUE_MIN;
}

static bool is_at(const char *text, size_t length, size_t at, const char *part)
{
    return at <= length && length - at >= strlen(part) &&
           memcmp(text + at, part, strlen(part)) == 0;
}

static bool is_redacted(const char *text, size_t length, size_t at)
{
    return is_at(text, length, at, REDACTED);
}

/* Where a value begins after the name in [start, end): the cheap question, asked before the name
 * is read. 0: nowhere. `*ret_separator`: '=', ':' or ' ' (--name VALUE). */
static size_t value_start(const char *text, size_t length, size_t start, size_t end,
                          char *ret_separator)
{
    bool option = end - start > 2 && text[start] == '-' && text[start + 1] == '-';
    size_t at = end;
    if (at + 1 < length && text[at] == '\\' && text[at + 1] == '"')
        at += 2;
    else if (at < length && text[at] == '"')
        at++;
    bool closed = at > end; /* the name itself was quoted */
    at = skip_spaces(text, length, at);
    if (at >= length)
        return 0;
    *ret_separator = text[at];
    if (text[at] == ':' && at + 1 < length && text[at + 1] == ':')
        return 0; /* "internal::Token::Value" names code */
    if (text[at] == '=' || text[at] == ':' || (text[at] == ',' && closed && option))
        return skip_spaces(text, length, at + 1);
    *ret_separator = ' ';
    return option && !closed && at > end && text[at] != '-' ? at : 0;
}

/* A signature, a key of a function, a code of OAuth: too common a word elsewhere. */
static bool query_value(const char *text, size_t length, size_t start, size_t end, struct span *ret)
{
    static const char *const names[] = {"sig", "code", "key", NULL};
    char name[8] = "";
    if (start == 0 || !strchr("?&", text[start - 1]) || end >= length || text[end] != '=' ||
        end - start >= sizeof(name))
        return false;
    for (size_t i = 0; i < end - start; i++)
        name[i] = (char)tolower((unsigned char)text[start + i]);
    *ret = value_span(text, length, end + 1, '\0', false);
    return is_one_of(name, names) && ret->end - ret->start >= QUERY_VALUE_MIN &&
           !is_redacted(text, length, end + 1);
}

/* "PASSWORD: old -> new" is how arms say what differs; either may be unset. */
static void extend_to_new(const char *text, size_t length, char before, struct span *ret)
{
    static const char arrow[] = " -> ";
    size_t next = ret->end + sizeof(arrow) - 1;
    if (is_at(text, length, ret->end, arrow) && !is_at(text, length, next, REDACT_UNSET))
        ret->end = value_span(text, length, next, before, false).end;
}

/* What follows the name in [start, end), when that is a secret's. */
static bool named_value(const char *text, size_t length, size_t start, size_t end, struct span *ret)
{
    const char *name = text + start;
    char separator = ' ';
    bool bearer = end - start == 6 && strncasecmp(name, "Bearer", 6) == 0;
    if (bearer && end < length && text[end] == ' ') {
        *ret = value_span(text, length, end + 1, '\0', false);
        return ret->end > ret->start && !is_redacted(text, length, end + 1);
    }
    if (query_value(text, length, start, end, ret))
        return true;
    size_t at = value_start(text, length, start, end, &separator);
    if (at > 0 && separator == ':' && is_at(text, length, at, REDACT_UNSET " -> "))
        at += sizeof(REDACT_UNSET " -> ") - 1;
    if (at == 0 || is_redacted(text, length, at))
        return false;
    bool key = !redact_is_secret_name(name, end - start);
    if (key && !is_key_name(name, end - start))
        return false;
    bool closed = end < length && (text[end] == '"' || text[end] == '\\');
    char before = start > 0 && !closed && separator != ' ' ? text[start - 1] : '\0';
    *ret =
        value_span(text, length, at, before, separator == ':' && is_header_name(name, end - start));
    if (key && !is_like_a_key(text, ret))
        return false;
    if (separator == ':')
        extend_to_new(text, length, before, ret);
    return ret->end > ret->start;
}

/* "user:VALUE@" after "://". */
static bool url_value(const char *text, size_t length, size_t at, struct span *ret)
{
    size_t end = end_of_word(text, length, at, "/ \t\r\n\"'\\<>");
    const char *sign = memrchr(text + at, '@', end - at);
    const char *colon = sign ? memchr(text + at, ':', (size_t)(sign - text) - at) : NULL;
    if (!colon || colon + 1 >= sign)
        return false;
    *ret = (struct span){(size_t)(colon + 1 - text), (size_t)(sign - text)};
    return true;
}

/* The first secret by its name at or after `at`. */
static bool find_named(const char *text, size_t length, size_t at, struct span *ret)
{
    while (at < length) {
        if (!is_name_char(text[at])) {
            bool url = length - at > 3 && memcmp(text + at, "://", 3) == 0;
            if (url && url_value(text, length, at + 3, ret))
                return true;
            at += url ? 3 : 1;
            continue;
        }
        size_t end = at;
        while (end < length && is_name_char(text[end]))
            end++;
        if (named_value(text, length, at, end, ret))
            return true;
        at = end;
    }
    return false;
}

/* The first known value at or after `at`; of two at one place the longer. */
static bool find_known(const struct redactor *redactor, const char *text, size_t length, size_t at,
                       struct span *ret)
{
    bool found = false;
    for (size_t i = 0; redactor && i < redactor->count; i++) {
        size_t size = strlen(redactor->values[i]);
        const char *place = memmem(text + at, length - at, redactor->values[i], size);
        if (!place)
            continue;
        struct span span = {(size_t)(place - text), (size_t)(place - text) + size};
        if (!found || span.start < ret->start || (span.start == ret->start && span.end > ret->end))
            *ret = span;
        found = true;
    }
    return found;
}

/* The first secret by its form at or after `at`. */
static bool find_formed(const char *text, size_t length, size_t at, struct span *ret)
{
    size_t bytes = 0;
    ret->start = redact_form_find(text, length, at, &bytes);
    ret->end = ret->start + bytes;
    return ret->start < length;
}

/* The earlier of two, or both together where they touch. */
static void join(struct span *span, bool *found, const struct span *other)
{
    if (*found && other->start < span->end && span->start < other->end) {
        span->start = other->start < span->start ? other->start : span->start;
        span->end = other->end > span->end ? other->end : span->end;
    } else if (!*found || other->start < span->start) {
        *span = *other;
    }
    *found = true;
}

/* The next secret at or after `at`. */
static bool find_next(const struct redactor *redactor, const char *text, size_t length, size_t at,
                      struct span *ret)
{
    struct span other;
    bool found = find_named(text, length, at, ret);
    if (find_known(redactor, text, length, at, &other))
        join(ret, &found, &other);
    if (find_formed(text, length, at, &other))
        join(ret, &found, &other);
    return found;
}

int redactor_learn_env(struct redactor *redactor, char *const *env)
{
    int r = 0;
    for (; r == 0 && env && *env; env++)
        r = redactor_learn(redactor, *env, '=');
    return r;
}

int redactor_learn_text(struct redactor *redactor, const char *text, size_t length)
{
    struct span span = {0};
    int r = 0;
    while (r == 0 && find_named(text, length, span.end, &span)) {
        char *value = strndup(text + span.start, span.end - span.start);
        r = value ? learn_value(redactor, value) : -ENOMEM;
        free(value);
    }
    return r;
}

bool redactor_apply(const struct redactor *redactor, const char *text, struct buffer *out)
{
    size_t length = strlen(text);
    size_t at = 0;
    bool changed = false;
    struct span span;
    while (find_next(redactor, text, length, at, &span)) {
        buffer_append(out, text + at, span.start - at);
        buffer_puts(out, REDACTED);
        at = span.end;
        changed = true;
    }
    if (changed)
        buffer_append(out, text + at, length - at);
    return changed;
}

size_t redactor_mask(const struct redactor *redactor, char *data, size_t length, bool more)
{
    size_t at = 0;
    size_t held = 0;
    struct span span;
    while (find_next(redactor, data, length, at, &span)) {
        /* A token that may go on in what comes next. */
        if (more && span.end == length && redact_form_begun(data, length) == length - span.start) {
            held = length - span.start;
            break;
        }
        memset(data + span.start, '*', span.end - span.start);
        at = span.end;
    }
    if (!more)
        return 0;
    size_t begun = redact_form_begun(data, length);
    held = begun > held ? begun : held;
    for (size_t i = 0; redactor && i < redactor->count; i++) {
        const char *value = redactor->values[i];
        size_t size = strlen(value) - 1;
        for (size = size < length ? size : length; size > held; size--) {
            if (memcmp(data + length - size, value, size) == 0)
                held = size;
        }
    }
    return held;
}
