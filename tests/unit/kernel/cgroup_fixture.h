/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of fake files in a temporary directory, read through a directory descriptor. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char path[64];
    int fd;
};

static inline struct fixture fixture_make(void)
{
    struct fixture fixture = {.path = "/tmp/oomlab-fixture-XXXXXX"};
    assert_non_null(mkdtemp(fixture.path));
    fixture.fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_return_code(fixture.fd, errno);
    return fixture;
}

static inline void fixture_directory(const struct fixture *fixture, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", name);
    for (char *p = path; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdirat(fixture->fd, path, 0755);
        *p = '/';
    }
    if (mkdirat(fixture->fd, path, 0755) < 0)
        assert_int_equal(errno, EEXIST);
}

static inline void fixture_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", name);
    char *slash = strrchr(path, '/');
    if (slash) {
        *slash = '\0';
        fixture_directory(fixture, path);
    }
    int fd = openat(fixture->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline int fixture_remove_one(const char *path, const struct stat *status, int kind,
                                     struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void fixture_remove(struct fixture *fixture)
{
    close(fixture->fd);
    nftw(fixture->path, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
