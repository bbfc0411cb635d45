// SPDX-License-Identifier: Apache-2.0
// Every form of operator new and delete, in a program that knows what it keeps and then kills itself: operators
// leak|freed|failing|form0 to form7. leak and form print the bytes that they hold. Links against whatever allocator it is given.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>

static const std::align_val_t ALIGNED{256};
static const size_t SIZE = 60000;
static void *volatile sink;

typedef void *make();
typedef void drop(void *);

static make *const MAKES[] = {
    [] { return ::operator new(SIZE); },
    [] { return ::operator new[](SIZE); },
    [] { return ::operator new(SIZE, std::nothrow); },
    [] { return ::operator new[](SIZE, std::nothrow); },
    [] { return ::operator new(SIZE, ALIGNED); },
    [] { return ::operator new[](SIZE, ALIGNED); },
    [] { return ::operator new(SIZE, ALIGNED, std::nothrow); },
    [] { return ::operator new[](SIZE, ALIGNED, std::nothrow); },
};

// Of each four those that fit what was made: one or array, aligned or not.
static drop *const DROPS[4][3] = {
    {[](void *p) { ::operator delete(p); }, [](void *p) { ::operator delete(p, SIZE); },
     [](void *p) { ::operator delete(p, std::nothrow); }},
    {[](void *p) { ::operator delete[](p); }, [](void *p) { ::operator delete[](p, SIZE); },
     [](void *p) { ::operator delete[](p, std::nothrow); }},
    {[](void *p) { ::operator delete(p, ALIGNED); }, [](void *p) { ::operator delete(p, SIZE, ALIGNED); },
     [](void *p) { ::operator delete(p, ALIGNED, std::nothrow); }},
    {[](void *p) { ::operator delete[](p, ALIGNED); }, [](void *p) { ::operator delete[](p, SIZE, ALIGNED); },
     [](void *p) { ::operator delete[](p, ALIGNED, std::nothrow); }},
};

static void *made(unsigned form)
{
    void *pointer = MAKES[form]();
    if (!pointer || (form >= 4 && reinterpret_cast<uintptr_t>(pointer) % 256 != 0))
        abort();
    memset(pointer, 1, SIZE);
    return pointer;
}

static void dropped(unsigned form, unsigned way, void *pointer)
{
    DROPS[(form >= 4) * 2 + form % 2][way](pointer);
}

// Kept: every form 20 times, three more of each are deleted in the three ways. Beside them malloc and reallocarray.
static void *leak(void *)
{
    for (unsigned i = 0; i < 20 * 8; i++) {
        sink = made(i % 8);
        dropped(i % 8, i % 3, made(i % 8));
    }
    for (int i = 0; i < 20; i++) {
        sink = malloc(SIZE);
        sink = reallocarray(malloc(100), 2, SIZE / 2);
    }
    return nullptr;
}

static void *freed(void *)
{
    for (unsigned form = 0; form < 8; form++) {
        for (unsigned way = 0; way < 300; way++)
            dropped(form, way % 3, made(form));
    }
    return nullptr;
}

static unsigned handled;
static size_t volatile huge = SIZE_MAX / 4;

static void give_up()
{
    if (++handled == 3)
        std::set_new_handler(nullptr);
}

// bad_alloc comes through the recorder, and the new_handler is asked as often as without it.
static void failing()
{
    bool thrown = false;
    std::set_new_handler(give_up);
    try {
        sink = ::operator new(huge);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    printf("%d %u %d\n", thrown, handled, ::operator new(huge, std::nothrow) == nullptr);
}

int main(int count, char **words)
{
    const char *what = count == 2 ? words[1] : "";
    if (strncmp(what, "form", 4) == 0) {
        for (int i = 0; i < 4000; i++)
            sink = MAKES[what[4] - '0']();
        printf("%zu\n", 4000 * SIZE);
    } else if (strcmp(what, "failing") == 0) {
        failing();
    } else {
        pthread_t threads[4];
        for (pthread_t &thread : threads)
            pthread_create(&thread, nullptr, strcmp(what, "leak") == 0 ? leak : freed, nullptr);
        for (pthread_t &thread : threads)
            pthread_join(thread, nullptr);
        printf("%zu\n", strcmp(what, "leak") == 0 ? 4 * (20 * 8 + 40) * SIZE : 0);
    }
    fflush(stdout);
    raise(SIGKILL);
}
