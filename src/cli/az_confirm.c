/* SPDX-License-Identifier: Apache-2.0 */
/* What destroys is asked about first, in az's words; --yes answers. */
#include "cli/az.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* az's own setting, by its name in the environment. */
static bool asks_nothing(void)
{
    static const char *const yes[] = {"1", "yes", "true", "on"};
    const char *set = getenv("AZURE_CORE_DISABLE_CONFIRM_PROMPT");
    for (size_t i = 0; set && i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcasecmp(set, yes[i]) == 0)
            return true;
    }
    return false;
}

/* Asked again until the answer is one. The end of the input is none, and so is not yes. */
static bool ask(void)
{
    char *line = NULL;
    size_t size = 0;
    char answer = '\0';
    while (answer != 'y' && answer != 'n') {
        fputs("Are you sure you want to perform this operation? (y/n): ", stderr);
        fflush(stderr);
        if (getline(&line, &size, stdin) < 0) {
            fputc('\n', stderr);
            break;
        }
        line[strcspn(line, "\r\n")] = '\0';
        answer = strlen(line) == 1 ? (char)tolower((unsigned char)line[0]) : '\0';
    }
    free(line);
    return answer == 'y';
}

int az_confirm(const struct az_arguments *arguments, struct error *err)
{
    if (arguments->yes || asks_nothing())
        return 0;
    if (!isatty(STDIN_FILENO))
        log_warning("Unable to prompt for confirmation as no tty available. Use --yes.");
    else if (ask())
        return 0;
    return error_set(err, ECANCELED, "Operation cancelled.");
}
