/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for the person at the terminal, on stderr. Only src/cli, src/lab and the servers log;
 * the libraries below return errors instead. */
#pragma once

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The most detailed level that is printed; LOG_LEVEL_INFO at the start. Set once, before threads.
 */
void log_set_level(enum log_level level);

/* Print "oomlab: warning: text" (no word for info). One write(2) a line, so lines never mix. */
void log_print(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_print(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_print(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_LEVEL_DEBUG, __VA_ARGS__)
