/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the frames of Python in the place of the interpreter's own. The interpreter is looked for
 * once, before the program runs; afterwards the only calls into it are two that read a global and a
 * thread's own variable.
 *
 * The own thread's frames are walked, whether it holds the interpreter's lock or not: no other
 * thread changes them. They are not looked at in a signal handler, which may have interrupted the
 * interpreter between two stores, nor while it shuts down, when it frees other threads' states. */
#include "preload/python_walk.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

static struct {
    const struct python_layout *layout; /* NULL: no interpreter, or one that we do not know */
    struct python_types types;
    void *(*this_thread)(void);
    int (*is_finalizing)(void);
    uintptr_t start, end;           /* the object that it is in */
    uintptr_t eval_start, eval_end; /* the function that runs frames */
    bool whole;                     /* the object holds nothing but the interpreter */
} python;

static void *find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A program of another name may have an interpreter within, and code of its own beside it. */
static bool is_interpreter(const char *path)
{
    const char *name = base_name(path);
    return strncmp(name, "python", 6) == 0 || strncmp(name, "libpython", 9) == 0;
}

static bool find_code(void)
{
    Dl_info info;
    struct dl_find_object object;
    const ElfW(Sym) *symbol = NULL;
    void *eval = find("_PyEval_EvalFrameDefault");
    if (!eval || _dl_find_object(eval, &object) != 0 ||
        dladdr1(eval, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || !symbol)
        return false;
    python.start = (uintptr_t)object.dlfo_map_start;
    python.end = (uintptr_t)object.dlfo_map_end;
    python.eval_start = (uintptr_t)eval;
    python.eval_end = (uintptr_t)eval + symbol->st_size;
    python.whole = info.dli_fname && is_interpreter(info.dli_fname);
    return true;
}

/* An object begins with its references and its type: not in every build. */
static bool find_types(void)
{
    python.types.code = find("PyCode_Type");
    python.types.text = find("PyUnicode_Type");
    python.types.bytes = find("PyBytes_Type");
    const void *type = find("PyType_Type");
    const void *found = NULL;
    if (!python.types.code || !python.types.text || !python.types.bytes || !type)
        return false;
    memcpy(&found, (const char *)python.types.code + 8, sizeof(found));
    return found == type;
}

static bool find_calls(void)
{
    void *own = find("PyGILState_GetThisThreadState");
    void *finalizing = find("_Py_IsFinalizing");
    if (!finalizing)
        finalizing = find("Py_IsFinalizing");
    memcpy(&python.this_thread, &own, sizeof(own));
    memcpy(&python.is_finalizing, &finalizing, sizeof(finalizing));
    return own && finalizing;
}

void python_find(void)
{
    const char *(*version)(void);
    uint32_t hex = 0;
    void *found = find("Py_GetVersion");
    memcpy(&version, &found, sizeof(found));
    if (found) {
        const struct python_layout *layout = python_layout_find(version(), &hex);
        if (layout && find_code() && find_types() && find_calls())
            python.layout = layout;
        uint32_t *said = python.layout ? &map->header.python_known : &map->header.python_unknown;
        __atomic_store_n(said, hex, __ATOMIC_RELAXED);
    }
    dlerror(); /* of ours, not the program's */
}

bool python_is_arena(const void *caller, size_t bytes)
{
    return python.layout && bytes == python.layout->arena_bytes &&
           (uintptr_t)caller - python.start < python.end - python.start;
}

/* --- the walk ------------------------------------------------------------------------------------
 */

/* The thread's innermost frame of Python, and the record that lies in the frame of C running it. */
static void find_innermost(struct python_walk *walk)
{
    const struct python_layout *layout = python.layout;
    if (python.is_finalizing())
        return;
    uintptr_t thread_state = (uintptr_t)python.this_thread();
    if (!python_is_pointer(thread_state) ||
        python_word_at(thread_state + layout->thread_id) != (uintptr_t)pthread_self())
        return;
    if (layout->mark == PYTHON_MARK_CFRAME)
        walk->cframe = python_word_at(thread_state + layout->thread_cframe);
    if (layout->thread_frame != 0)
        walk->frame = python_word_at(thread_state + layout->thread_frame);
    else if (python_is_pointer(walk->cframe))
        walk->frame = python_word_at(walk->cframe + layout->cframe_frame);
}

void python_begin(struct python_walk *walk)
{
    *walk = (struct python_walk){.state = python.layout ? PYTHON_WALK_NEW : PYTHON_WALK_OFF};
}

void python_stop(struct python_walk *walk)
{
    walk->state = PYTHON_WALK_OFF;
    walk->frame = 0;
}

/* The frames of Python that one frame of C runs. */
static unsigned take_run(struct python_walk *walk, uint64_t *frames, unsigned max)
{
    unsigned count = 0;
    while (count < max && python_is_pointer(walk->frame) && walk->steps++ < PYTHON_STEPS) {
        uintptr_t frame = walk->frame;
        bool is_mark = python_frame_is_mark(python.layout, frame);
        if (!is_mark && python_frame_read(python.layout, &python.types, frame, &frames[count]))
            count++;
        walk->frame = python_frame_previous(python.layout, frame);
        if (is_mark || python_frame_ends_run(python.layout, frame))
            break;
    }
    walk->found += count;
    return count;
}

static bool runs_python(struct python_walk *walk, uintptr_t pc, uintptr_t end)
{
    if (python.layout->mark == PYTHON_MARK_CODE)
        return pc - python.eval_start < python.eval_end - python.eval_start;
    if (!python_is_pointer(walk->cframe) || walk->cframe < walk->least || walk->cframe >= end)
        return false;
    walk->cframe = python_word_at(walk->cframe + python.layout->cframe_previous);
    return true;
}

bool python_replace(struct python_walk *walk, uintptr_t pc, uintptr_t begin, uintptr_t end,
                    uint64_t *frames, unsigned max, unsigned *ret_count)
{
    *ret_count = 0;
    if (walk->state == PYTHON_WALK_OFF || pc - python.start >= python.end - python.start)
        return false;
    if (walk->state == PYTHON_WALK_NEW) {
        find_innermost(walk);
        walk->least = begin;
        walk->state = python_is_pointer(walk->frame) ? PYTHON_WALK_ON : PYTHON_WALK_OFF;
        if (walk->state == PYTHON_WALK_OFF)
            return false;
    }
    if (!runs_python(walk, pc, end))
        return python.whole;
    *ret_count = take_run(walk, frames, max);
    return true;
}

unsigned python_rest(struct python_walk *walk, uint64_t *frames, unsigned max)
{
    unsigned count = 0;
    while (walk->state == PYTHON_WALK_ON && count < max && python_is_pointer(walk->frame) &&
           walk->steps < PYTHON_STEPS)
        count += take_run(walk, frames + count, max - count);
    return count;
}
