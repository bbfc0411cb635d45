/* SPDX-License-Identifier: Apache-2.0 */
/* The first and the last byte of the word are compared at sixteen places in a row; only where both
 * fit are the bytes between looked at (W. Mula's "generic SIMD" search). */
#include "import/search.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

#define LANES 16

static unsigned candidates(const char *at, __m128i first, __m128i last, size_t distance)
{
    __m128i heads = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i tails = _mm_loadu_si128((const __m128i *)(const void *)(at + distance));
    __m128i both = _mm_and_si128(_mm_cmpeq_epi8(heads, first), _mm_cmpeq_epi8(tails, last));
    return (unsigned)_mm_movemask_epi8(both);
}

const char *search_bytes(const char *text, size_t length, const char *word, size_t word_length)
{
    const __m128i first = _mm_set1_epi8(word[0]);
    const __m128i last = _mm_set1_epi8(word[word_length - 1]);
    size_t at = 0;
    for (; at + LANES + word_length - 1 <= length; at += LANES) {
        unsigned mask = candidates(text + at, first, last, word_length - 1);
        for (; mask; mask &= mask - 1) {
            const char *place = text + at + __builtin_ctz(mask);
            if (memcmp(place, word, word_length) == 0)
                return place;
        }
    }
    return memmem(text + at, length - at, word, word_length);
}
#else
const char *search_bytes(const char *text, size_t length, const char *word, size_t word_length)
{
    return memmem(text, length, word, word_length);
}
#endif
