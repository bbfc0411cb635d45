/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/files.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void file_list_done(struct file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct file_list){0};
}

static int add(struct file_list *list, const char *path, const struct stat *status)
{
    struct file_entry *grown = reallocarray(list->items, list->count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    list->items = grown;
    grown[list->count] = (struct file_entry){
        .path = strdup(path),
        .bytes = (uint64_t)status->st_size,
        .modified_s = status->st_mtim.tv_sec,
    };
    return grown[list->count++].path ? 0 : -ENOMEM;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct file_entry *)a)->path, ((const struct file_entry *)b)->path);
}

static int walk(FTS *tree, const char *directory, struct file_list *list, struct error *err)
{
    size_t prefix = strlen(directory) + 1;
    errno = 0;
    for (FTSENT *entry; (entry = fts_read(tree)); errno = 0) {
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            return error_errno(err, entry->fts_errno, "reading '%s'", entry->fts_path);
        if (entry->fts_info != FTS_F || entry->fts_pathlen < prefix ||
            !S_ISREG(entry->fts_statp->st_mode))
            continue;
        if (add(list, entry->fts_path + prefix, entry->fts_statp) < 0)
            return error_errno(err, ENOMEM, "reading '%s'", directory);
    }
    return errno ? error_errno(err, errno, "reading '%s'", directory) : 0;
}

int file_list_read(const char *directory, struct file_list *ret, struct error *err)
{
    struct file_list list = {0};
    AUTO_FREE char *root = strdup(directory);
    char *const roots[] = {root, NULL};
    FTS *tree = root ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL) : NULL;
    if (!tree)
        return error_errno(err, errno, "reading '%s'", directory);
    int r = walk(tree, directory, &list, err);
    fts_close(tree);
    if (r < 0) {
        file_list_done(&list);
        return r;
    }
    if (list.count > 0)
        qsort(list.items, list.count, sizeof(*list.items), compare_entries);
    *ret = list;
    return 0;
}

bool file_list_has(const struct file_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].path, path) == 0)
            return true;
    }
    return false;
}
