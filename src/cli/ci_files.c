/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ci_files.h"

#include "cli/job_summary.h"
#include "cli/junit.h"

int ci_files_open(const char *junit, const char *summary, struct ci_files *ret, struct error *err)
{
    int r = junit_open(junit, &ret->junit, err);
    return r < 0 ? r : job_summary_open(summary, &ret->summary, err);
}

void ci_files_tell_failure(const struct ci_files *files, const char *verb, const char *lab,
                           const char *why)
{
    junit_write_failure(verb, lab, why, files->junit);
    job_summary_write_failure(verb, lab, why, files->summary);
}

void ci_files_close(struct ci_files *files)
{
    if (files->junit)
        fclose(files->junit);
    if (files->summary)
        fclose(files->summary);
}
