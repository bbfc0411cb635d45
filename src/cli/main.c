/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to a verb, from an error to the exit status. */
#include "base/log.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int status_of(const struct error *err)
{
    switch (err->kind) {
    case ERROR_USAGE:
        return STATUS_USAGE;
    case ERROR_UNAVAILABLE:
        return STATUS_UNAVAILABLE;
    case ERROR_FAILED:
        break;
    }
    return STATUS_FAILED;
}

/* An error quotes file names and other foreign text: its control characters must not reach the
 * terminal. Bytes 0x80 to 0x9f are controls after 0xc2 only (UTF-8). */
static void print_error(const struct error *err)
{
    char text[4 * ERROR_TEXT_BYTES];
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)err->text; *at; at++) {
        bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
        if (*at >= 0x20 && *at != 0x7f && !c1) {
            text[used++] = (char)*at;
            continue;
        }
        at += c1 ? 1 : 0;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "\\x%02x", *at);
    }
    text[used] = '\0';
    log_error("%s", text);
}

/* A closed standard descriptor would be taken by the next file that is opened. Put something there
 * that fails as a closed one does: what is written must not be lost without a word. */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (opened >= 0 && opened != fd)
            close(opened);
    }
}

/* Data that did not arrive is a failure: a full disk, a closed pipe. */
static int flush_stdout(int status)
{
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed)
        return status;
    /* An earlier write has failed, and nothing was left to flush: ask for its reason again. */
    if (errno == 0) {
        clearerr(stdout);
        putchar('\n');
        fflush(stdout);
    }
    const char *reason = strerrordesc_np(errno);
    log_error("writing to standard output%s%s", errno ? ": " : " failed", errno ? reason : "");
    return STATUS_FAILED;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct error err = {0};
    struct invocation invocation = {0};
    bool help = false;
    int status = options_parse(verb, argc, argv, &invocation, &help, &err);
    if (status >= 0 && help)
        help_print_verb(verb, stdout);
    else if (status >= 0)
        status = verb->run(&invocation, &err);
    invocation_done(&invocation);
    if (status >= 0)
        return status;
    print_error(&err);
    return status_of(&err);
}

static int no_verb(const char *word)
{
    struct error err = {0};
    if (word && word[0] == '-')
        error_usage(&err, "unknown option '%.60s'; a verb comes first, as in 'oomlab run'", word);
    else if (word)
        help_unknown_verb(word, &err);
    else
        error_usage(&err, "a verb is missing, as in 'oomlab run'; 'oomlab help' lists them");
    print_error(&err);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    /* A reader that went away is an error message and an exit status, not a silent death. */
    signal(SIGPIPE, SIG_IGN);
    const char *word = argc > 1 ? argv[1] : NULL;
    if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
        word = "help";
    else if (word && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0))
        word = "version";
    const struct verb *verb = word ? verb_find(word) : NULL;
    int status = verb ? run_verb(verb, argc, argv) : no_verb(word);
    return flush_stdout(status);
}
