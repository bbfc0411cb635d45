/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: an image's user, its passwd and its group file, in three parts that NULs divide. */
#include "image/user.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(size + 3, 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    const char *passwd = text + strlen(text) + 1;
    const char *group = passwd < text + size ? passwd + strlen(passwd) + 1 : "";
    struct image_user user;
    struct error err = {0};
    if (image_user_find(text, passwd, group, &user, &err) == 0) {
        if (user.group_count > IMAGE_GROUPS_MAX || user.uid == (uid_t)-1 || user.gid == (gid_t)-1)
            abort();
    } else if (err.code == 0) {
        abort();
    }
    free(text);
    return 0;
}
