/* SPDX-License-Identifier: Apache-2.0 */
/* Byte sizes as Kubernetes and Azure spell them. */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define KIB           (UINT64_C(1) << 10)
#define MIB           (UINT64_C(1) << 20)
#define GIB           (UINT64_C(1) << 30)
#define SIZE_TEXT_MAX 32

/* Parse "0.5Gi", "512Mi", "500M", "1.5G", "64Ki", "100k", "134217728", "1e9". Suffixes: Ki Mi Gi Ti
 * Pi (powers of 1024), k K M G T P (powers of 1000; K is tolerated), and the same with a final B.
 * The result is in bytes, rounded to the nearest byte. Usage error on anything else, on negative
 * numbers and on results over INT64_MAX. */
int size_parse(const char *text, uint64_t *ret_bytes, struct error *err);

/* "512.0 MiB": one decimal, binary units; whole bytes below 1 KiB. Writes into `text` and returns
 * it.
 */
const char *size_format(uint64_t bytes, char text[static SIZE_TEXT_MAX]);

/* The shortest exact Kubernetes spelling: "512Mi", "1Gi", "1000" (no rounding). */
const char *size_format_quantity(uint64_t bytes, char text[static SIZE_TEXT_MAX]);
