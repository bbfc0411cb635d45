/* SPDX-License-Identifier: Apache-2.0 */
/* A lifetime's heap profile, ready to be shown: which stacks, how much, how it grew, with names. */
#pragma once

#include "heap/profile.h"
#include "heap/symbols.h"
#include "store/store.h"

#include <limits.h>

/* When within a lifetime. */
enum heap_moment_choice {
    HEAP_AT_MOST, /* of the two the one at which more was held; a container killed for memory: end
                   */
    HEAP_AT_END,
    HEAP_AT_KILL, /* the last of a child process for memory that the main process outlived */
};
/* "end", "kill"; false: neither. */
bool heap_moment_parse(const char *text, enum heap_moment_choice *ret);

/* Which profile. */
struct heap_choice {
    const char *arm;   /* "trigger" or "leak/trigger"; NULL: the first arm that has a profile */
    unsigned lifetime; /* 1.. within the arm; 0: the last that was killed for memory, or the last */
    enum heap_moment_choice at;
    unsigned since_cycle; /* 0: everything live; else only what was added since it began */
    bool by_size;         /* rank by bytes instead of by growth */
};

struct heap_row {
    uint32_t stack;
    double bytes, objects;        /* live at that moment; with since_cycle, more of it than then */
    double low_bytes, high_bytes; /* an interval of 95 %; NAN unknown: of a difference */
    double share;                 /* of the container's memory then; NAN unknown */
    double bytes_per_request; /* NAN: fewer than two moments with different numbers of requests */
    double bytes_per_cycle;
    enum heap_kind kind; /* of all that it holds; HEAP_KIND_MALLOC where that is of several */
};

struct heap_view {
    struct heap_profile *profile;
    struct heap_names *names; /* those that were kept with the run */
    bool names_damaged;       /* some of them could not be read */
    struct heap_symbols *symbols;
    char arm[160]; /* "leak/trigger" */
    unsigned lifetime;
    char unprofiled[4096]; /* what of the arm could not be profiled, and why: a clause, or several
                              with "; and " between them; "": nothing */
    bool python_malloc;    /* the arm's environment has PYTHONMALLOC=malloc already */
    unsigned missing_lifetime; /* one that was to be chosen before this, but has no file; 0: none */
    int64_t lifetime_id;
    unsigned since_cycle; /* the rows are what was added since it began; 0: what was held */
    bool main_killed;     /* the lifetime ended with a kill for memory */
    bool at_kill;         /* of a child process; else at the end of the lifetime */
    bool other_moment;    /* there is a profile of the other one, too */
    int64_t at_ns;        /* that moment, monotonic; 0: unknown */
    double memory_bytes;  /* anonymous and shared, of the container then; NAN unknown */
    double requests_per_cycle;
    double total_bytes, total_objects; /* of the rows */
    double arena_bytes;                /* of those, in arenas of Python's allocator */
    struct heap_row *rows;             /* ranked */
    size_t row_count;
};

/* As near to all of the memory as the two measures agree: the profile counts what was asked for,
 * the kernel whole pages with the allocator's own headers and what it keeps for reuse. Farther off,
 * it is said what the share is a share of. */
#define HEAP_COVERAGE_CLOSE 0.1

/* Load the chosen lifetime's profile from a run's directory. Usage errors say what there is. */
int heap_view_new(struct store *store, const char *directory, const struct heap_choice *choice,
                  struct heap_view **ret, struct error *err);
/* "at the end", or "when a child process was killed for memory". */
const char *heap_view_when(const struct heap_view *view);
/* How much of the container's memory the profile saw, 0..; NAN: unknown, or not what it says. */
double heap_view_coverage(const struct heap_view *view);
/* The profile saw more than the container had, by more than the two measures and the samples
 * explain: memory was asked for and not touched. */
bool heap_view_is_beyond(const struct heap_view *view);
/* Whether more than one process took samples: what one held that has just ended may still count. */
bool heap_view_has_processes(const struct heap_view *view);
void heap_view_free(struct heap_view *view);

/* Of a row's bytes, from its interval, whose half width is 1.96 standard deviations, near enough;
 * NAN unknown. */
double heap_row_variance(const struct heap_row *row);

/* The named frames of a row, innermost first. Calls `visit` for each; a lost stack gives one frame
 * without anything. */
typedef void (*heap_frame_visitor)(void *context, const struct heap_frame *frame);
void heap_view_frames(const struct heap_view *view, uint32_t stack, heap_frame_visitor visit,
                      void *context);
/* "malloc", "mmap", "arena". */
const char *heap_kind_name(enum heap_kind kind);
/* "3.11.2" of a version as the map has it. */
#define HEAP_PYTHON_TEXT_MAX 16
const char *heap_python_version(uint32_t hex, char text[static HEAP_PYTHON_TEXT_MAX]);
/* What a frame is called where there is room for one text: its function, "module+0x12", "0x7f..",
 * "[pymalloc arena]" or "[stack lost]". Cut to the room. Names come from the programs' files, which
 * anybody may have made: what a terminal would obey is escaped (utf8_escape()). */
void heap_frame_name(const struct heap_frame *frame, char *text, size_t size);
/* Its source file, or that one's base name, escaped alike; false: unknown, "". */
bool heap_frame_file(const struct heap_frame *frame, bool base, char *text, size_t size);
/* The name with a Python frame's place: "keep (app.py:42)". */
void heap_frame_label(const struct heap_frame *frame, char *text, size_t size);
