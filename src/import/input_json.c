/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values out of a stream: where one begins and ends is found by counting brackets, so that a
 * list of any length is read element by element; jansson then reads each. */
#include "import/input-internal.h"

#include <ctype.h>
#include <string.h>

/* Consume one byte. */
static void step(struct input *input)
{
    if (input->data[input->start++] == '\n') {
        input->next_line++;
        input->column = 0;
    } else {
        input->column++;
    }
}

/* The next byte that may begin a value; 0 at the end. */
static int find_value(struct input *input, struct error *err)
{
    for (;;) {
        while (input->start < input->end) {
            char byte = input->data[input->start];
            if (byte == '[' && !input->in_array)
                input->in_array = true;
            else if (byte == ']' && input->in_array)
                input->in_array = false;
            else if (byte != ',' && byte != '\0' && !isspace((unsigned char)byte))
                return 1;
            step(input);
        }
        int r = input_fill(input, err);
        if (r <= 0)
            return r;
    }
}

/* The state of the bracket count at an offset behind `start`. */
struct scan {
    size_t length;
    size_t depth;
    bool quoted, escaped, done;
};

static void scan_byte(struct scan *scan, char byte)
{
    if (scan->quoted) {
        if (scan->escaped)
            scan->escaped = false;
        else if (byte == '\\')
            scan->escaped = true;
        else if (byte == '"')
            scan->quoted = false;
        scan->done = !scan->quoted && scan->depth == 0;
    } else if (byte == '"') {
        scan->quoted = true;
    } else if (byte == '{' || byte == '[') {
        scan->depth++;
    } else if ((byte == '}' || byte == ']') && scan->depth > 0) {
        scan->done = --scan->depth == 0;
    }
}

/* A number or a word ends before what cannot belong to it. */
static bool ends_scalar(const struct scan *scan, char byte)
{
    return scan->depth == 0 && !scan->quoted && scan->length > 0 &&
           (byte == ',' || byte == ']' || byte == '}' || isspace((unsigned char)byte));
}

/* How long the value at `start` is. */
static int measure(struct input *input, size_t *ret, struct error *err)
{
    struct scan scan = {0};
    for (;;) {
        while (input->start + scan.length < input->end && !scan.done) {
            char byte = input->data[input->start + scan.length];
            if (ends_scalar(&scan, byte))
                scan.done = true;
            else
                scan_byte(&scan, byte), scan.length++;
        }
        if (scan.length > INPUT_VALUE_MAX)
            return input_error(input, input->next_line, input->column + 1, err,
                               "this JSON value is larger than %zu MiB", INPUT_VALUE_MAX >> 20);
        if (scan.done)
            break;
        int r = input_fill(input, err);
        if (r < 0)
            return r;
        if (r == 0 && (scan.depth > 0 || scan.quoted))
            return input_error(input, input->next_line, input->column + 1, err,
                               "the JSON value that begins here has no end: the file is cut off");
        if (r == 0)
            break;
    }
    *ret = scan.length;
    return 0;
}

int input_json(struct input *input, json_t **ret, uint64_t *ret_line, struct error *err)
{
    int r = find_value(input, err);
    if (r < 0)
        return r;
    if (r == 0 && input->in_array)
        return input_error(input, input->next_line, input->column + 1, err,
                           "the list has no end: the file is cut off");
    size_t length = 0;
    if (r == 0 || (r = measure(input, &length, err)) < 0)
        return r;
    char *text = input->data + input->start;
    input_make_utf8(text, length);
    json_error_t fault;
    json_t *json = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &fault);
    if (!json) {
        uint64_t line = fault.line > 0 ? (uint64_t)fault.line : 1;
        uint64_t column = fault.column > 0 ? (uint64_t)fault.column : 1;
        return input_error(input, input->next_line + line - 1,
                           line == 1 ? input->column + column : column, err, "this is no JSON: %s",
                           fault.text);
    }
    if (ret_line)
        *ret_line = input->next_line;
    while (length-- > 0)
        step(input);
    *ret = json;
    return 1;
}
