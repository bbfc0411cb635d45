/* SPDX-License-Identifier: Apache-2.0 */
/* The directory for what a container writes over a root that is only read, for this folder. */
#pragma once

#include "base/error.h"

/* Make it for rootfs_overlay(). On error nothing is left. */
int layer_make(const char *path, const char *root, char **ret, struct error *err);
/* Remove it with all that the container has written, and free the path. NULL is fine. */
void layer_remove(char *path);
