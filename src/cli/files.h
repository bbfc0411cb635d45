/* SPDX-License-Identifier: Apache-2.0 */
/* The regular files below a directory, in a fixed order. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_entry {
    char *path; /* relative to the directory; owned */
    uint64_t bytes;
    int64_t modified_s;
};
struct file_list {
    struct file_entry *items;
    size_t count;
};

/* Sorted by path. Links, sockets and other special files are left out. */
int file_list_read(const char *directory, struct file_list *ret, struct error *err);
/* True: there is a file of exactly this path. */
bool file_list_has(const struct file_list *list, const char *path);
void file_list_done(struct file_list *list);
