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
/* "highest working set was 3.5 MiB"; where none was seen (NAN or 0), "most memory it used was" the
 * kernel's high-water mark, which has page cache in it. */
struct words most_words(double working_set_bytes, double high_water_bytes);
/* "512 MiB", or "no limit" for NAN and 0. */
struct words limit_words(double bytes);
