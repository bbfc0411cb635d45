/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: words_split(). What it gives must come out again when each word is quoted. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/words.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quote(struct buffer *line, const char *word)
{
    buffer_puts(line, "'");
    for (; *word; word++)
        if (*word == '\'')
            buffer_puts(line, "'\\''");
        else
            buffer_append(line, word, 1);
    buffer_puts(line, "' ");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    AUTO_BUFFER line = {0};
    struct error err = {0};
    char **words = NULL;
    char **again = NULL;
    size_t i = 0;
    if (!text)
        return 0;
    if (words_split(text, &words, &err) < 0) {
        if (err.kind != ERROR_USAGE || err.text[0] == '\0')
            abort();
        return 0;
    }
    for (char **word = words; *word; word++)
        quote(&line, *word);
    if (words_split(buffer_text(&line), &again, &err) < 0)
        abort();
    for (; words[i] && again[i]; i++)
        if (strcmp(words[i], again[i]) != 0)
            abort();
    if (words[i] || again[i])
        abort();
    words_free(words);
    words_free(again);
    return 0;
}
