/* SPDX-License-Identifier: Apache-2.0 */
/* C++'s operators new and delete. Those of the C++ library call malloc() and free(), which are
 * counted: such a call is only passed on, by a jump. Those of an allocator (jemalloc, tcmalloc,
 * mimalloc) do not, and are counted here. Which it is, is found out at the first call of each. */
#include "preload/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum form { NEW_PLAIN = 0, NEW_ALIGNED = 1, NEW_NOTHROW = 2, DELETE = 4 };

/* Each with its symbol. All of new have the size first and, if aligned, the alignment second, all
 * of delete the object first: what follows is passed on as it came, in its register. */
#define NEWS(X)                                                                                    \
    X(new_one, "_Znwm", NEW_PLAIN)                                                                 \
    X(new_array, "_Znam", NEW_PLAIN)                                                               \
    X(new_one_nothrow, "_ZnwmRKSt9nothrow_t", NEW_NOTHROW)                                         \
    X(new_array_nothrow, "_ZnamRKSt9nothrow_t", NEW_NOTHROW)                                       \
    X(new_one_aligned, "_ZnwmSt11align_val_t", NEW_ALIGNED)                                        \
    X(new_array_aligned, "_ZnamSt11align_val_t", NEW_ALIGNED)                                      \
    X(new_one_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", NEW_ALIGNED | NEW_NOTHROW)    \
    X(new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", NEW_ALIGNED | NEW_NOTHROW)

#define DELETES(X)                                                                                 \
    X(delete_one, "_ZdlPv", DELETE)                                                                \
    X(delete_array, "_ZdaPv", DELETE)                                                              \
    X(delete_one_sized, "_ZdlPvm", DELETE)                                                         \
    X(delete_array_sized, "_ZdaPvm", DELETE)                                                       \
    X(delete_one_nothrow, "_ZdlPvRKSt9nothrow_t", DELETE)                                          \
    X(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", DELETE)                                        \
    X(delete_one_aligned, "_ZdlPvSt11align_val_t", DELETE)                                         \
    X(delete_array_aligned, "_ZdaPvSt11align_val_t", DELETE)                                       \
    X(delete_one_sized_aligned, "_ZdlPvmSt11align_val_t", DELETE)                                  \
    X(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", DELETE)                                \
    X(delete_one_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t", DELETE)                   \
    X(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t", DELETE)

#define NUMBER(name, symbol, form) NUMBER_##name,
enum number { NEWS(NUMBER) DELETES(NUMBER) NUMBERS };

enum mode { MODE_UNKNOWN = 0, MODE_FORWARD, MODE_COUNT };

/* The definition that would have been called without us: `function` first, then `mode`. */
struct next {
    void *function;
    enum mode mode;
};
static struct next nexts[NUMBERS];

#define SYMBOL(name, symbol, form) symbol,
static const char *const SYMBOLS[NUMBERS] = {NEWS(SYMBOL) DELETES(SYMBOL)};
#define FORM(name, symbol, form) (form),
static const uint8_t FORMS[NUMBERS] = {NEWS(FORM) DELETES(FORM)};

typedef void *new_function(size_t, uintptr_t, uintptr_t);
typedef void delete_function(void *, uintptr_t, uintptr_t);

static inline enum mode mode_of(enum number number)
{
    return __atomic_load_n(&nexts[number].mode, __ATOMIC_ACQUIRE);
}

static inline new_function *new_of(enum number number)
{
    return (new_function *)(uintptr_t)nexts[number].function;
}

static inline delete_function *delete_of(enum number number)
{
    return (delete_function *)(uintptr_t)nexts[number].function;
}

/* --- finding it ------------------------------------------------------------------------------- */

/* A plugin of a C program brings its C++ library along in a scope of its own. It stays loaded for
 * as long as the program runs: what was found in it is called. */
static void *find_in_libraries(const char *symbol)
{
    static const char *const LIBRARIES[] = {"libstdc++.so.6", "libc++.so.1"};
    for (size_t i = 0; i < sizeof(LIBRARIES) / sizeof(LIBRARIES[0]); i++) {
        void *library = dlopen(LIBRARIES[i], RTLD_LAZY | RTLD_NOLOAD);
        void *found = library ? dlsym(library, symbol) : NULL;
        if (found)
            return found;
        if (library)
            real.dlclose(library);
    }
    return NULL;
}

/* In the module that real.malloc is in, and not in ours. */
static bool is_of_allocator(void *function)
{
    struct dl_find_object object;
    real_resolve();
    if (_dl_find_object((void *)(uintptr_t)real.malloc, &object) != 0)
        return false;
    return (uintptr_t)function - (uintptr_t)object.dlfo_map_start <
           (uintptr_t)object.dlfo_map_end - (uintptr_t)object.dlfo_map_start;
}

/* What the search itself may call is served by malloc() and free(). */
static void find(enum number number)
{
    static __thread bool finding __attribute__((tls_model("initial-exec")));
    if (finding)
        return;
    int saved_errno = errno;
    finding = true;
    void *found = dlsym(RTLD_NEXT, SYMBOLS[number]);
    if (!found)
        found = find_in_libraries(SYMBOLS[number]);
    if (found) {
        __atomic_store_n(&nexts[number].function, found, __ATOMIC_RELAXED);
        __atomic_store_n(&nexts[number].mode, is_of_allocator(found) ? MODE_COUNT : MODE_FORWARD,
                         __ATOMIC_RELEASE);
    } else {
        dlerror(); /* it is nobody's */
    }
    finding = false;
    errno = saved_errno;
}

/* --- where there is none ---------------------------------------------------------------------- */

/* A plugin that has the C++ library linked into it: nobody here can throw its bad_alloc. */
static __attribute__((noreturn)) void end_without_memory(void)
{
    static const char text[] = "oomlab-heap: operator new found no memory, and no C++ library to "
                               "throw std::bad_alloc: aborting. Link the plugin with the shared "
                               "libstdc++, or run it without --heap.\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    abort();
}

/* As the C++ library does it. */
static void *new_by_malloc(enum number number, size_t size, uintptr_t alignment)
{
    size_t bytes = size ? size : 1;
    void *pointer = NULL;
    if (!(FORMS[number] & NEW_ALIGNED))
        pointer = malloc(bytes);
    else if (posix_memalign(&pointer, alignment < sizeof(void *) ? sizeof(void *) : alignment,
                            bytes) != 0)
        pointer = NULL;
    if (!pointer && !(FORMS[number] & NEW_NOTHROW))
        end_without_memory();
    return pointer;
}

/* --- the operators ---------------------------------------------------------------------------- */

/* Some allocators' aligned forms (jemalloc's) ask aligned_alloc(), which is ours: then the
 * countdown is another one afterwards, and the object is counted. */
static void *new_aligned(enum number number, size_t size, uintptr_t second, uintptr_t third,
                         const void *caller)
{
    uint64_t before = thread.countdown;
    void *pointer = new_of(number)(size, second, third);
    return pointer && thread.countdown == before ? hooks_counted(pointer, size, caller) : pointer;
}

static __attribute__((noinline)) void *
new_counted(enum number number, size_t size, uintptr_t second, uintptr_t third, const void *caller)
{
    if (UNLIKELY(mode_of(number) == MODE_UNKNOWN))
        find(number);
    switch (mode_of(number)) {
    case MODE_UNKNOWN:
        return new_by_malloc(number, size, second);
    case MODE_FORWARD:
        return new_of(number)(size, second, third);
    case MODE_COUNT:
        break;
    }
    if (FORMS[number] & NEW_ALIGNED)
        return new_aligned(number, size, second, third, caller);
    if (!count_down(size))
        return new_of(number)(size, second, third);
    put_back(size);
    return hooks_consider(new_of(number)(size, second, third), size, caller);
}

static __attribute__((noinline)) void delete_counted(enum number number, void *pointer,
                                                     uintptr_t second, uintptr_t third)
{
    if (UNLIKELY(mode_of(number) == MODE_UNKNOWN))
        find(number);
    if (UNLIKELY(mode_of(number) == MODE_UNKNOWN)) {
        free(pointer);
        return;
    }
    if (mode_of(number) == MODE_COUNT && filter_may_hold(pointer))
        hooks_forget(pointer);
    delete_of(number)(pointer, second, third);
}

#define DEFINE_NEW(name, symbol, form)                                                             \
    EXPORT void *cxx_##name(size_t size, uintptr_t second, uintptr_t third) __asm__(symbol);       \
    void *cxx_##name(size_t size, uintptr_t second, uintptr_t third)                               \
    {                                                                                              \
        if (LIKELY(mode_of(NUMBER_##name) == MODE_FORWARD))                                        \
            return new_of(NUMBER_##name)(size, second, third);                                     \
        return new_counted(NUMBER_##name, size, second, third, CALLER);                            \
    }
NEWS(DEFINE_NEW)

#define DEFINE_DELETE(name, symbol, form)                                                          \
    EXPORT void cxx_##name(void *pointer, uintptr_t second, uintptr_t third) __asm__(symbol);      \
    void cxx_##name(void *pointer, uintptr_t second, uintptr_t third)                              \
    {                                                                                              \
        if (LIKELY(mode_of(NUMBER_##name) == MODE_FORWARD))                                        \
            delete_of(NUMBER_##name)(pointer, second, third);                                      \
        else                                                                                       \
            delete_counted(NUMBER_##name, pointer, second, third);                                 \
    }
DELETES(DEFINE_DELETE)
