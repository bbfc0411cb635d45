/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image is: "oci:/path[:tag]", an OCI image layout in a directory, and
 * "oci-archive:/path[:tag]", one in a tar file. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

struct image_reference {
    bool archive;
    char *path; /* owned */
    char *tag;  /* owned; NULL: the only image there */
};

/* Whether the text begins with "oci:" or "oci-archive:". */
bool image_is_reference(const char *text);
/* Whether a path begins with '/' and has no empty, "." or ".." component: what is written is where
 * it goes. */
bool image_path_is_plain(const char *path);
/* Usage error when it is not well formed. image_reference_done() it. */
int image_reference_parse(const char *text, struct image_reference *ret, struct error *err);
void image_reference_done(struct image_reference *reference);
