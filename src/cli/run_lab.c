/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_lab.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/* One word as a shell would have to be given it. */
static void quote_word(struct buffer *text, const char *word)
{
    if (word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789%+,-./:=@_")] == '\0') {
        buffer_puts(text, word);
        return;
    }
    buffer_puts(text, "'");
    for (; *word; word++) {
        if (*word == '\'')
            buffer_puts(text, "'\\''");
        else
            buffer_append(text, word, 1);
    }
    buffer_puts(text, "'");
}

static int quote_command_line(const struct invocation *invocation, struct buffer *text,
                              struct error *err)
{
    for (int i = 0; i < invocation->argc; i++) {
        if (i > 0)
            buffer_puts(text, " ");
        quote_word(text, invocation->argv[i]);
    }
    return text->failed ? error_errno(err, ENOMEM, "recording the command line") : 0;
}

int cli_run_lab(const struct invocation *invocation, const struct plan *plan,
                const struct run_directory *run, bool quiet, struct lab_outcome *ret,
                struct error *err)
{
    AUTO_BUFFER command_line = {0};
    int r = quote_command_line(invocation, &command_line, err);
    if (r < 0)
        return r;
    const struct lab_options options = {
        .directory = run->path,
        .run_id = run->id,
        .command_line = buffer_text(&command_line),
        .quiet = quiet,
    };
    return lab_run(plan, &options, ret, err);
}
