/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the specification. Their arguments have been checked. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "jmespath/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53 */

static int give(json_t *value, json_t **ret, struct error *err)
{
    if (!value)
        return error_errno(err, ENOMEM, "evaluating the expression");
    *ret = value;
    return 0;
}

static json_t *whole(double value)
{
    if (fabs(value) <= EXACT_MAX)
        return json_integer((json_int_t)value);
    return json_real(value);
}

#define FUNCTION(name)                                                                             \
    static int call_##name(const struct argument *a, size_t count, json_t **ret, struct error *err)

FUNCTION(abs)
{
    (void)count;
    if (json_is_integer(a->value))
        return give(json_integer(llabs(json_integer_value(a->value))), ret, err);
    return give(json_real(fabs(json_real_value(a->value))), ret, err);
}

FUNCTION(ceil)
{
    (void)count;
    return give(whole(ceil(json_number_value(a->value))), ret, err);
}

FUNCTION(floor)
{
    (void)count;
    return give(whole(floor(json_number_value(a->value))), ret, err);
}

FUNCTION(sum)
{
    (void)count;
    double sum = 0;
    json_int_t exact = 0;
    bool integers = true;
    for (size_t i = 0; i < json_array_size(a->value); i++) {
        const json_t *item = json_array_get(a->value, i);
        sum += json_number_value(item);
        integers = integers && json_is_integer(item) &&
                   !__builtin_add_overflow(exact, json_integer_value(item), &exact);
    }
    return give(integers ? json_integer(exact) : json_real(sum), ret, err);
}

FUNCTION(avg)
{
    (void)count;
    size_t size = json_array_size(a->value);
    double sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += json_number_value(json_array_get(a->value, i));
    return give(size == 0 ? json_null() : json_real(sum / (double)size), ret, err);
}

FUNCTION(contains)
{
    (void)count;
    bool found = false;
    if (json_is_string(a[0].value)) {
        const char *part = json_string_value(a[1].value);
        found = part && strstr(json_string_value(a[0].value), part);
    }
    for (size_t i = 0; i < json_array_size(a[0].value); i++)
        found = found || value_equal(json_array_get(a[0].value, i), a[1].value);
    return give(json_boolean(found), ret, err);
}

FUNCTION(starts_with)
{
    (void)count;
    const char *start = json_string_value(a[1].value);
    return give(json_boolean(strncmp(json_string_value(a[0].value), start, strlen(start)) == 0),
                ret, err);
}

FUNCTION(ends_with)
{
    (void)count;
    size_t length = json_string_length(a[0].value);
    size_t tail = json_string_length(a[1].value);
    const char *text = json_string_value(a[0].value);
    return give(json_boolean(tail <= length &&
                             strcmp(text + length - tail, json_string_value(a[1].value)) == 0),
                ret, err);
}

FUNCTION(join)
{
    (void)count;
    AUTO_BUFFER text = {0};
    for (size_t i = 0; i < json_array_size(a[1].value); i++) {
        if (i > 0)
            buffer_puts(&text, json_string_value(a[0].value));
        buffer_puts(&text, json_string_value(json_array_get(a[1].value, i)));
    }
    return give(text.failed ? NULL : json_string(buffer_text(&text)), ret, err);
}

FUNCTION(keys)
{
    (void)count;
    json_t *list = json_array();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(a->value, key, value)
    {
        json_array_append_new(list, json_string(key));
    }
    return give(list, ret, err);
}

FUNCTION(values)
{
    (void)count;
    json_t *list = json_array();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(a->value, key, value)
    {
        json_array_append(list, value);
    }
    return give(list, ret, err);
}

/* Bytes that begin a character (jansson's strings are valid UTF-8). */
static bool begins(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

FUNCTION(length)
{
    (void)count;
    size_t length = 0;
    if (json_is_array(a->value))
        length = json_array_size(a->value);
    else if (json_is_object(a->value))
        length = json_object_size(a->value);
    for (const char *at = json_string_value(a->value); at && *at; at++)
        length += begins(*at);
    return give(json_integer((json_int_t)length), ret, err);
}

FUNCTION(merge)
{
    json_t *merged = json_object();
    for (size_t i = 0; merged && i < count; i++)
        json_object_update(merged, a[i].value);
    return give(merged, ret, err);
}

FUNCTION(not_null)
{
    json_t *found = json_null();
    for (size_t i = count; i > 0; i--) {
        if (a[i - 1].value && !json_is_null(a[i - 1].value))
            found = a[i - 1].value;
    }
    return give(json_incref(found), ret, err);
}

static json_t *reverse_text(const char *text)
{
    AUTO_BUFFER reversed = {0};
    size_t end = strlen(text);
    for (size_t i = end; i > 0; i--) {
        if (!begins(text[i - 1]))
            continue;
        buffer_append(&reversed, text + i - 1, end - (i - 1));
        end = i - 1;
    }
    return reversed.failed ? NULL : json_string(buffer_text(&reversed));
}

FUNCTION(reverse)
{
    (void)count;
    if (json_is_string(a->value))
        return give(reverse_text(json_string_value(a->value)), ret, err);
    json_t *list = json_array();
    for (size_t i = json_array_size(a->value); i > 0; i--)
        json_array_append(list, json_array_get(a->value, i - 1));
    return give(list, ret, err);
}

FUNCTION(to_array)
{
    (void)count;
    if (json_is_array(a->value))
        return give(json_incref(a->value), ret, err);
    return give(json_pack("[O]", a->value), ret, err);
}

FUNCTION(to_string)
{
    (void)count;
    if (json_is_string(a->value))
        return give(json_incref(a->value), ret, err);
    AUTO_FREE char *text = json_dumps(a->value, JSON_COMPACT | JSON_ENCODE_ANY);
    return give(text ? json_string(text) : NULL, ret, err);
}

FUNCTION(to_number)
{
    (void)count;
    if (json_is_number(a->value))
        return give(json_incref(a->value), ret, err);
    const char *text = json_string_value(a->value);
    json_t *number = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (!json_is_number(number)) {
        json_decref(number);
        number = json_null();
    }
    return give(number, ret, err);
}

FUNCTION(type)
{
    (void)count;
    const char *name = json_is_null(a->value)      ? "null"
                       : json_is_string(a->value)  ? "string"
                       : json_is_number(a->value)  ? "number"
                       : json_is_boolean(a->value) ? "boolean"
                       : json_is_array(a->value)   ? "array"
                                                   : "object";
    return give(json_string(name), ret, err);
}

FUNCTION(map)
{
    (void)count;
    json_t *list = json_array();
    int r = list ? 0 : error_errno(err, ENOMEM, "evaluating the expression");
    for (size_t i = 0; r == 0 && i < json_array_size(a[1].value); i++) {
        json_t *value = NULL;
        r = node_evaluate(a[0].node, json_array_get(a[1].value, i), a[0].budget, &value, err);
        if (r == 0)
            json_array_append_new(list, value);
    }
    if (r == 0)
        return give(list, ret, err);
    json_decref(list);
    return r;
}

/* --- order ---------------------------------------------------------------------------------- */

struct keyed {
    json_t *key, *value;
    size_t index;
};

static int by_key(const void *left, const void *right)
{
    const struct keyed *a = left;
    const struct keyed *b = right;
    int order = value_order(a->key, b->key);
    if (order != 0)
        return order;
    return (a->index > b->index) - (a->index < b->index); /* stable */
}

static void keyed_free(struct keyed *list, size_t size)
{
    for (size_t i = 0; list && i < size; i++)
        json_decref(list[i].key);
    free(list);
}

/* The elements with their keys: what `by` makes of them, or themselves. All keys are numbers or
 * all are strings. */
static int keys_of(const char *name, const json_t *array, const struct argument *by,
                   struct keyed **ret, struct error *err)
{
    size_t size = json_array_size(array);
    struct keyed *list = calloc(size + 1, sizeof(*list));
    int r = 0;
    if (!list) {
        error_errno(err, ENOMEM, "evaluating the expression");
        return -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < size; i++) {
        list[i].value = json_array_get(array, i);
        list[i].index = i;
        if (by)
            r = node_evaluate(by->node, list[i].value, by->budget, &list[i].key, err);
        else
            list[i].key = json_incref(list[i].value);
        if (r < 0)
            break;
        bool fits =
            json_is_number(list[0].key) ? json_is_number(list[i].key) : json_is_string(list[i].key);
        if (!fits)
            r = error_usage(err,
                            "invalid-type: %s(): the keys must all be numbers or all be strings; "
                            "that of element %zu is not",
                            name, i);
    }
    if (r < 0) {
        keyed_free(list, size);
        return r;
    }
    *ret = list;
    return 0;
}

static int sorted(const char *name, const json_t *array, const struct argument *by, json_t **ret,
                  struct error *err)
{
    struct keyed *list = NULL;
    size_t size = json_array_size(array);
    int r = keys_of(name, array, by, &list, err);
    if (r < 0)
        return r;
    qsort(list, size, sizeof(*list), by_key);
    json_t *made = json_array();
    for (size_t i = 0; i < size; i++)
        json_array_append(made, list[i].value);
    keyed_free(list, size);
    return give(made, ret, err);
}

/* The first of the largest (sign 1) or smallest (-1); null of an empty array. */
static int extreme(const char *name, const json_t *array, const struct argument *by, int sign,
                   json_t **ret, struct error *err)
{
    struct keyed *list = NULL;
    size_t size = json_array_size(array);
    int r = keys_of(name, array, by, &list, err);
    if (r < 0)
        return r;
    size_t best = 0;
    for (size_t i = 1; i < size; i++) {
        int order = value_order(list[i].key, list[best].key);
        if (sign > 0 ? order > 0 : order < 0)
            best = i;
    }
    json_t *found = size > 0 ? list[best].value : json_null();
    json_incref(found);
    keyed_free(list, size);
    return give(found, ret, err);
}

FUNCTION(sort)
{
    (void)count;
    return sorted("sort", a->value, NULL, ret, err);
}

FUNCTION(sort_by)
{
    (void)count;
    return sorted("sort_by", a[0].value, &a[1], ret, err);
}

FUNCTION(max)
{
    (void)count;
    return extreme("max", a->value, NULL, 1, ret, err);
}

FUNCTION(min)
{
    (void)count;
    return extreme("min", a->value, NULL, -1, ret, err);
}

FUNCTION(max_by)
{
    (void)count;
    return extreme("max_by", a[0].value, &a[1], 1, ret, err);
}

FUNCTION(min_by)
{
    (void)count;
    return extreme("min_by", a[0].value, &a[1], -1, ret, err);
}

const struct function FUNCTIONS[] = {
    {"abs", 1, false, {TYPE_NUMBER}, call_abs},
    {"avg", 1, false, {TYPE_NUMBERS}, call_avg},
    {"ceil", 1, false, {TYPE_NUMBER}, call_ceil},
    {"contains", 2, false, {TYPE_ARRAY | TYPE_STRING, TYPE_ANY}, call_contains},
    {"ends_with", 2, false, {TYPE_STRING, TYPE_STRING}, call_ends_with},
    {"floor", 1, false, {TYPE_NUMBER}, call_floor},
    {"join", 2, false, {TYPE_STRING, TYPE_STRINGS}, call_join},
    {"keys", 1, false, {TYPE_OBJECT}, call_keys},
    {"length", 1, false, {TYPE_STRING | TYPE_ARRAY | TYPE_OBJECT}, call_length},
    {"map", 2, false, {TYPE_REFERENCE, TYPE_ARRAY}, call_map},
    {"max", 1, false, {TYPE_NUMBERS | TYPE_STRINGS}, call_max},
    {"max_by", 2, false, {TYPE_ARRAY, TYPE_REFERENCE}, call_max_by},
    {"merge", 1, true, {TYPE_OBJECT}, call_merge},
    {"min", 1, false, {TYPE_NUMBERS | TYPE_STRINGS}, call_min},
    {"min_by", 2, false, {TYPE_ARRAY, TYPE_REFERENCE}, call_min_by},
    {"not_null", 1, true, {TYPE_ANY | TYPE_REFERENCE}, call_not_null},
    {"reverse", 1, false, {TYPE_STRING | TYPE_ARRAY}, call_reverse},
    {"sort", 1, false, {TYPE_NUMBERS | TYPE_STRINGS}, call_sort},
    {"sort_by", 2, false, {TYPE_ARRAY, TYPE_REFERENCE}, call_sort_by},
    {"starts_with", 2, false, {TYPE_STRING, TYPE_STRING}, call_starts_with},
    {"sum", 1, false, {TYPE_NUMBERS}, call_sum},
    {"to_array", 1, false, {TYPE_ANY}, call_to_array},
    {"to_number", 1, false, {TYPE_ANY}, call_to_number},
    {"to_string", 1, false, {TYPE_ANY}, call_to_string},
    {"type", 1, false, {TYPE_ANY}, call_type},
    {"values", 1, false, {TYPE_OBJECT}, call_values},
    {NULL},
};
