/* SPDX-License-Identifier: Apache-2.0 */
/* Names, and the limits of what is unpacked. What layers do to a tree is in tests/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/tree.h"
#include "image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_clean(const char *path, const char *expected)
{
    char clean[PATH_MAX];
    assert_int_equal(image_layer_clean_path(path, clean, sizeof(clean)), 0);
    assert_string_equal(clean, expected);
}

static void test_clean_path(void **state)
{
    char clean[16];
    char name[NAME_MAX + 2];
    char wide[PATH_MAX];
    (void)state;
    assert_clean("a/b", "a/b");
    assert_clean("./a//b/./c/", "a/b/c");
    assert_clean("/etc/passwd", "etc/passwd");
    assert_clean("///", "");
    assert_clean("", "");
    assert_clean(".", "");
    assert_clean("..a/b../...", "..a/b../...");
    assert_int_equal(image_layer_clean_path("..", clean, sizeof(clean)), -EINVAL);
    assert_int_equal(image_layer_clean_path("a/..", clean, sizeof(clean)), -EINVAL);
    assert_int_equal(image_layer_clean_path("a/../b", clean, sizeof(clean)), -EINVAL);
    assert_int_equal(image_layer_clean_path("0123456789/abcdef", clean, sizeof(clean)),
                     -ENAMETOOLONG);
    memset(name, 'n', sizeof(name));
    name[NAME_MAX + 1] = '\0';
    assert_int_equal(image_layer_clean_path(name, wide, sizeof(wide)), -ENAMETOOLONG);
    name[NAME_MAX] = '\0';
    assert_int_equal(image_layer_clean_path(name, wide, sizeof(wide)), 0);
}

/* --- limits --------------------------------------------------------------------------------- */

struct place {
    char path[64];
    int fd, root_fd;
    struct image_layout *layout;
    struct image_descriptor blob;
};

static void put_entry(struct archive *archive, const char *name, size_t bytes)
{
    char content[256] = {0};
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_uid(entry, getuid());
    archive_entry_set_gid(entry, getgid());
    archive_entry_set_size(entry, (la_int64_t)bytes);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(archive, content, bytes), (la_ssize_t)bytes);
    archive_entry_free(entry);
}

/* Three files of 100 bytes, one of them four directories down. */
static void make_blob(struct place *place)
{
    char bytes[16384];
    char name[128];
    size_t length = 0;
    struct error err = {0};
    struct archive *archive = archive_write_new();
    archive_write_set_format_pax_restricted(archive);
    assert_int_equal(archive_write_open_memory(archive, bytes, sizeof(bytes), &length), ARCHIVE_OK);
    put_entry(archive, "one", 100);
    put_entry(archive, "a/b/c/d/two", 100);
    put_entry(archive, "three", 100);
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    snprintf(place->blob.digest, sizeof(place->blob.digest), "sha256:");
    sha256_hex(bytes, length, place->blob.digest + 7);
    place->blob.size = length;
    assert_int_equal(mkdirat(place->fd, "blobs", 0700), 0);
    assert_int_equal(mkdirat(place->fd, "blobs/sha256", 0700), 0);
    snprintf(name, sizeof(name), "blobs/sha256/%s", place->blob.digest + 7);
    assert_int_equal(file_replace(place->fd, name, bytes, length, &err), 0);
}

static int setup(void **state)
{
    static struct place place;
    struct error err = {0};
    strcpy(place.path, "/tmp/oomlab-unit-XXXXXX");
    if (!mkdtemp(place.path))
        return -1;
    place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_blob(&place);
    struct image_reference reference = {.path = place.path};
    if (image_layout_open(&reference, &place.layout, &err) < 0 ||
        mkdirat(place.fd, "root", 0755) < 0)
        return -1;
    place.root_fd = openat(place.fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    image_layout_free(place->layout);
    close(place->root_fd);
    close(place->fd);
    return tree_remove(AT_FDCWD, place->path);
}

static int unpack(const struct place *place, uint64_t bytes, uint64_t entries, bool cancelled,
                  struct error *err)
{
    struct image_blob *blob = NULL;
    const atomic_bool stop = cancelled;
    struct image_unpacking unpacking = {
        .root_fd = place->root_fd,
        .cancelled = &stop,
        .bytes_left = bytes,
        .entries_left = entries,
    };
    assert_int_equal(image_blob_open(place->layout, &place->blob, &blob, err), 0);
    int r = image_layer_unpack(blob, IMAGE_PLAIN, place->blob.digest, &unpacking, err);
    image_blob_free(blob);
    return r;
}

static void test_limits(void **state)
{
    const struct place *place = *state;
    struct error err = {0};
    struct stat status;
    /* Three files and the four directories that no entry is for. */
    assert_int_equal(unpack(place, 300, 7, false, &err), 0);
    assert_int_equal(fstatat(place->root_fd, "a/b/c/d/two", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(status.st_size, 100);
    assert_int_equal(unpack(place, 300, 3, false, &err), 0); /* they are there now */
    assert_true(unpack(place, 300, 2, false, &err) < 0);
    assert_non_null(strstr(err.text, "too many files"));
    assert_true(unpack(place, 299, 7, false, &err) < 0);
    assert_non_null(strstr(err.text, "too large"));
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(unpack(place, 300, 7, true, &err), -ECANCELED);
}

static void test_other_content(void **state)
{
    const struct place *place = *state;
    struct image_blob *blob = NULL;
    struct error err = {0};
    const atomic_bool stop = false;
    struct image_unpacking unpacking = {
        .root_fd = place->root_fd, .cancelled = &stop, .bytes_left = 1000, .entries_left = 10};
    char other[IMAGE_DIGEST_MAX];
    memcpy(other, place->blob.digest, sizeof(other));
    other[70] = other[70] == '0' ? '1' : '0';
    assert_int_equal(image_blob_open(place->layout, &place->blob, &blob, &err), 0);
    assert_true(image_layer_unpack(blob, IMAGE_PLAIN, other, &unpacking, &err) < 0);
    assert_non_null(strstr(err.text, "not the one that the image's configuration names"));
    image_blob_free(blob);
    assert_int_equal(image_blob_open(place->layout, &place->blob, &blob, &err), 0);
    assert_true(image_layer_unpack(blob, IMAGE_GZIP, other, &unpacking, &err) < 0);
    image_blob_free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_path),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_content, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
