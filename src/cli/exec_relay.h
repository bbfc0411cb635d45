/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of an exec: bytes between the connection and our own standard descriptors. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

/* --- exec_own.c: our standard descriptors --------------------------------------------------- */

/* One that is read or written only as far as that does not block. */
struct own {
    int fd;
    bool is_ours;   /* opened anew, so that O_NONBLOCK does not reach those who share it */
    bool is_socket; /* exec_stream.h's way not to block */
    size_t most;    /* bytes at a time */
};
void own_open(int fd, bool writable, struct own *ret);
void own_close(struct own *own);

/* --- exec_terminal.c: our terminal ---------------------------------------------------------- */

struct exec_terminal {
    bool raw;
    struct termios before;
    int signal_fd; /* SIGWINCH, and the signals that end us; -1: none */
};
/* Raw mode, and signals by a descriptor, so that whatever ends us restores it. */
int exec_terminal_open(struct exec_terminal *terminal, struct error *err);
/* As it was. A terminal that was never opened (signal_fd -1) is fine. */
void exec_terminal_close(struct exec_terminal *terminal);
/* The next signal, 0 when there is none. */
int exec_terminal_signal(const struct exec_terminal *terminal);
void exec_terminal_size(unsigned *ret_rows, unsigned *ret_columns);

/* --- exec_relay.c --------------------------------------------------------------------------- */

/* Until the command has ended and its output is written. Returns its exit status, or 128 + the
 * signal that `terminal` told; -errno when it could not be started, or the connection or the
 * replica ended: `ret_status` is then what our own exit status should be, 0: as for any error. */
int exec_relay(int socket, const struct exec_terminal *terminal, int *ret_status,
               struct error *err);
