/* SPDX-License-Identifier: Apache-2.0 */
/* Calls by name: unknown names, wrong counts and wrong types are refused here. */
#include "base/buffer.h"
#include "base/plural.h"
#include "jmespath/internal.h"

#include <string.h>

static const struct {
    unsigned type;
    const char *name;
} TYPES[] = {
    {TYPE_NUMBER, "number"},
    {TYPE_STRING, "string"},
    {TYPE_BOOLEAN, "boolean"},
    {TYPE_ARRAY, "array"},
    {TYPE_OBJECT, "object"},
    {TYPE_NULL, "null"},
    {TYPE_REFERENCE, "expression (&...)"},
    {TYPE_NUMBERS, "array of numbers"},
    {TYPE_STRINGS, "array of strings"},
};

static unsigned type_of(const struct argument *argument)
{
    if (!argument->value)
        return TYPE_REFERENCE;
    switch (json_typeof(argument->value)) {
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return TYPE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return TYPE_NULL;
}

static bool all(const json_t *array, bool numbers)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (numbers ? !json_is_number(item) : !json_is_string(item))
            return false;
    }
    return true;
}

static bool fits(const struct argument *argument, unsigned types)
{
    unsigned type = type_of(argument);
    if (type & types)
        return true;
    return type == TYPE_ARRAY && (((types & TYPE_NUMBERS) && all(argument->value, true)) ||
                                  ((types & TYPE_STRINGS) && all(argument->value, false)));
}

static int wrong_type(const struct function *function, size_t index, unsigned types, unsigned found,
                      struct error *err)
{
    AUTO_BUFFER wanted = {0};
    const char *name = "value";
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (types & TYPES[i].type)
            buffer_printf(&wanted, "%s%s", wanted.length ? " or " : "", TYPES[i].name);
        if (found == TYPES[i].type)
            name = TYPES[i].name;
    }
    return error_usage(err, "invalid-type: %s(): argument %zu is %s %s; it takes %s",
                       function->name, index + 1, strchr("aeo", name[0]) ? "an" : "a", name,
                       buffer_text(&wanted));
}

int function_call(const char *name, const struct argument *arguments, size_t count, json_t **ret,
                  struct error *err)
{
    const struct function *function = FUNCTIONS;
    while (function->name && strcmp(function->name, name) != 0)
        function++;
    if (!function->name)
        return error_usage(err, "unknown-function: %.60s()", name);
    unsigned least = function->min_arguments;
    if (count < least || (count > least && !function->variadic))
        return error_usage(err, "invalid-arity: %s() takes %s%u argument%s, not %zu", name,
                           function->variadic ? "at least " : "", least, plural((double)least),
                           count);
    for (size_t i = 0; i < count; i++) {
        unsigned types = function->types[i < least ? i : least - 1];
        if (!fits(&arguments[i], types))
            return wrong_type(function, i, types, type_of(&arguments[i]), err);
    }
    return function->call(arguments, count, ret, err);
}
