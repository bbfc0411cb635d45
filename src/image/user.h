/* SPDX-License-Identifier: Apache-2.0 */
/* Who an image's "User" is, by the passwd and group files of its own root: "name", "uid",
 * "name:group", "uid:gid", as container engines read it. Pure: over the files' texts. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

#define IMAGE_GROUPS_MAX 64
#define IMAGE_HOME_MAX   256

struct image_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[IMAGE_GROUPS_MAX]; /* supplementary ones: none when a group is named */
    unsigned group_count;
    char home[IMAGE_HOME_MAX]; /* of passwd, or "/" */
};

/* `user` "" is root. A number needs no line in the files; a name does: usage error. `passwd` and
 * `group` may be "" (an image without them). */
int image_user_find(const char *user, const char *passwd, const char *group, struct image_user *ret,
                    struct error *err);
