/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: exec_frame_parse(). A frame lies within its input and is written the same again. */
#include "api/exec_stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    struct exec_frame frame;
    size_t used = 0;
    while (exec_frame_parse(at, size, &frame, &used) == 1) {
        char header[EXEC_FRAME_HEADER];
        if (used > size || frame.payload + frame.length != at + used ||
            frame.length > EXEC_PAYLOAD_MAX)
            abort();
        exec_frame_header(header, frame.type, frame.length);
        if (memcmp(header, at, sizeof(header)) != 0)
            abort();
        if (frame.type == EXEC_RESIZE)
            exec_frame_number(&frame, 1);
        at += used;
        size -= used;
    }
    return 0;
}
