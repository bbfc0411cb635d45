/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab export: a run's directory as one archive, and the check of such an archive. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/bundle.h"
#include "cli/export_examine.h"
#include "cli/files.h"
#include "cli/result.h"
#include "cli/state.h"
#include "cli/verb.h"
#include "report/manifest.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct export_arguments {
    const char *output, *format;
    bool verify;
};

/* SQLite's index of its log is made again by whoever opens it; the log itself is evidence only of a
 * run that nothing has sealed. */
static bool is_left_out(const char *name, bool recorded)
{
    return strcmp(name, STORE_FILE "-shm") == 0 ||
           (recorded && strcmp(name, STORE_FILE "-wal") == 0);
}

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

/* Of a run that was not finished: what is in the archive, so that it can be checked as well. */
static int add_manifest(struct bundle_writer *writer, const struct run_directory *run,
                        const struct file_list *files, struct error *err)
{
    AUTO_BUFFER text = {0};
    AUTO_BUFFER name = {0};
    int64_t newest_s = 0;
    int r = 0;
    AUTO_CLOSE int dir_fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "opening '%s'", run->path);
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        char sum[SHA256_TEXT_MAX];
        const struct file_entry *file = &files->items[i];
        if (is_left_out(file->path, false))
            continue;
        newest_s = file->modified_s > newest_s ? file->modified_s : newest_s;
        r = sha256_hex_file(dir_fd, file->path, sum, err);
        if (r == 0)
            manifest_append(&text, sum, file->path);
    }
    buffer_printf(&name, "%s/" MANIFEST_FILE, run->id);
    if (r == 0 && (text.failed || name.failed))
        r = error_errno(err, ENOMEM, "writing the archive");
    return r < 0 ? r
                 : bundle_writer_add_text(writer, buffer_text(&name), buffer_text(&text),
                                          text.length, newest_s, err);
}

static int export_files(const struct run_directory *run, const struct file_list *files, FILE *out,
                        struct error *err)
{
    CLEANUP(writer_cleanup) struct bundle_writer *writer = NULL;
    bool recorded = file_list_has(files, MANIFEST_FILE);
    int r = bundle_writer_new(out, &writer, err);
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        if (!is_left_out(files->items[i].path, recorded))
            r = add_file(writer, run, &files->items[i], err);
    }
    if (r == 0 && !recorded)
        r = add_manifest(writer, run, files, err);
    return r < 0 ? r : bundle_writer_finish(writer, err);
}

/* A new file; what was begun is removed when it cannot be finished. */
static int export_to_file(const struct run_directory *run, const struct file_list *files,
                          const char *path, struct error *err)
{
    FILE *out = fopen(path, "wxe");
    if (!out && errno == EEXIST)
        return error_usage(err, "--output: '%s' exists; remove it first", path);
    if (!out)
        return error_usage(err, "--output: cannot make '%s': %s", path, strerrordesc_np(errno));
    int r = export_files(run, files, out, err);
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
    path = strcmp(path, "-") == 0 ? "standard input" : path;
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

/* The warnings come first: whoever reads the archive is told by its sender. */
static int export_run(const struct run_directory *run, const char *output, struct error *err)
{
    CLEANUP(file_list_done) struct file_list files = {0};
    bool to_file = output && strcmp(output, "-") != 0;
    if (!to_file && isatty(STDOUT_FILENO))
        return error_usage(err,
                           "an archive is nothing for a terminal; say --output FILE.tar.zst or "
                           "redirect standard output");
    int r = export_examine(run, &files, err);
    if (r < 0)
        return r;
    return to_file ? export_to_file(run, &files, output, err)
                   : export_files(run, &files, stdout, err);
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
    return r < 0 ? r : export_run(&run, arguments->output, err);
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
        "is not as it was recorded; FILE '-' is standard input. A run that was killed or is "
        "damaged is written as far as it is there: warnings on standard error say what is "
        "missing, the exit status stays 0, and a run without a manifest gets one of what is in "
        "the archive.",
    .operands_min = 1,
    .operands_max = 1,
    .options = OPTIONS,
    .arguments_bytes = sizeof(struct export_arguments),
    .run = run_export,
};
