/* SPDX-License-Identifier: Apache-2.0 */
/* Removing whole trees, whatever somebody else has put into them. */
#pragma once

/* Remove the file or directory `name` and all below it. Links are removed, not followed;
 * directories that deny their owner are opened first; depth costs neither stack nor descriptors. A
 * missing one is fine. Returns 0 or -errno: then something is left. */
int tree_remove(int dir_fd, const char *name);
