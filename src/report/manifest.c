/* SPDX-License-Identifier: Apache-2.0 */
#include "report/manifest.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* As sha256sum(1) writes it: a name with a backslash, newline or carriage return is escaped, and
 * the line says so with a leading backslash. */
static void add_line(struct buffer *out, const char *sum, const char *name)
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

static int list_files(FTS *walk, int dir_fd, size_t prefix, struct buffer *out, struct error *err)
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
        int r = sha256_hex_file(dir_fd, name, sum, err);
        if (r < 0)
            return r;
        add_line(out, sum, name);
    }
    return 0;
}

int manifest_write(const char *directory, struct error *err)
{
    AUTO_CLOSE int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "opening '%s'", directory);
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
    AUTO_BUFFER out = {0};
    int r = list_files(walk, dir_fd, length + 1, &out, err);
    fts_close(walk);
    if (r == 0 && out.failed)
        r = error_errno(err, ENOMEM, "writing '%s/%s'", directory, MANIFEST_FILE);
    return r < 0 ? r : file_replace(dir_fd, MANIFEST_FILE, buffer_text(&out), out.length, err);
}
