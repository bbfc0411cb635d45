/* SPDX-License-Identifier: Apache-2.0 */
/* Brackets and strings are followed byte by byte until the wanted key's '['. */
#include "import/json_list.h"

#include "import/input-internal.h"

#include <ctype.h>
#include <string.h>

#define KEY_MAX 32

struct scan {
    const char *key;
    unsigned wanted, depth;
    bool quoted, escaped;
    char text[KEY_MAX]; /* the string that was read last */
    size_t length;      /* may be beyond KEY_MAX */
    bool is_key;        /* a ':' followed it */
};

static void scan_string(struct scan *scan, char byte)
{
    if (scan->escaped) {
        scan->escaped = false;
    } else if (byte == '\\') {
        scan->escaped = true;
    } else if (byte == '"') {
        scan->quoted = false;
        return;
    }
    if (scan->length < KEY_MAX)
        scan->text[scan->length] = byte;
    scan->length++;
}

/* True when `byte` opens the wanted array. */
static bool scan_byte(struct scan *scan, char byte)
{
    if (scan->quoted) {
        scan_string(scan, byte);
        return false;
    }
    bool found = byte == '[' && scan->is_key && scan->depth == scan->wanted &&
                 scan->length == strlen(scan->key) &&
                 memcmp(scan->text, scan->key, scan->length) == 0;
    if (byte == '"') {
        scan->quoted = true;
        scan->length = 0;
    }
    if (byte == '{' || byte == '[')
        scan->depth++;
    else if ((byte == '}' || byte == ']') && scan->depth > 0)
        scan->depth--;
    if (byte == ':')
        scan->is_key = true;
    else if (!isspace((unsigned char)byte))
        scan->is_key = false;
    return found;
}

bool json_list_in_head(const struct head *head, const char *key, unsigned depth)
{
    struct scan scan = {.key = key, .wanted = depth};
    for (size_t i = 0; i < head->length; i++) {
        if (scan_byte(&scan, head->text[i]))
            return true;
    }
    return false;
}

static char step(struct input *input)
{
    char byte = input->data[input->start++];
    if (byte == '\n') {
        input->next_line++;
        input->column = 0;
    } else {
        input->column++;
    }
    return byte;
}

int json_list_enter(struct input *input, const char *key, unsigned depth, struct error *err)
{
    struct scan scan = {.key = key, .wanted = depth};
    for (;;) {
        while (input->start < input->end) {
            if (scan_byte(&scan, step(input))) {
                input->in_array = true;
                return 1;
            }
        }
        int r = input_fill(input, err);
        if (r <= 0)
            return r;
    }
}

int json_list_next(struct input *input, json_t **ret, uint64_t *ret_line, struct error *err)
{
    while (input->in_array) {
        if (input->start == input->end) {
            int r = input_fill(input, err);
            if (r < 0)
                return r;
            if (r == 0)
                break; /* input_json() says that the list has no end */
            continue;
        }
        char byte = input->data[input->start];
        if (byte == ']') {
            step(input);
            input->in_array = false;
            return 0;
        }
        if (byte != ',' && !isspace((unsigned char)byte))
            break;
        step(input);
    }
    return input->in_array ? input_json(input, ret, ret_line, err) : 0;
}
