/* SPDX-License-Identifier: Apache-2.0 */
/* make-run KIND DIRECTORY: a synthetic run with all its reports, for the tests in Python; the
 * summary goes to stdout. "report" as KIND makes the reports of a directory again. */
#include "make_run.h"
#include "report/report.h"

#include <stdio.h>
#include <string.h>

static int report(struct store *store, const char *directory, struct error *err)
{
    json_t *result = NULL;
    int r = report_write_all(store, directory, &result, err);
    if (r == 0)
        r = report_print_summary(result, stdout, err);
    json_decref(result);
    return r;
}

int main(int argc, char **argv)
{
    static const char *const kinds[RUN_KINDS] = {"lab",   "service", "interrupted",
                                                 "empty", "hostile", "dense"};
    struct error err = {0};
    struct store *store = NULL;
    if (argc != 3)
        return 2;
    int r = strcmp(argv[1], "report") == 0 ? store_open(argv[2], &store, &err) : -1;
    for (enum run_kind kind = 0; kind < RUN_KINDS; kind++) {
        if (strcmp(argv[1], kinds[kind]) == 0)
            r = make_run(argv[2], kind, &store, &err);
    }
    if (r == 0)
        r = report(store, argv[2], &err);
    store_close(store);
    if (r < 0)
        fprintf(stderr, "make-run: %s\n", err.text);
    return r < 0;
}
