/* SPDX-License-Identifier: Apache-2.0 */
/* The contract between the recorder in the container (liboomlab-heap.so) and oomlab outside: one
 * file of fixed size, mapped shared by both. Nothing here allocates or calls anything.
 *
 * oomlab makes the file, fills in the header and writes every page once, so that the pages are
 * charged to oomlab's memory cgroup and never to the container's. The file is never truncated.
 * Every process of the container maps it; each has a slot of its own (struct heap_process), and the
 * sampled objects that live now are in one table for all of them, keyed by slot and address.
 *
 * Publish last: whoever may be killed between two stores leaves a record that its reader can tell
 * from a whole one. A sample is there while its key is neither 0 nor has HEAP_KEY_WRITING, and is
 * whole when key and sequence were the same before and after it was read; a stack, module or
 * process is there once its `state` says so. Everything else is torn and left out (and counted).
 * The writers take no locks: a claim is one compare-and-swap from 0, a removal is one from the key
 * to 0. */
#pragma once

#include <stdint.h>

#define HEAP_MAGIC   UINT64_C(0x3170616568626c6f) /* "olbheap1" */
#define HEAP_VERSION 6

/* Where the container finds it: its /dev/shm is a private tmpfs. */
#define HEAP_FILE_NAME ".oomlab-heap"
#define HEAP_FILE_PATH "/dev/shm/" HEAP_FILE_NAME
#define HEAP_VARIABLE  "OOMLAB_HEAP" /* the variable that names it */

#define HEAP_MAIN_PID      1    /* a container's main process, in its own pid namespace */
#define HEAP_PROCESSES     255U /* slots 1..255 */
#define HEAP_MODULES       1024U
#define HEAP_PATH_MAX      216U
#define HEAP_BUILD_ID_MAX  20U
#define HEAP_STACKS        32768U       /* distinct stacks; a power of two */
#define HEAP_FRAMES        (1U << 20)   /* frames of all stacks together */
#define HEAP_STACK_DEPTH   64U          /* frames of one stack; the rest is cut off outside */
#define HEAP_CODES         8192U        /* code objects of Python; a power of two */
#define HEAP_TEXT_BYTES    (768U << 10) /* of their names */
#define HEAP_CODE_FILE_MAX 255U
#define HEAP_CODE_NAME_MAX 127U
#define HEAP_BUCKETS       8192U /* of samples; a power of two */
#define HEAP_BUCKET_SLOTS  8U    /* samples in a bucket */
#define HEAP_BUCKET_REACH  4U    /* a sample is in its bucket or one of the next three */
#define HEAP_SAMPLES       (HEAP_BUCKETS * HEAP_BUCKET_SLOTS)

/* What sort of memory a sample is. */
enum heap_kind {
    HEAP_KIND_MALLOC = 0, /* from the allocator, whichever function asked */
    HEAP_KIND_MMAP = 1,   /* an anonymous writable mapping made by the program itself */
    HEAP_KIND_ARENA = 2,  /* one in which Python keeps small objects, whoever's they will be */
};

/* A frame: the module's index (from 1) in the upper 16 bits, and the address relative to the
 * module's first mapped byte below. Index 0: no module is known; the address itself. It lies within
 * the call (one before the return address), so that it is looked up as it is. */
#define HEAP_FRAME_MODULE(frame)  ((uint32_t)((frame) >> 48))
#define HEAP_FRAME_ADDRESS(frame) ((frame) & ((UINT64_C(1) << 48) - 1))
#define HEAP_FRAME(module, address)                                                                \
    ((uint64_t)(module) << 48 | ((uint64_t)(address) & ((UINT64_C(1) << 48) - 1)))

/* A frame of Python: its code's index and its line, 0 where it is on none. Index 0: a code that
 * found no room; HEAP_CODE_ARENA: none, what lies further out asked for an arena. */
#define HEAP_MODULE_PYTHON 0xffffU
#define HEAP_CODE_ARENA    0xffffffU
#define HEAP_FRAME_PYTHON(code, line)                                                              \
    HEAP_FRAME(HEAP_MODULE_PYTHON, (uint64_t)(code) << 24 | ((uint64_t)(line)&0xffffff))
#define HEAP_FRAME_CODE(frame) ((uint32_t)((frame) >> 24) & 0xffffff)
#define HEAP_FRAME_LINE(frame) ((uint32_t)(frame)&0xffffff)

/* A sample's key: address below, the process's slot above. User addresses have 47 bits. */
#define HEAP_KEY(slot, address) ((uint64_t)(slot) << 48 | (uint64_t)(address))
#define HEAP_KEY_SLOT(key)      ((uint32_t)((key) >> 48 & 0xff))
#define HEAP_KEY_ADDRESS(key)   ((key) & ((UINT64_C(1) << 48) - 1))
#define HEAP_KEY_WRITING        (UINT64_C(1) << 63) /* claimed, not yet complete */
/* Of an object that is just being resized: it may lie elsewhere or be gone, and whoever resizes it
 * ends that. Its sample is whole and counts; nobody else finds it by its address. */
#define HEAP_KEY_MOVING (UINT64_C(1) << 62)

/* What stands under a key: the keys are in an array of their own, a bucket to a cache line. */
struct heap_sample {
    uint64_t size_bytes; /* as the program asked for */
    uint64_t rate_bytes; /* the sampling mean it was taken with: its weight is
                            size / (1 - e^(-size/rate)) */
    uint32_t stack;      /* index into the stacks, 0: lost */
    uint16_t site;       /* the recorder's own */
    uint8_t sequence;    /* goes up with every reuse of the place */
    uint8_t kind;        /* enum heap_kind */
};

enum heap_state { HEAP_STATE_EMPTY = 0, HEAP_STATE_COMPLETE = 1 };

struct heap_stack {
    uint64_t hash;        /* of frames and depth; 0: empty. Claimed by compare-and-swap */
    uint32_t first_frame; /* index into the frames, innermost first */
    uint16_t depth;
    uint16_t state; /* enum heap_state, written last */
};

struct heap_module {
    uint64_t start, end; /* where it was mapped when it was first seen */
    uint32_t state;      /* enum heap_state, written last */
    uint32_t build_id_bytes;
    uint8_t build_id[HEAP_BUILD_ID_MAX];
    uint32_t process;         /* slot of who saw it */
    char path[HEAP_PATH_MAX]; /* as the loader knows it; "" unknown. Cut off when longer */
};

/* A code object of Python: a function, a module's body. Its file and its name stand in the texts,
 * one behind the other, each with a 0 at its end. */
struct heap_code {
    uint64_t hash; /* of all of it; 0: empty. Claimed by compare-and-swap */
    uint32_t text; /* index into the texts */
    int32_t first_line;
    uint16_t file_bytes; /* UTF-8; of a long one the end */
    uint8_t name_bytes;  /* of a long one the beginning */
    uint8_t unused;
    uint32_t state; /* enum heap_state, written last */
};

enum heap_process_state {
    HEAP_PROCESS_FREE = 0,
    HEAP_PROCESS_CLAIMED, /* being filled in */
    HEAP_PROCESS_LIVE,
    HEAP_PROCESS_EXITED, /* it ended by itself: what it held then stays until the slot is needed */
    HEAP_PROCESS_REPLACED, /* it executed another program: nothing of it is left */
};

struct heap_process {
    uint32_t state;         /* enum heap_process_state, written last */
    int32_t pid;            /* as its pid namespace has it */
    uint64_t image;         /* heap_image() of the program that it runs */
    uint64_t pid_namespace; /* its inode, as of the program's start; 0: unknown */
    char name[16];          /* as /proc/PID/comm had it when the program was loaded */
};

/* Written by the owner before the container runs, except where it says recorder. */
struct heap_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* sizeof(struct heap_map): another layout is refused */
    uint64_t limit_bytes;  /* of the container */
    uint64_t initial_rate_bytes;
    /* recorder: all counters only go up */
    uint64_t rate_bytes;  /* the mean in force for new samples; where nothing stays, more */
    uint64_t rate_raised; /* how often the mean was doubled because the table filled up */
    /* In another line of the processor's cache than what is only read, from here on. */
    uint64_t seeds __attribute__((aligned(64))); /* handed out to threads: no two draw the same
                                                    sequence */
    uint64_t samples_taken;                      /* since the start */
    uint64_t samples_replaced; /* an object was found at an address whose sample was still there:
                                  its end was not seen */
    uint64_t dropped_table;    /* no room in the sample's buckets */
    uint64_t dropped_bit;      /* another thread was just clearing its bit in the filter */
    uint64_t dropped_process;  /* no slot was free for the process */
    uint64_t lost_stacks;      /* samples whose stack found no room: stack 0 */
    uint64_t live_samples;     /* about: for that decision */
    uint32_t frames_used;      /* may exceed HEAP_FRAMES when it is full */
    uint32_t stacks_used;
    uint32_t modules_used;
    uint32_t attached;       /* processes that mapped it, executed programs counted again */
    uint32_t texts_used;     /* bytes; may exceed HEAP_TEXT_BYTES when they are full */
    uint32_t lost_codes;     /* frames of Python whose code found no room: code 0 */
    uint32_t python_known;   /* the interpreter whose frames were read, as PY_VERSION_HEX with its
                                last byte 0; 0: none */
    uint32_t python_unknown; /* one of which they were not, because this version is not known */
    uint64_t lost_mappings;  /* found no room among those whose parts are followed */
};

struct heap_map {
    struct heap_header header __attribute__((aligned(4096)));
    struct heap_process processes[HEAP_PROCESSES + 1] __attribute__((aligned(4096)));
    struct heap_module modules[HEAP_MODULES + 1] __attribute__((aligned(4096)));
    uint8_t overflowed[HEAP_BUCKETS] __attribute__((aligned(4096))); /* not 0: look further on */
    struct heap_stack stacks[HEAP_STACKS] __attribute__((aligned(4096)));
    uint64_t keys[HEAP_SAMPLES] __attribute__((aligned(4096)));
    struct heap_sample samples[HEAP_SAMPLES] __attribute__((aligned(4096)));
    uint64_t frames[HEAP_FRAMES] __attribute__((aligned(4096)));
    struct heap_code codes[HEAP_CODES] __attribute__((aligned(4096)));
    char texts[HEAP_TEXT_BYTES] __attribute__((aligned(4096)));
};

_Static_assert(sizeof(struct heap_sample) == 24, "no room is wasted");
_Static_assert(sizeof(struct heap_code) == 24, "no room is wasted");
_Static_assert(sizeof(struct heap_stack) == 16, "four stacks to a cache line");

/* Samples that were not kept. */
static inline uint64_t heap_dropped(const struct heap_header *header)
{
    return header->dropped_table + header->dropped_bit + header->dropped_process;
}

/* Tells programs that a process runs one after the other apart, by two values of the auxiliary
 * vector, which forked children inherit: where AT_RANDOM's bytes lie on the stack that execve()
 * made, and AT_BASE, where the loader lies. The kernel chooses both at random; where it may not, a
 * program without a loader still has no AT_BASE. */
static inline uint64_t heap_image(uint64_t random_address, uint64_t loader_address)
{
    return random_address ^ loader_address << 16;
}

/* The bucket where a key belongs. Objects of one size lie at multiples of one distance: with a
 * multiplication alone there is always one whose multiples meet in a few buckets. So all bits are
 * mixed, by the finalizer of MurmurHash3 (Appleby, 2011). */
static inline uint32_t heap_bucket(uint64_t key)
{
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    key ^= key >> 33;
    return (uint32_t)key & (HEAP_BUCKETS - 1);
}
