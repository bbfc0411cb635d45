// SPDX-License-Identifier: Apache-2.0
// A plugin in C++ of a program in C, which loads it into a scope of its own.
#include <new>

extern "C" bool leak_and_throw(unsigned long huge)
{
    for (int i = 0; i < 100; i++)
        *static_cast<volatile char *>(::operator new(60000)) = 1;
    try {
        ::operator delete(::operator new(huge));
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}
