/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab export: a run's directory as one archive, and the check of such an archive. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/bundle.h"
#include "cli/files.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct export_arguments {
    const char *output, *format;
    bool verify;
};

static int add_file(struct bundle_writer *writer, const struct run_directory *run,
                    const struct file_entry *file, struct error *err)
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
    return bundle_writer_add(writer, buffer_text(&name), fd, file->bytes, file->modified_s, err);
}

static void writer_cleanup(struct bundle_writer **writer)
{
    bundle_writer_free(*writer);
}

static int export_run(const struct run_directory *run, FILE *out, struct error *err)
{
    CLEANUP(file_list_done) struct file_list files = {0};
    CLEANUP(writer_cleanup) struct bundle_writer *writer = NULL;
    int r = file_list_read(run->path, &files, err);
    if (r == 0)
        r = bundle_writer_new(out, &writer, err);
    for (size_t i = 0; r == 0 && i < files.count; i++)
        r = add_file(writer, run, &files.items[i], err);
    return r < 0 ? r : bundle_writer_finish(writer, err);
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

/* Exit status 1 where the archive is not as its manifest says. */
static int verify_archive(const char *path, bool json, struct error *err)
{
    CLEANUP(json_cleanup) json_t *differ = NULL;
    size_t files = 0;
    size_t index;
    json_t *item;
    int r = bundle_verify(path, &files, &differ, err);
    if (r < 0)
        return r;
    bool same = json_array_size(differ) == 0;
    if (json) {
        r = json_print(json_pack("{s:s, s:s, s:b, s:I, s:O}", "schema", "oomlab.verify/1",
                                 "archive", path, "intact", same, "files", (json_int_t)files,
                                 "differ", differ),
                       stdout, err);
        return r < 0 ? r : same ? STATUS_DONE : STATUS_FAILED;
    }
    if (same)
        printf("%s: all %zu files are as the manifest recorded them.\n", path, files);
    json_array_foreach(differ, index, item)
        printf("%s: %s\n", json_string_value(json_object_get(item, "how")),
               json_string_value(json_object_get(item, "name")));
    if (!same)
        return error_set(err, EBADMSG,
                         "'%s' is not what its manifest recorded: %zu of %zu files differ", path,
                         json_array_size(differ), files);
    return STATUS_DONE;
}

static int run_export(const struct invocation *invocation, struct error *err)
{
    const struct export_arguments *arguments = invocation->arguments;
    bool json = false;
    if (format_parse(arguments->format, &json, err) < 0)
        return err->code;
    if (arguments->verify)
        return verify_archive(invocation->operands[0], json, err);
    if (json)
        return error_usage(err, "--format json is for --verify: an archive is neither");
    CLEANUP(run_directory_unlock) struct run_directory run = {.lock_fd = -1};
    int r = run_directory_find(invocation->operands[0], &run, err);
    if (r == 0)
        r = run_directory_lock(&run, err);
    if (r < 0)
        return r;
    if (arguments->output && strcmp(arguments->output, "-") != 0)
        return export_to_file(&run, arguments->output, err);
    if (isatty(STDOUT_FILENO))
        return error_usage(err,
                           "an archive is nothing for a terminal; say --output FILE.tar.zst or "
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
    {.name = "verify",
     .kind = OPTION_FLAG,
     .help = "check an archive, named instead of RUN, against the manifest in it",
     .offset = offsetof(struct export_arguments, verify)},
    OPTION_FORMAT(struct export_arguments),
    {.name = NULL},
};

const struct verb VERB_EXPORT = {
    .name = "export",
    .summary = "write a run's directory as one archive (tar, zstd), or check one",
    .operands = "RUN",
    .operand_values = "@run",
    .details =
        "RUN is a run's id or the beginning of one, its directory, or 'last'. 'oomlab export "
        "--verify FILE' checks an archive without unpacking it; exit status 1 says that it "
        "is not as it was recorded.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct export_arguments),
    .run = run_export,
};
