/* SPDX-License-Identifier: Apache-2.0 */
/* CPython's frames within the recorder. The interpreter's memory is read as its headers lay it out,
 * by the thread whose frames they are and never through a call that allocates, takes a lock or runs
 * Python. Pointers are looked at before they are followed, and every walk has an end. */
#pragma once

#include "preload/recorder.h"

/* How a frame of C is known to run frames of Python. */
enum python_mark {
    PYTHON_MARK_CODE,   /* by where its code is */
    PYTHON_MARK_CFRAME, /* by a record of the interpreter's that lies in it */
};

/* Which frames of Python one frame of C runs. */
enum python_run {
    PYTHON_RUN_ONE,    /* one */
    PYTHON_RUN_ENTRY,  /* up to one that says so */
    PYTHON_RUN_CSTACK, /* up to one that stands for the frame of C itself */
};

enum python_lines { PYTHON_LINES_39, PYTHON_LINES_310, PYTHON_LINES_311 };

/* Offsets in the structs of one version, by its headers. */
struct python_layout {
    unsigned minor;
    uint8_t mark, run, lines;
    uint8_t instruction_bytes; /* that a step of the frame's position has, where that is a number */
    uint16_t thread_id, thread_frame, thread_cframe; /* of PyThreadState; frame 0: the cframe's */
    uint16_t cframe_frame, cframe_previous;
    uint16_t frame_code, frame_previous, frame_position, frame_owner, frame_is_entry;
    uint16_t code_first_line, code_file, code_name, code_lines, code_first_traceable, code_bytes;
    uint16_t text_ascii, text_other; /* the characters in a compact str */
    uint32_t arena_bytes;            /* of pymalloc */
};

/* The layout of a release, by the text of Py_GetVersion(). NULL: not known. `*ret_hex` is what
 * PY_VERSION_HEX would be for its first three numbers, 0 where the text is none. */
HIDDEN const struct python_layout *python_layout_find(const char *version, uint32_t *ret_hex);

/* The types that tell an object from what is none. */
struct python_types {
    const void *code, *text, *bytes;
};

/* One frame of Python as HEAP_FRAME(HEAP_MODULE_PYTHON, ...), its code interned. False: it is not
 * set up yet, or nothing that we understand. */
HIDDEN bool python_frame_read(const struct python_layout *layout, const struct python_types *types,
                              uintptr_t frame, uint64_t *ret);
/* What the frame was called by; 0: nothing. */
HIDDEN uintptr_t python_frame_previous(const struct python_layout *layout, uintptr_t frame);
/* Whether the frame stands for a frame of C and for no Python. */
HIDDEN bool python_frame_is_mark(const struct python_layout *layout, uintptr_t frame);
/* Whether the frame of C that runs this frame runs no more. */
HIDDEN bool python_frame_ends_run(const struct python_layout *layout, uintptr_t frame);
static inline uintptr_t python_word_at(uintptr_t address)
{
    return *(const uintptr_t *)address;
}

/* One more word into a hash. */
static inline uint64_t python_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

/* May be followed. */
static inline bool python_is_pointer(uintptr_t address)
{
    return address >= 65536 && address >> 47 == 0 && address % 8 == 0;
}

/* A str, as its characters lie in memory. */
struct python_text {
    const unsigned char *data;
    size_t length;  /* in characters */
    unsigned width; /* bytes of one */
    bool ascii;
};

/* The code's index in the map; 0: there is no room (counted). */
HIDDEN uint32_t python_code_intern(const struct python_text *file, const struct python_text *name,
                                   int first_line);

/* A table that tells the line of each instruction (python_line.c). */
struct python_table {
    const unsigned char *data;
    size_t bytes;
    int first_line;
};
/* The line of the instruction at `offset` bytes of the code; before the first, the code's own. 0:
 * the instruction belongs to none. */
HIDDEN int python_line_find(enum python_lines format, const struct python_table *table,
                            int64_t offset);
