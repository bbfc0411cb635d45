/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>

/* A flame graph as SVG without scripts, drawn from folded stacks: lines of "outer;inner BYTES".
 * Outermost functions at the bottom, width by bytes, names and figures as tooltips. Lines that are
 * none are left out, and levels beyond the 512th. A document of its own shows its title and has a
 * ground; embedded in a page it begins with "<svg " and leaves both to the page, which finds the
 * graph under the class "flame". A failed allocation marks the buffer. */
void flamegraph_draw(const char *folded, const char *title, bool embedded, struct buffer *out);
