/* SPDX-License-Identifier: Apache-2.0 */
#include "report/manifest.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAX_BYTES (1 << 24)

static int compare_names(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_listed(const FTSENT *entry, const char *name)
{
    return entry->fts_info == FTS_F && strcmp(name, MANIFEST_FILE) != 0 &&
           strcmp(name, "evidence.db-wal") != 0 && strcmp(name, "evidence.db-shm") != 0 &&
           !strstr(name, MANIFEST_FILE ".tmp");
}

void manifest_append(struct buffer *out, const char *sum, const char *name)
{
    bool escape = name[strcspn(name, "\\\n\r")] != '\0';
    buffer_printf(out, "%s%s  ", escape ? "\\" : "", sum);
    for (const char *at = name; *at; at++) {
        if (*at == '\\')
            buffer_puts(out, "\\\\");
        else if (*at == '\n')
            buffer_puts(out, "\\n");
        else if (*at == '\r')
            buffer_puts(out, "\\r");
        else
            buffer_append(out, at, 1);
    }
    buffer_puts(out, "\n");
}

struct manifest_early {
    int dir_fd;
    char *name;
    pthread_t thread;
    bool running;
    int result;
    char sum[SHA256_TEXT_MAX];
    struct error err;
};

static void *early_main(void *context)
{
    struct manifest_early *early = context;
    pthread_setname_np(pthread_self(), "oomlab-sum");
    early->result = sha256_hex_file(early->dir_fd, early->name, early->sum, &early->err);
    return NULL;
}

static int start_thread(struct manifest_early *early)
{
    int r = thread_start(&early->thread, NULL, early_main, early);
    early->running = r == 0;
    return r;
}

static void early_join(struct manifest_early *early)
{
    if (early->running)
        pthread_join(early->thread, NULL);
    early->running = false;
}

int manifest_begin(const char *directory, const char *name, struct manifest_early **ret,
                   struct error *err)
{
    struct manifest_early *early = calloc(1, sizeof(*early));
    if (!early)
        return error_errno(err, ENOMEM, "reading '%s/%s'", directory, name);
    early->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    early->name = strdup(name);
    int r = early->dir_fd < 0 ? -errno : early->name ? start_thread(early) : -ENOMEM;
    if (r < 0) {
        manifest_early_free(early);
        return error_errno(err, -r, "reading '%s/%s'", directory, name);
    }
    *ret = early;
    return 0;
}

void manifest_early_free(struct manifest_early *early)
{
    if (!early)
        return;
    early_join(early);
    close_fd(&early->dir_fd);
    free(early->name);
    free(early);
}

static int sum_of(int dir_fd, const char *name, const struct manifest_early *early,
                  char sum[static SHA256_TEXT_MAX], struct error *err)
{
    if (!early || strcmp(early->name, name) != 0)
        return sha256_hex_file(dir_fd, name, sum, err);
    memcpy(sum, early->sum, SHA256_TEXT_MAX);
    if (early->result < 0)
        *err = early->err;
    return early->result;
}

static int list_files(FTS *walk, int dir_fd, size_t prefix, const struct manifest_early *early,
                      struct buffer *out, struct error *err)
{
    for (const FTSENT *entry = fts_read(walk); entry; entry = fts_read(walk)) {
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            return error_errno(err, entry->fts_errno, "reading '%s'", entry->fts_path);
        if (entry->fts_level == 0)
            continue;
        const char *name = entry->fts_path + prefix;
        if (!is_listed(entry, name))
            continue;
        char sum[SHA256_TEXT_MAX];
        int r = sum_of(dir_fd, name, early, sum, err);
        if (r < 0)
            return r;
        manifest_append(out, sum, name);
    }
    return 0;
}

/* The manifest as it would be written now. */
static int make_manifest(const char *directory, int dir_fd, const struct manifest_early *early,
                         struct buffer *out, struct error *err)
{
    AUTO_FREE char *path = strdup(directory);
    if (!path)
        return error_errno(err, ENOMEM, "listing '%s'", directory);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    char *const roots[] = {path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_names);
    if (!walk)
        return error_errno(err, errno, "listing '%s'", directory);
    int r = list_files(walk, dir_fd, length + 1, early, out, err);
    fts_close(walk);
    if (r == 0 && out->failed)
        r = error_errno(err, ENOMEM, "reading '%s/%s'", directory, MANIFEST_FILE);
    return r;
}

/* "[\]SUM  NAME" by line into an object: name -> sum. What is no such line is a name without one.
 * A name may be any bytes.
 */
static json_t *parse_manifest(const char *text)
{
    json_t *sums = json_object();
    while (*text) {
        const char *line = text + (*text == '\\');
        size_t length = strcspn(line, "\n");
        size_t sum = SHA256_TEXT_MAX - 1;
        if (length > sum + 2 && line[sum] == ' ' && line[sum + 1] == ' ')
            json_object_setn_new_nocheck(sums, line + sum + 2, length - sum - 2,
                                         json_stringn(line, sum));
        else if (length > 0)
            json_object_setn_new_nocheck(sums, line, length, json_null());
        text = line + length;
        text += *text == '\n';
    }
    return sums;
}

static int read_recorded(int dir_fd, struct buffer *ret, bool *ret_found, struct error *err)
{
    *ret_found = faccessat(dir_fd, MANIFEST_FILE, F_OK, 0) == 0;
    return *ret_found ? file_read_all(dir_fd, MANIFEST_FILE, MANIFEST_MAX_BYTES, ret, err) : 0;
}

/* What is there now, but of each file that is not made again what was recorded: also of one that is
 * gone. Names are as a manifest has them, escaped. */
static int merge(const char *recorded, const char *present, manifest_is_made is_made,
                 struct buffer *out, struct error *err)
{
    json_t *old = parse_manifest(recorded);
    json_t *sums = parse_manifest(present);
    char shown[4 * PATH_MAX];
    const char *name;
    json_t *sum;
    json_object_foreach(old, name, sum)
    {
        if (is_made(name) || !json_is_string(sum) || json_equal(sum, json_object_get(sums, name)))
            continue;
        utf8_escape(name, true, shown, sizeof(shown));
        log_warning("'%s' is not as the run left it, and " MANIFEST_FILE " goes on saying so",
                    shown);
        json_object_set_nocheck(sums, name, sum);
    }
    json_object_foreach(sums, name, sum) buffer_printf(
        out, "%s%s  %s\n", strchr(name, '\\') ? "\\" : "", json_string_value(sum), name);
    bool failed = !old || !sums || out->failed;
    json_decref(old);
    json_decref(sums);
    return failed ? error_errno(err, ENOMEM, "writing '%s'", MANIFEST_FILE) : 0;
}

int manifest_write(const char *directory, struct manifest_early *early, manifest_is_made is_made,
                   struct error *err)
{
    AUTO_BUFFER recorded = {0};
    AUTO_BUFFER present = {0};
    AUTO_BUFFER out = {0};
    bool found = false;
    AUTO_CLOSE int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "opening '%s'", directory);
    if (early)
        early_join(early);
    int r = read_recorded(dir_fd, &recorded, &found, err);
    if (r == 0)
        r = make_manifest(directory, dir_fd, early, &present, err);
    if (r == 0)
        r = merge(buffer_text(&recorded), buffer_text(&present), is_made, &out, err);
    return r < 0 ? r : file_replace(dir_fd, MANIFEST_FILE, buffer_text(&out), out.length, err);
}

static void add_difference(json_t *differ, const char *name, const char *how)
{
    char shown[4 * PATH_MAX];
    utf8_escape(name, true, shown, sizeof(shown));
    json_array_append_new(differ, json_pack("{s:s, s:s}", "name", shown, "how", how));
}

static void compare_sums(json_t *recorded, json_t *present, json_t *differ)
{
    const char *name;
    json_t *sum;
    json_object_foreach(recorded, name, sum)
    {
        const json_t *now = json_object_get(present, name);
        if (!now)
            add_difference(differ, name, "missing");
        else if (!json_equal(sum, now))
            add_difference(differ, name, "altered");
    }
    json_object_foreach(present, name, sum)
    {
        if (!json_object_get(recorded, name))
            add_difference(differ, name, "added");
    }
}

int manifest_compare(const char *recorded, const char *present, size_t *ret_files,
                     json_t **ret_differ, struct error *err)
{
    json_t *old = parse_manifest(recorded);
    json_t *now = parse_manifest(present);
    json_t *differ = json_array();
    if (old && now && differ) {
        *ret_files = json_object_size(old);
        compare_sums(old, now, differ);
    }
    bool failed = !old || !now || !differ;
    json_decref(old);
    json_decref(now);
    if (failed) {
        json_decref(differ);
        return error_errno(err, ENOMEM, "comparing with '%s'", MANIFEST_FILE);
    }
    *ret_differ = differ;
    return 0;
}

int manifest_verify(const char *directory, bool *ret_found, size_t *ret_files, json_t **ret_differ,
                    struct error *err)
{
    AUTO_BUFFER recorded = {0};
    AUTO_BUFFER present = {0};
    AUTO_CLOSE int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "opening '%s'", directory);
    bool found = false;
    int r = read_recorded(dir_fd, &recorded, &found, err);
    if (r == 0 && found)
        r = make_manifest(directory, dir_fd, NULL, &present, err);
    if (r < 0)
        return r;
    *ret_found = found;
    return manifest_compare(buffer_text(&recorded), buffer_text(&present), ret_files, ret_differ,
                            err);
}
