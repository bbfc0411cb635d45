/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab export: a run's directory as one tar archive. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/files.h"
#include "cli/state.h"
#include "cli/tar.h"
#include "cli/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct export_arguments {
    const char *output;
};

static int add_file(FILE *out, const struct run_directory *run, const struct file_entry *file,
                    struct error *err)
{
    AUTO_BUFFER path = {0};
    AUTO_BUFFER name = {0};
    buffer_printf(&path, "%s/%s", run->path, file->path);
    buffer_printf(&name, "%s/%s", run->id, file->path);
    if (path.failed || name.failed)
        return error_errno(err, ENOMEM, "exporting '%s'", file->path);
    AUTO_CLOSE int fd = open(buffer_text(&path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening '%s'", buffer_text(&path));
    return tar_add(out, buffer_text(&name), fd, file->bytes, file->modified_s, err);
}

static int export_run(const struct run_directory *run, FILE *out, struct error *err)
{
    CLEANUP(file_list_done) struct file_list files = {0};
    int r = file_list_read(run->path, &files, err);
    for (size_t i = 0; r == 0 && i < files.count; i++)
        r = add_file(out, run, &files.items[i], err);
    if (r == 0)
        tar_finish(out);
    return r;
}

/* A new file; what was begun is removed when it cannot be finished. */
static int export_to_file(const struct run_directory *run, const char *path, struct error *err)
{
    FILE *out = fopen(path, "wxe");
    if (!out && errno == EEXIST)
        return error_usage(err, "--output: '%s' exists; remove it first", path);
    if (!out)
        return error_usage(err, "--output: cannot make '%s': %s", path, strerrordesc_np(errno));
    int r = export_run(run, out, err);
    bool failed = ferror(out) != 0;
    if ((fclose(out) != 0 || failed) && r == 0)
        r = error_errno(err, errno ? errno : EIO, "writing '%s'", path);
    if (r < 0)
        unlink(path);
    return r;
}

static int run_export(const struct invocation *invocation, struct error *err)
{
    const struct export_arguments *arguments = invocation->arguments;
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    int r = run_directory_find(invocation->operands[0], &run, err);
    if (r == 0)
        r = run_directory_lock(&run, err);
    if (r < 0)
        return r;
    if (arguments->output && strcmp(arguments->output, "-") != 0)
        return export_to_file(&run, arguments->output, err);
    if (isatty(STDOUT_FILENO))
        return error_usage(err, "an archive is nothing for a terminal; say --output FILE.tar or "
                                "redirect standard output");
    return export_run(&run, stdout, err);
}

static const struct option_spec OPTIONS[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "the archive, a new file; -: standard output",
     .fallback = "-",
     .values = "@file",
     .offset = offsetof(struct export_arguments, output)},
    {.name = NULL},
};

const struct verb VERB_EXPORT = {
    .name = "export",
    .summary = "write a run's directory as one tar archive",
    .operands = "RUN",
    .operand_values = "@run",
    .details = "RUN is a run's id or the beginning of one, its directory, or 'last'.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct export_arguments),
    .run = run_export,
};
