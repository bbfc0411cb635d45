/* SPDX-License-Identifier: Apache-2.0 */
/* Figures in sentences. Internal to src/analysis. */
#pragma once

#define WORDS_MAX 48

struct words {
    char text[WORDS_MAX];
};

/* "3.5 MiB", "-120.0 KiB", "unknown" for NAN. */
struct words bytes_words(double bytes);
/* "+3.5 MiB": growth, with its sign. */
struct words growth_words(double bytes);
/* "512 MiB", or "no limit" for NAN and 0. */
struct words limit_words(double bytes);
