/* SPDX-License-Identifier: Apache-2.0 */
/* What the report's tests share: a directory with a synthetic run. */
#pragma once

#include "base/buffer.h"
#include "base/file.h"
#include "make_run.h"
#include "report/document.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    struct store *store;
};

static inline int remove_entry(const char *path, const struct stat *status, int type,
                               struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->directory, "/tmp/oomlab-report-XXXXXX");
    *state = fixture;
    return mkdtemp(fixture->directory) ? 0 : -1;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

static inline struct store *fixture_run(struct fixture *fixture, enum run_kind kind)
{
    struct error err = {0};
    if (make_run(fixture->directory, kind, &fixture->store, &err) < 0)
        fail_msg("%s", err.text);
    return fixture->store;
}

/* Remove the run, so that another can be made in the same test. */
static inline void fixture_clear(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    mkdir(fixture->directory, 0700);
}

static inline void assert_contains(const char *text, const char *part)
{
    assert_non_null(text);
    if (text && !strstr(text, part))
        fail_msg("'%s' is not in: %.2000s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    const char *found = strstr(text, part);
    if (found)
        fail_msg("'%s' is in: ...%.200s", part, found);
}

/* A file of the run's directory; free() it. */
static inline char *fixture_read(struct fixture *fixture, const char *name)
{
    struct error err = {0};
    struct buffer text = {0};
    int dir = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = file_read_all(dir, name, 64 << 20, &text, &err);
    close(dir);
    if (r < 0)
        fail_msg("%s", err.text);
    return buffer_steal(&text);
}

/* With every no-break space as a blank, in place, so that what is looked for can be read. */
static inline char *fixture_as_prose(char *text)
{
    char *end = text;
    for (const char *at = text; *at; at++) {
        bool bound = strncmp(at, DOCUMENT_NO_BREAK_SPACE, 2) == 0;
        *end++ = bound ? ' ' : *at;
        at += bound;
    }
    *end = '\0';
    return text;
}
