/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/console.h"

#include "base/buffer.h"
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    uv_loop_t loop;
    struct console_log log;
    unsigned eofs;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->directory, "/tmp/oomlab-console-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[128];
    console_log_close(&f->log);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    snprintf(path, sizeof(path), "%s/log", f->directory);
    unlink(path);
    rmdir(f->directory);
    free(f);
    return 0;
}

static void on_eof(void *context)
{
    struct fixture *f = context;
    f->eofs++;
}

static struct console *open_console(struct fixture *f, uint64_t max_bytes, int *out, int *error_out)
{
    struct error err;
    struct console *console = NULL;
    assert_int_equal(console_log_open(f->directory, "log", max_bytes, &f->log, &err), 0);
    assert_int_equal(console_open(&f->loop, &f->log, on_eof, f, &console, out, error_out, &err), 0);
    return console;
}

static void read_to_end(struct fixture *f)
{
    while (f->eofs == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->eofs, 1);
}

static char *log_text(struct fixture *f)
{
    struct error err;
    struct buffer text = {0};
    char path[128];
    snprintf(path, sizeof(path), "%s/log", f->directory);
    assert_int_equal(file_read_all(AT_FDCWD, path, 1U << 30, &text, &err), 0);
    return buffer_steal(&text);
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void test_lines_carry_time_stream_and_tag(void **state)
{
    struct fixture *f = *state;
    int out = -1;
    int error_out = -1;
    struct console *console = open_console(f, 1 << 20, &out, &error_out);
    put(out, "first\nsecond\n");
    uv_run(&f->loop, UV_RUN_ONCE);
    put(error_out, "oh no\n\nunfinished");
    close(out);
    close(error_out);
    read_to_end(f);

    char *text = log_text(f);
    char *line = strtok(text, "\n");
    const char *const expected[] = {" stdout F first", " stdout F second", " stderr F oh no",
                                    " stderr F ", " stderr P unfinished"};
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(line);
        assert_true(strlen(line) > 27 && line[10] == 'T' && line[26] == 'Z');
        assert_string_equal(line + 27, expected[i]);
        line = strtok(NULL, "\n");
    }
    assert_null(line);
    free(text);
    assert_string_equal(console_tail(console), "first\nsecond\noh no\n\nunfinished");
    console_close(console);
}

static void test_nothing_is_lost_of_a_large_output(void **state)
{
    struct fixture *f = *state;
    enum { LINES = 200000 };
    int out = -1;
    int error_out = -1;
    struct console *console = open_console(f, 1 << 30, &out, &error_out);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        FILE *stream = fdopen(out, "w");
        for (int i = 0; i < LINES; i++)
            fprintf(stream, "line %d\n", i);
        fclose(stream);
        _exit(0);
    }
    close(out);
    close(error_out);
    read_to_end(f);
    assert_int_equal(waitpid(writer, NULL, 0), writer);

    /* Partial lines are cut where a read ended: put them together before counting. */
    char *text = log_text(f);
    int next = 0;
    char pending[64] = "";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        bool full = strncmp(line + 27, " stdout F ", 10) == 0;
        assert_true(full || strncmp(line + 27, " stdout P ", 10) == 0);
        strncat(pending, line + 37, sizeof(pending) - strlen(pending) - 1);
        if (!full)
            continue;
        char expected[64];
        snprintf(expected, sizeof(expected), "line %d", next++);
        assert_string_equal(pending, expected);
        pending[0] = '\0';
    }
    assert_int_equal(next, LINES);
    assert_int_equal(f->log.lost_bytes, 0);
    free(text);
    assert_true(strstr(console_tail(console), "line 199999\n") != NULL);
    assert_true(strncmp(console_tail(console), "line ", 5) == 0);
    console_close(console);
}

static void test_bytes_beyond_the_bound_are_counted(void **state)
{
    struct fixture *f = *state;
    int out = -1;
    int error_out = -1;
    struct console *console = open_console(f, 60, &out, &error_out);
    put(out, "kept\n");
    uv_run(&f->loop, UV_RUN_ONCE);
    put(out, "this does not fit any more\n");
    close(out);
    close(error_out);
    read_to_end(f);
    char *text = log_text(f);
    assert_non_null(strstr(text, "kept"));
    assert_null(strstr(text, "fit"));
    assert_true(f->log.lost_bytes > 0);
    assert_non_null(strstr(console_tail(console), "does not fit"));
    free(text);
    console_close(console);
}

static void test_full_disk_is_remembered(void **state)
{
    struct fixture *f = *state;
    int out = -1;
    int error_out = -1;
    struct console *console = open_console(f, 1 << 20, &out, &error_out);
    close(f->log.fd);
    f->log.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    put(out, "lost\n");
    close(out);
    close(error_out);
    read_to_end(f);
    assert_int_equal(f->log.write_error, 28 /* ENOSPC */);
    assert_true(f->log.lost_bytes > 0);
    assert_string_equal(console_tail(console), "lost\n");
    console_close(console);
}

static void test_closing_early_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    int out = -1;
    int error_out = -1;
    struct console *console = open_console(f, 1 << 20, &out, &error_out);
    console_close(console);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->eofs, 0);
    close(out);
    close(error_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_carry_time_stream_and_tag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_lost_of_a_large_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes_beyond_the_bound_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closing_early_leaks_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
