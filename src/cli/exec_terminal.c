/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "cli/exec_relay.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

static void fill_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGWINCH);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGQUIT);
}

int exec_terminal_open(struct exec_terminal *terminal, struct error *err)
{
    sigset_t signals;
    fill_signals(&signals);
    if (tcgetattr(STDIN_FILENO, &terminal->before) < 0)
        return error_errno(err, errno, "reading the terminal's mode");
    sigprocmask(SIG_BLOCK, &signals, NULL);
    terminal->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (terminal->signal_fd < 0)
        return error_errno(err, errno, "watching for signals");
    struct termios raw = terminal->before;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return error_errno(err, errno, "setting the terminal's mode");
    terminal->raw = true;
    return 0;
}

void exec_terminal_close(struct exec_terminal *terminal)
{
    if (terminal->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal->before);
    terminal->raw = false;
    close_fd(&terminal->signal_fd);
}

int exec_terminal_signal(const struct exec_terminal *terminal)
{
    struct signalfd_siginfo info;
    ssize_t n = read(terminal->signal_fd, &info, sizeof(info));
    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void exec_terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size = {0};
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    *ret_rows = size.ws_row;
    *ret_columns = size.ws_col;
}
