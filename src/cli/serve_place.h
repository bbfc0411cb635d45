/* SPDX-License-Identifier: Apache-2.0 */
/* Where oomlab serve keeps its state by default: $XDG_STATE_HOME/oomlab/serve. */
#pragma once

#include "base/error.h"

#define PLACE_MAX 4096

/* The path of a file in it ("" is the directory itself). */
int serve_place(const char *name, char ret[static PLACE_MAX], struct error *err);
