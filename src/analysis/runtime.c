/* SPDX-License-Identifier: Apache-2.0 */
/* The out-of-memory messages of language runtimes. A message alone is not enough (programs catch
 * and log such errors and go on): the way the process ended must be the way this runtime ends on
 * it.
 *
 * abort() in PID 1 of a pid namespace: the kernel ignores the SIGABRT that an init sends itself,
 * glibc then runs an invalid instruction, and the wait status shows SIGSEGV (139). Rows with
 * SIGABRT allow that. */
#include "analysis/attribution.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

#define LINE_LENGTH(line) ((size_t)((line).end - (line).start))

struct line {
    const char *start, *end; /* without the line break and trailing blanks */
};

/* Take the next line off *cursor; false at the end. */
static bool next_line(const char **cursor, struct line *ret)
{
    if (!**cursor)
        return false;
    const char *end = strchr(*cursor, '\n');
    ret->start = *cursor;
    ret->end = end ? end : *cursor + strlen(*cursor);
    *cursor = end ? end + 1 : ret->end;
    while (ret->end > ret->start && isspace((unsigned char)ret->end[-1]))
        ret->end--;
    return true;
}

static bool starts_with(struct line line, const char *prefix)
{
    size_t length = strlen(prefix);
    return LINE_LENGTH(line) >= length && memcmp(line.start, prefix, length) == 0;
}

static bool ends_with(struct line line, const char *suffix)
{
    size_t length = strlen(suffix);
    return LINE_LENGTH(line) >= length && memcmp(line.end - length, suffix, length) == 0;
}

static bool contains(struct line line, const char *text)
{
    return memmem(line.start, LINE_LENGTH(line), text, strlen(text)) != NULL;
}

static bool equals(struct line line, const char *text)
{
    return LINE_LENGTH(line) == strlen(text) && starts_with(line, text);
}

/* -XX:+ExitOnOutOfMemoryError (3), +CrashOnOutOfMemoryError (SIGABRT). */
static bool java_stops(struct line line)
{
    return starts_with(line, "Terminating due to java.lang.OutOfMemoryError") ||
           starts_with(line, "Aborting due to java.lang.OutOfMemoryError");
}

/* An error that nothing caught. "unable to create native thread" is a lack of threads (pids.max),
 * not of memory, in spite of its name. */
static bool java_uncaught(struct line line)
{
    return contains(line, "java.lang.OutOfMemoryError") &&
           !contains(line, "unable to create native thread") &&
           !contains(line, "unable to create new native thread");
}

static bool java_native(struct line line)
{
    return contains(line,
                    "There is insufficient memory for the Java Runtime Environment to continue");
}

static bool node_heap(struct line line)
{
    if (contains(line, "Fatal process out of memory"))
        return true;
    return contains(line, "FATAL ERROR: ") &&
           (contains(line, "JavaScript heap out of memory") || contains(line, "Allocation failed"));
}

static bool node_uncaught(struct line line)
{
    return contains(line, "ERR_WORKER_OUT_OF_MEMORY") ||
           starts_with(line, "RangeError: Array buffer allocation failed");
}

static bool go_out_of_memory(struct line line)
{
    return starts_with(line, "fatal error: runtime: out of memory") ||
           starts_with(line, "fatal error: out of memory") ||
           starts_with(line, "fatal error: runtime: cannot allocate memory") ||
           starts_with(line, "runtime: cannot allocate memory");
}

static bool cxx_bad_alloc(struct line line)
{
    return starts_with(line, "terminate called after throwing an instance of 'std::bad_alloc'") ||
           (contains(line, "uncaught exception of type std::bad_alloc") &&
            contains(line, "terminating"));
}

static bool rust_allocation(struct line line)
{
    return starts_with(line, "memory allocation of ") && ends_with(line, " bytes failed");
}

static bool dotnet_out_of_memory(struct line line)
{
    return equals(line, "Out of memory.") ||
           starts_with(line, "Unhandled exception. System.OutOfMemoryException") ||
           starts_with(line, "Fatal error. System.OutOfMemoryException");
}

static bool php_exhausted(struct line line)
{
    return (contains(line, "Allowed memory size of ") && contains(line, " bytes exhausted")) ||
           contains(line, "Fatal error:  Out of memory (allocated ") ||
           contains(line, "Fatal error: Out of memory (allocated ");
}

static bool ruby_no_memory(struct line line)
{
    return contains(line, "failed to allocate memory (NoMemoryError)") ||
           equals(line, "[FATAL] failed to allocate memory");
}

static bool perl_out_of_memory(struct line line)
{
    return equals(line, "Out of memory!") || starts_with(line, "Out of memory in perl:");
}

static bool erlang_cannot_allocate(struct line line)
{
    return contains(line, "_alloc: Cannot allocate ") && contains(line, " bytes of memory");
}

/* The dynamic loader could not even map the program's libraries. */
static bool glibc_loader(struct line line)
{
    return contains(line, "error while loading shared libraries: ") &&
           (ends_with(line, "Cannot allocate memory") || ends_with(line, "cannot allocate memory"));
}

static bool any_line(const char *console, bool (*matches)(struct line))
{
    struct line line;
    while (next_line(&console, &line))
        if (matches(line))
            return true;
    return false;
}

/* "MemoryError" or "package._ArrayMemoryError: Unable to allocate ...". */
static bool python_memory_error(struct line line)
{
    const char *colon = memchr(line.start, ':', LINE_LENGTH(line));
    struct line name = {line.start, colon ? colon : line.end};
    return equals(name, "MemoryError") || ends_with(name, "._ArrayMemoryError");
}

/* The last traceback must end in it: an earlier one was caught, and a later one of a chain ("During
 * handling of the above exception ...") is what ended the program. A tail that was cut inside a
 * traceback begins with an indented line. */
static bool python_traceback(const char *console)
{
    bool found = false, inside = *console == ' ';
    struct line line;
    while (next_line(&console, &line)) {
        if (equals(line, "Traceback (most recent call last):")) {
            inside = true;
        } else if (inside && line.end > line.start && *line.start != ' ') {
            found = python_memory_error(line);
            inside = false;
        }
    }
    return found;
}

#define BIT(n)     (UINT32_C(1) << (n))
#define ABORT_ENDS (BIT(SIGABRT) | BIT(SIGSEGV))
#define TRAP_ENDS  (BIT(SIGILL) | BIT(SIGTRAP))
#define NO_EXITS                                                                                   \
    {                                                                                              \
        -1, -1                                                                                     \
    }

struct runtime_row {
    const char *name;
    bool (*matches)(struct line); /* NULL: Python's, which reads several lines */
    int exits[2];                 /* exit codes that fit; -1 none */
    uint32_t signals;             /* bits of the signals that fit */
};

static const struct runtime_row runtime_rows[] = {
    {"Java", java_stops, {3, -1}, ABORT_ENDS},
    {"Java", java_uncaught, {1, -1}, 0},
    {"Java", java_native, {1, -1}, ABORT_ENDS},
    {"Node.js", node_heap, NO_EXITS, ABORT_ENDS | TRAP_ENDS},
    {"Node.js", node_uncaught, {1, -1}, 0},
    {"Go", go_out_of_memory, {2, -1}, BIT(SIGABRT)},
    {"Python", NULL, {1, -1}, 0},
    {"C++", cxx_bad_alloc, NO_EXITS, ABORT_ENDS},
    {"Rust", rust_allocation, NO_EXITS, ABORT_ENDS | BIT(SIGILL)},
    {".NET", dotnet_out_of_memory, NO_EXITS, ABORT_ENDS},
    {"PHP", php_exhausted, {255, -1}, 0},
    {"Ruby", ruby_no_memory, {1, -1}, 0},
    {"Perl", perl_out_of_memory, {1, -1}, 0},
    {"Erlang", erlang_cannot_allocate, {1, -1}, ABORT_ENDS},
    {"glibc", glibc_loader, {127, -1}, 0},
};

static bool end_fits(const struct runtime_row *row, bool by_signal, int signal, int exit_code)
{
    if (!by_signal && (exit_code == row->exits[0] || exit_code == row->exits[1]))
        return exit_code >= 0;
    int number = by_signal ? signal : exit_code - 128; /* a shell in front says 128 + N */
    return number > 0 && number < 32 && (row->signals & BIT(number));
}

const char *runtime_out_of_memory(const char *console, bool by_signal, int signal, int exit_code)
{
    if (!console)
        return NULL;
    for (size_t i = 0; i < sizeof(runtime_rows) / sizeof(*runtime_rows); i++) {
        const struct runtime_row *row = &runtime_rows[i];
        if (!end_fits(row, by_signal, signal, exit_code))
            continue;
        if (row->matches ? any_line(console, row->matches) : python_traceback(console))
            return row->name;
    }
    return NULL;
}
