/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/tree.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH 3000 /* more than a path can say, and than there are descriptors */

struct place {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    static struct place place;
    strcpy(place.path, "/tmp/oomlab-unit-XXXXXX");
    if (!mkdtemp(place.path))
        return -1;
    place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &place;
    return place.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    close(place->fd);
    return rmdir(place->path); /* fails when something is left */
}

static void make(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void assert_gone(const struct place *place, const char *name)
{
    struct stat status;
    assert_int_equal(tree_remove(place->fd, name), 0);
    assert_true(fstatat(place->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0);
}

static void test_kinds(void **state)
{
    const struct place *place = *state;
    assert_gone(place, "never-there");
    make(place->fd, "file");
    assert_gone(place, "file");
    assert_int_equal(mkdirat(place->fd, "outside", 0700), 0);
    make(place->fd, "outside/file");
    assert_int_equal(symlinkat("outside", place->fd, "link"), 0);
    assert_gone(place, "link");
    assert_int_equal(mkdirat(place->fd, "tree", 0700), 0);
    assert_int_equal(symlinkat("../outside", place->fd, "tree/link"), 0);
    assert_int_equal(mkfifoat(place->fd, "tree/pipe", 0600), 0);
    assert_int_equal(mkdirat(place->fd, "tree/empty", 0), 0);
    assert_int_equal(mkdirat(place->fd, "tree/moved-0", 0700), 0);
    make(place->fd, "tree/moved-0/file");
    assert_gone(place, "tree");
    assert_int_equal(faccessat(place->fd, "outside/file", F_OK, 0), 0);
    assert_gone(place, "outside");
}

#define ORDINARY 65534

/* As whoever is not root meets them: in a child, which must not be root to be denied anything. */
static void test_denied(void **state)
{
    const struct place *place = *state;
    int status = 0;
    pid_t child = 0;
    assert_int_equal(fchmod(place->fd, 0777), 0);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(ORDINARY) < 0 || setuid(ORDINARY) < 0))
            _exit(2);
        bool made =
            mkdirat(place->fd, "tree", 0700) == 0 && mkdirat(place->fd, "tree/a", 0700) == 0 &&
            mkdirat(place->fd, "tree/a/b", 0700) == 0 &&
            mkdirat(place->fd, "tree/a/b/c", 0700) == 0 &&
            fchmodat(place->fd, "tree/a/b/c", 0, 0) == 0 &&
            fchmodat(place->fd, "tree/a/b", 0, 0) == 0 &&
            fchmodat(place->fd, "tree/a", 0500, 0) == 0 && fchmodat(place->fd, "tree", 0, 0) == 0;
        _exit(made && tree_remove(place->fd, "tree") == 0 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_deep(void **state)
{
    const struct place *place = *state;
    struct rlimit few = {64, 64};
    struct rlimit before;
    assert_int_equal(mkdirat(place->fd, "deep", 0700), 0);
    int fd = openat(place->fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "directory", 0700), 0);
        make(fd, "file");
        int next = openat(fd, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    assert_gone(place, "deep");
    setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
