/* SPDX-License-Identifier: Apache-2.0 */
/* The lab that runs without any argument: a lab file, embedded when oomlab is built. */
#include "lab/lab_file.h"

#include "builtin_lab.h"

const char *builtin_lab_text(size_t *ret_length)
{
    *ret_length = sizeof(BUILTIN_LAB) - 1;
    return BUILTIN_LAB;
}
