/* SPDX-License-Identifier: Apache-2.0 */
/* glibc replaces $LIB in an entry of LD_PRELOAD by its library directory, relative to the root:
 * "lib64", "lib/x86_64-linux-gnu" (ld.so(8), "Dynamic string tokens"). musl opens the entry as it
 * stands, and goes on without a word when there is none; a library of glibc's that it did find
 * would end the program, because it lacks symbols. */
#include "heap/preload.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The way back to the root, from wherever symbolic links may have led: ".." of the root is the root
 * itself, so that more of them do no harm. */
#define UP_4   "/../../../.."
#define ANCHOR "/$LIB" UP_4 UP_4 UP_4 UP_4

/* Does the anchor lead to the root? Asked for a library that is loaded already, which a loader
 * recognises by its inode; nothing is loaded for it. */
static bool anchor_holds(void)
{
    char entry[PATH_MAX];
    Dl_info info;
    int (*known)(const char *) = puts;
    const void *address = NULL;
    memcpy(&address, &known, sizeof(address));
    if (dladdr(address, &info) == 0 || !info.dli_fname || info.dli_fname[0] != '/')
        return false;
    int length = snprintf(entry, sizeof(entry), ANCHOR "%s", info.dli_fname);
    if (length < 0 || (size_t)length >= sizeof(entry))
        return false;
    void *found = dlopen(entry, RTLD_LAZY | RTLD_NOLOAD);
    if (found)
        dlclose(found);
    return found != NULL;
}

void heap_preload_guard(char path[static PATH_MAX])
{
    size_t length = strlen(path), more = strlen(ANCHOR);
    if (path[0] != '/' || length + more >= PATH_MAX || strchr(path, '$') || !anchor_holds())
        return;
    memmove(path + more, path, length + 1);
    memcpy(path, ANCHOR, more);
}
