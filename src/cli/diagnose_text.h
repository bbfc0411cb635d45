/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* A diagnosis for people: for each container the verdict, its ends, what is proven, what is likely,
 * and what would settle the rest. */
void diagnose_print(const json_t *result, FILE *out);
