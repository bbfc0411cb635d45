/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/panel.h"
#include "base/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>

/* Stderr replaced by a terminal of 20 columns, or by a pipe. */
struct screen {
    int reader, writer, saved;
    char text[8192];
};

static void screen_open(struct screen *screen, bool terminal)
{
    int ends[2];
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    if (terminal)
        assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, &size), 0);
    else
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    screen->reader = ends[0];
    screen->writer = ends[1];
    fflush(stderr);
    screen->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    dup2(screen->writer, STDERR_FILENO);
}

/* What was printed since screen_open(). */
static const char *screen_close(struct screen *screen)
{
    fflush(stderr);
    dup2(screen->saved, STDERR_FILENO);
    close(screen->saved);
    size_t used = 0;
    struct pollfd ready = {.fd = screen->reader, .events = POLLIN};
    while (poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) {
        ssize_t n = read(screen->reader, screen->text + used, sizeof(screen->text) - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    screen->text[used] = '\0';
    close(screen->reader);
    close(screen->writer);
    return screen->text;
}

static int setup(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    return 0;
}

static void test_colour_only_on_a_terminal(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, true);
    int terminal = screen.writer;
    bool plain = terminal_has_colour(terminal);
    const char *red = terminal_colour(terminal, COLOUR_RED);
    setenv("NO_COLOR", "1", 1);
    bool refused = terminal_has_colour(terminal);
    const char *none = terminal_colour(terminal, COLOUR_RED);
    setenv("NO_COLOR", "", 1);
    bool empty = terminal_has_colour(terminal);
    setenv("TERM", "dumb", 1);
    bool dumb = terminal_has_colour(terminal);
    unsetenv("TERM");
    bool unknown = terminal_has_colour(terminal);
    screen_close(&screen);
    assert_true(plain);
    assert_string_equal(red, "\033[31m");
    assert_false(refused);
    assert_string_equal(none, "");
    assert_true(empty);
    assert_false(dumb);
    assert_false(unknown);

    setenv("TERM", "xterm", 1);
    AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_false(terminal_has_colour(null));
    assert_string_equal(terminal_colour(null, COLOUR_NONE), "");
}

static void test_width(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, true);
    int width = terminal_width(screen.writer);
    const struct winsize unknown = {0};
    ioctl(screen.writer, TIOCSWINSZ, &unknown);
    int without = terminal_width(screen.writer);
    screen_close(&screen);
    assert_int_equal(width, 20);
    assert_int_equal(without, 80);
    AUTO_CLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(terminal_width(null), 80);
}

static void test_progress_is_cut_to_the_width(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, true);
    progress_update("%s %d", "arm", 1);
    progress_update("0123456789012345678901234567890");
    progress_update("ääääääääääääääääääääääää");
    panel_clear();
    assert_string_equal(screen_close(&screen), "\rarm 1\033[K\033[J\r"
                                               "\r0123456789012345678\033[K\033[J\r"
                                               "\räääääääääääääääääää\033[K\033[J\r"
                                               "\r\033[J");
}

static void test_no_progress_in_a_pipe(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, false);
    progress_update("arm %d", 1);
    panel_clear();
    log_info("plain %d", 7);
    assert_string_equal(screen_close(&screen), "oomlab: plain 7\n");
}

static void test_log_levels(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, false);
    log_debug("hidden");
    log_warning("two");
    log_set_level(LOG_LEVEL_ERROR);
    log_info("hidden");
    log_error("one");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("three");
    log_set_level(LOG_LEVEL_INFO);
    assert_string_equal(screen_close(&screen), "oomlab: warning: two\n"
                                               "oomlab: error: one\n"
                                               "oomlab: debug: three\n");
}

static void test_log_wipes_the_status_line(void **state)
{
    (void)state;
    struct screen screen;
    screen_open(&screen, true);
    log_info("w");
    progress_update("arm");
    log_info("x");
    log_info("y");
    assert_string_equal(screen_close(&screen), "oomlab: w\r\n"
                                               "\rarm\033[K\033[J\r"
                                               "\r\033[Joomlab: x\r\n"
                                               "oomlab: y\r\n");
}

static void test_a_long_log_line_is_cut(void **state)
{
    (void)state;
    char words[4000];
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    struct screen screen;
    screen_open(&screen, false);
    log_info("%s", words);
    const char *text = screen_close(&screen);
    assert_in_range(strlen(text), 2000, 2048);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(text[strlen(text) - 2], 'w');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_colour_only_on_a_terminal, setup),
        cmocka_unit_test_setup(test_width, setup),
        cmocka_unit_test_setup(test_progress_is_cut_to_the_width, setup),
        cmocka_unit_test_setup(test_no_progress_in_a_pipe, setup),
        cmocka_unit_test_setup(test_log_levels, setup),
        cmocka_unit_test_setup(test_log_wipes_the_status_line, setup),
        cmocka_unit_test_setup(test_a_long_log_line_is_cut, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
