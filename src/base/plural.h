/* SPDX-License-Identifier: Apache-2.0 */
/* The ending of a word that is counted: "1 kill", "0 kills", "1.5 kills". */
#pragma once

static inline const char *plural(double count)
{
    return count == 1 ? "" : "s";
}
