/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

struct directory {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    static struct directory directory;
    strcpy(directory.path, "/tmp/oomlab-unit-XXXXXX");
    if (!mkdtemp(directory.path))
        return -1;
    directory.fd = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &directory;
    return directory.fd < 0 ? -1 : 0;
}

/* The names in the directory, without "." and ".."; `name` gets the last one. */
static unsigned count_files(const struct directory *directory, char name[static 256])
{
    DIR *stream = opendir(directory->path);
    assert_non_null(stream);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        strcpy(name, entry->d_name);
    }
    closedir(stream);
    return count;
}

static int teardown(void **state)
{
    struct directory *directory = *state;
    char name[256];
    while (count_files(directory, name) > 0)
        if (unlinkat(directory->fd, name, 0) < 0 && unlinkat(directory->fd, name, AT_REMOVEDIR) < 0)
            return -1;
    close(directory->fd);
    return rmdir(directory->path);
}

static void test_replace_and_read(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    assert_int_equal(file_replace(directory->fd, "a", "one", 3, &err), 0);
    assert_int_equal(file_replace(directory->fd, "a", "longer text", 11, &err), 0);
    char text[32];
    assert_int_equal(file_read_text(directory->fd, "a", text, sizeof(text)), 11);
    assert_string_equal(text, "longer text");
    assert_int_equal(file_read_text(directory->fd, "a", text, 5), 4);
    assert_string_equal(text, "long");
    assert_int_equal(file_read_text(directory->fd, "a", text, 1), 0);
    assert_string_equal(text, "");
    assert_int_equal(file_read_text(directory->fd, "none", text, sizeof(text)), -ENOENT);
    char name[256];
    assert_int_equal(count_files(directory, name), 1);

    struct stat status;
    assert_int_equal(fstatat(directory->fd, "a", &status, 0), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(status.st_mode & 0777, 0644 & ~mask);
}

static void test_failed_replace_changes_nothing(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    /* A directory cannot be replaced by a file: the rename is the step that fails. */
    assert_int_equal(mkdirat(directory->fd, "taken", 0755), 0);
    assert_int_equal(file_replace(directory->fd, "taken", "x", 1, &err), -EISDIR);
    assert_non_null(strstr(err.text, "'taken'"));
    char name[256];
    assert_int_equal(count_files(directory, name), 1);
    assert_string_equal(name, "taken");

    assert_int_equal(file_replace(directory->fd, "no/such/place", "x", 1, &err), -ENOENT);
    char long_name[600];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(file_replace(directory->fd, long_name, "x", 1, &err), -ENAMETOOLONG);
    assert_int_equal(count_files(directory, name), 1);
}

#define REPLACED_BYTES 100000

struct reader {
    int fd;
    atomic_bool stop;
    unsigned torn, reads;
};

static void *read_again_and_again(void *argument)
{
    struct reader *reader = argument;
    static char text[2 * REPLACED_BYTES];
    while (!atomic_load(&reader->stop)) {
        ssize_t n = file_read_text(reader->fd, "shared", text, sizeof(text));
        bool whole = n == REPLACED_BYTES && text[0] == text[n / 2] && text[0] == text[n - 1];
        reader->torn += !whole;
        reader->reads++;
    }
    return NULL;
}

static void test_replace_is_atomic(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    static char text[REPLACED_BYTES];
    memset(text, 'a', sizeof(text));
    assert_int_equal(file_replace(directory->fd, "shared", text, sizeof(text), &err), 0);
    struct reader reader = {.fd = directory->fd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_again_and_again, &reader), 0);
    for (int i = 1; i <= 50; i++) {
        memset(text, 'a' + i % 26, sizeof(text));
        assert_int_equal(file_replace(directory->fd, "shared", text, sizeof(text), &err), 0);
    }
    atomic_store(&reader.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(reader.torn, 0);
    assert_true(reader.reads > 0);
}

static void test_read_all(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    AUTO_BUFFER content = {0};
    for (int i = 0; i < 200000; i++)
        buffer_append(&content, &(char){(char)i}, 1);
    assert_int_equal(file_replace(directory->fd, "big", content.data, content.length, &err), 0);

    AUTO_BUFFER buffer = {0};
    buffer_puts(&buffer, "kept:");
    assert_int_equal(file_read_all(directory->fd, "big", 200000, &buffer, &err), 0);
    assert_int_equal(buffer.length, 200005);
    assert_memory_equal(buffer.data, "kept:", 5);
    assert_memory_equal(buffer.data + 5, content.data, content.length);

    buffer_done(&buffer);
    assert_int_equal(file_read_all(directory->fd, "big", 199999, &buffer, &err), -EFBIG);
    assert_non_null(strstr(err.text, "199999"));
    assert_int_equal(file_read_all(directory->fd, "none", 1, &buffer, &err), -ENOENT);
    assert_non_null(strstr(err.text, "'none'"));
    assert_int_equal(file_read_all(AT_FDCWD, directory->path, 1, &buffer, &err), -EISDIR);
}

static void test_pread_starts_over(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    char text[8];
    file_replace(directory->fd, "p", "12345", 5, &err);
    AUTO_CLOSE int fd = openat(directory->fd, "p", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_pread_text(fd, text, sizeof(text)), 5);
        assert_string_equal(text, "12345");
    }
    assert_int_equal(file_pread_text(fd, text, 3), 2);
    assert_string_equal(text, "12");
    assert_int_equal(file_pread_text(-1, text, sizeof(text)), -EBADF);
}

static void test_write_needs_an_existing_file(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    char text[32];
    assert_int_equal(file_write_text(directory->fd, "w", "max"), -ENOENT);
    file_replace(directory->fd, "w", "0123456789", 10, &err);
    assert_int_equal(file_write_text(directory->fd, "w", "max"), 0);
    /* As into a kernel file: written at the start, nothing is cut off. */
    file_read_text(directory->fd, "w", text, sizeof(text));
    assert_string_equal(text, "max3456789");
    assert_int_equal(file_write_text(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
}

static void test_sha256(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        const char *digest;
    } vectors[] = {
        /* FIPS 180-4 examples (NIST, "SHA256.pdf"), and the empty message (NIST CAVP). */
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char text[SHA256_TEXT_MAX];
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        sha256_hex(vectors[i].data, strlen(vectors[i].data), text);
        assert_string_equal(text, vectors[i].digest);
    }
}

static void path_of(const struct directory *directory, const char *name, char path[static 128])
{
    snprintf(path, 128, "%s/%s", directory->path, name);
}

/* What the user names stays what it is: no rename puts a regular file in its place. */
static void test_output_keeps_what_is_there(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    struct stat status;
    char path[128], text[16], name[256];
    path_of(directory, "plain", path);
    assert_int_equal(file_write_output(path, "longer", 6, &err), 0);
    assert_int_equal(file_write_output(path, "new", 3, &err), 0);
    path_of(directory, "link", path);
    assert_int_equal(symlinkat("plain", directory->fd, "link"), 0);
    assert_int_equal(file_write_output(path, "linked", 6, &err), 0);
    assert_int_equal(fstatat(directory->fd, "link", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(file_read_text(directory->fd, "plain", text, sizeof(text)), 6);
    assert_string_equal(text, "linked");
    assert_int_equal(unlinkat(directory->fd, "link", 0), 0);
    assert_int_equal(mkfifoat(directory->fd, "fifo", 0600), 0);
    path_of(directory, "fifo", path);
    AUTO_CLOSE int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(file_write_output(path, "through", 7, &err), 0);
    assert_int_equal(read(reader, text, sizeof(text)), 7);
    assert_int_equal(fstatat(directory->fd, "fifo", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISFIFO(status.st_mode));
    assert_int_equal(count_files(directory, name), 2); /* nothing temporary */
    path_of(directory, "none/file", path);
    assert_int_equal(file_write_output(path, "x", 1, &err), -ENOENT);
}

/* Through a link, so that not even a wrong program, run by root, replaces the machine's own. */
static void test_output_to_a_full_device(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    struct stat status;
    char path[128];
    path_of(directory, "full", path);
    assert_int_equal(symlinkat("/dev/full", directory->fd, "full"), 0);
    assert_int_equal(file_write_output(path, "x", 1, &err), -ENOSPC);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void test_sha256_of_a_file(void **state)
{
    const struct directory *directory = *state;
    struct error err = {0};
    /* A million times "a" (FIPS 180-4): more than one chunk. */
    AUTO_FREE char *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    assert_int_equal(file_replace(directory->fd, "m", million, 1000000, &err), 0);
    char text[SHA256_TEXT_MAX];
    assert_int_equal(sha256_hex_file(directory->fd, "m", text, &err), 0);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_int_equal(sha256_hex_file(directory->fd, "none", text, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replace_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_replace_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace_is_atomic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pread_starts_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_needs_an_existing_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_keeps_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_to_a_full_device, setup, teardown),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test_setup_teardown(test_sha256_of_a_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
