/* SPDX-License-Identifier: Apache-2.0 */
#include "base/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

/* No word is longer than the text, and each but the last takes a separator. */
struct splitter {
    const char *at;
    char **words;
    size_t count;
    char *word; /* where the current one is put together */
    size_t length;
};

static void take(struct splitter *splitter)
{
    splitter->word[splitter->length++] = *splitter->at++;
}

/* Up to the quote's end, which is passed over. */
static int take_quoted(struct splitter *splitter, struct error *err)
{
    char quote = *splitter->at++;
    while (*splitter->at != quote) {
        if (quote == '"' && splitter->at[0] == '\\' &&
            (splitter->at[1] == '"' || splitter->at[1] == '\\'))
            splitter->at++;
        if (*splitter->at == '\0')
            return error_usage(err, "the command has a %c that is not closed", quote);
        take(splitter);
    }
    splitter->at++;
    return 0;
}

static int take_word(struct splitter *splitter, struct error *err)
{
    splitter->length = 0;
    while (*splitter->at && !strchr(BLANKS, *splitter->at)) {
        int r = 0;
        if (*splitter->at == '\'' || *splitter->at == '"')
            r = take_quoted(splitter, err);
        else if (*splitter->at != '\\')
            take(splitter);
        else if (*++splitter->at != '\0')
            take(splitter);
        else
            r = error_usage(err, "the command ends with a backslash");
        if (r < 0)
            return r;
    }
    splitter->words[splitter->count] = strndup(splitter->word, splitter->length);
    if (!splitter->words[splitter->count])
        return error_errno(err, ENOMEM, "splitting the command");
    splitter->count++;
    return 0;
}

int words_split(const char *text, char ***ret, struct error *err)
{
    size_t length = strlen(text);
    struct splitter splitter = {
        .at = text,
        .words = calloc(length / 2 + 2, sizeof(char *)),
        .word = malloc(length + 1),
    };
    int r = 0;
    if (!splitter.words || !splitter.word) {
        free(splitter.words);
        free(splitter.word);
        return error_errno(err, ENOMEM, "splitting the command");
    }
    while (r == 0) {
        splitter.at += strspn(splitter.at, BLANKS);
        if (*splitter.at == '\0')
            break;
        r = take_word(&splitter, err);
    }
    free(splitter.word);
    if (r < 0) {
        words_free(splitter.words);
        return r;
    }
    *ret = splitter.words;
    return 0;
}

void words_free(char **words)
{
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
}
