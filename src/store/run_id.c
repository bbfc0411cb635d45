/* SPDX-License-Identifier: Apache-2.0 */
#include "store/run_id.h"

#include <string.h>

bool run_id_is_valid(const char *name)
{
    return strlen(name) > 16 && strlen(name) < RUN_ID_MAX && strspn(name, "0123456789") == 8 &&
           name[8] == '-' && strspn(name + 9, "0123456789") == 6 && name[15] == '-' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}
