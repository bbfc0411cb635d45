/* SPDX-License-Identifier: Apache-2.0 */
/* Another root file system for the child, between clone and exec: system calls only. */
#pragma once

#include <stdbool.h>

/* Make the directory the root of this mount namespace, whose mounts must be private. The working
 * directory is then the old root, so that rootfs_furnish() can take devices from it; nothing else
 * leads there, and every absolute path, also through a symbolic link of the new root, stays in the
 * new one. 0, or -1 with errno. */
int rootfs_enter(const char *root);
/* Put a layer over the directory `root`, as an overlay: then rootfs_enter(ROOTFS_MERGED). `layer`
 * is a directory with upper, work, ROOTFS_MERGED and a link ROOTFS_LOWER to the root; it becomes
 * the working directory. 0, or -1 with errno. */
#define ROOTFS_LOWER  "lower"
#define ROOTFS_UPPER  "upper"
#define ROOTFS_WORK   "work"
#define ROOTFS_MERGED "merged"
int rootfs_overlay(const char *layer, bool new_user);
/* chdir() that makes what is missing of an absolute path. 0, or -1 with errno. */
int rootfs_change_directory(const char *path);
/* Give it a /proc of its PID namespace. 0, or -1 with errno. */
int rootfs_mount_proc(void);
/* Give it /dev (null, zero, full, random, urandom, tty, pts, shm) and this machine's /sys, then let
 * go of the old root; the working directory is the new "/". 0, or -1 with errno. */
int rootfs_furnish(void);
