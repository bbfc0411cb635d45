/* SPDX-License-Identifier: Apache-2.0 */
#include "jmespath/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct error *err)
{
    error_errno(err, ENOMEM, "evaluating the expression");
    return -ENOMEM;
}

static int invalid(struct error *err, const char *text)
{
    error_usage(err, "%s", text);
    return -EINVAL;
}

static int give(json_t *value, json_t **ret, struct error *err)
{
    if (!value)
        return out_of_memory(err);
    *ret = value;
    return 0;
}

bool value_true(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_FALSE:
    case JSON_NULL:
        return false;
    case JSON_TRUE:
    case JSON_INTEGER:
    case JSON_REAL:
        break;
    }
    return true;
}

static bool equal_arrays(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!value_equal(json_array_get(a, i), json_array_get(b, i)))
            return false;
    }
    return true;
}

static bool equal_objects(const json_t *a, const json_t *b)
{
    if (json_object_size(a) != json_object_size(b))
        return false;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !value_equal(value, other))
            return false;
    }
    return true;
}

int value_order(const json_t *a, const json_t *b)
{
    if (json_is_string(a))
        return strcmp(json_string_value(a), json_string_value(b));
    if (json_is_integer(a) && json_is_integer(b))
        return (json_integer_value(a) > json_integer_value(b)) -
               (json_integer_value(a) < json_integer_value(b));
    double x = json_number_value(a);
    double y = json_number_value(b);
    return (x > y) - (x < y);
}

bool value_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return value_order(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a))
        return equal_arrays(a, b);
    if (json_is_object(a))
        return equal_objects(a, b);
    return json_equal(a, b);
}

static json_t *compare(enum token_kind comparator, const json_t *a, const json_t *b)
{
    if (comparator == TOKEN_EQ)
        return json_boolean(value_equal(a, b));
    if (comparator == TOKEN_NE)
        return json_boolean(!value_equal(a, b));
    bool numbers = json_is_number(a) && json_is_number(b);
    bool strings = json_is_string(a) && json_is_string(b);
    if (!numbers && !strings)
        return json_null();
    int order = value_order(a, b);
    switch ((int)comparator) {
    case TOKEN_LT:
        return json_boolean(order < 0);
    case TOKEN_LE:
        return json_boolean(order <= 0);
    case TOKEN_GT:
        return json_boolean(order > 0);
    default:
        return json_boolean(order >= 0);
    }
}

static json_t *index_of(const json_t *array, int64_t index)
{
    int64_t size = (int64_t)json_array_size(array);
    if (index < 0)
        index += size;
    json_t *found = index >= 0 ? json_array_get(array, (size_t)index) : NULL;
    return found ? json_incref(found) : json_null();
}

/* A bound of a slice as Python adjusts it. */
static int64_t bound(const struct node *node, unsigned part, int64_t size, int64_t step)
{
    int64_t low = step < 0 ? -1 : 0;
    int64_t high = step < 0 ? size - 1 : size;
    if (!node->has_slice[part])
        return (part == 0) == (step > 0) ? low : high;
    int64_t value = node->slice[part];
    if (value < 0)
        value = value < -size ? -1 - size : value + size;
    return value < low ? low : value > high ? high : value;
}

static int slice_of(const struct node *node, json_t *array, struct budget *budget, json_t **ret,
                    struct error *err)
{
    int64_t size = (int64_t)json_array_size(array);
    int64_t step = node->has_slice[2] ? node->slice[2] : 1;
    if (step == 0)
        return invalid(err, "invalid-value: the step of a slice cannot be 0");
    if (step > size)
        step = size + 1;
    if (step < -size)
        step = -size - 1;
    int64_t stop = bound(node, 1, size, step);
    int r = budget_charge(budget, (size_t)size, err);
    if (r < 0)
        return r;
    json_t *list = json_array();
    for (int64_t i = bound(node, 0, size, step); step > 0 ? i < stop : i > stop; i += step)
        json_array_append(list, json_array_get(array, (size_t)i));
    return give(list, ret, err);
}

/* Append what the right side makes of `item`, unless that is null. */
static int project(const struct node *right, json_t *item, struct budget *budget, json_t *list,
                   struct error *err)
{
    json_t *value = NULL;
    int r = node_evaluate(right, item, budget, &value, err);
    if (r == 0 && !json_is_null(value) && json_array_append(list, value) < 0)
        r = out_of_memory(err);
    json_decref(value);
    return r;
}

static int filter(const struct node *node, json_t *item, struct budget *budget, json_t *list,
                  struct error *err)
{
    json_t *condition = NULL;
    int r = node_evaluate(node->children[2], item, budget, &condition, err);
    if (r == 0 && value_true(condition))
        r = project(node->children[1], item, budget, list, err);
    json_decref(condition);
    return r;
}

static int project_all(const struct node *node, json_t *base, struct budget *budget, json_t **ret,
                       struct error *err)
{
    bool values = node->kind == NODE_VALUE_PROJECTION;
    if (values ? !json_is_object(base) : !json_is_array(base))
        return give(json_null(), ret, err);
    json_t *list = json_array();
    int r = list ? 0 : out_of_memory(err);
    size_t i = 0;
    const char *key = NULL;
    json_t *item = NULL;
    if (values) {
        json_object_foreach(base, key, item)
        {
            if (r == 0)
                r = project(node->children[1], item, budget, list, err);
        }
    } else {
        json_array_foreach(base, i, item)
        {
            if (r == 0)
                r = node->kind == NODE_FILTER_PROJECTION
                        ? filter(node, item, budget, list, err)
                        : project(node->children[1], item, budget, list, err);
        }
    }
    if (r < 0) {
        json_decref(list);
        return r;
    }
    *ret = list;
    return 0;
}

static int flatten(json_t *base, struct budget *budget, json_t **ret, struct error *err)
{
    if (!json_is_array(base))
        return give(json_null(), ret, err);
    json_t *list = json_array();
    int r = 0;
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(base, i, item)
    {
        if (r < 0)
            break;
        r = budget_charge(budget, 1 + json_array_size(item), err);
        if (r == 0 && json_is_array(item))
            json_array_extend(list, item);
        else if (r == 0)
            json_array_append(list, item);
    }
    if (r == 0)
        return give(list, ret, err);
    json_decref(list);
    return r;
}

static int multi(const struct node *node, json_t *value, struct budget *budget, json_t **ret,
                 struct error *err)
{
    if (json_is_null(value))
        return give(json_null(), ret, err);
    bool hash = node->kind == NODE_MULTI_HASH;
    json_t *made = hash ? json_object() : json_array();
    int r = made ? 0 : out_of_memory(err);
    for (size_t i = 0; r == 0 && i < node->count; i++) {
        const struct node *child = node->children[i];
        json_t *item = NULL;
        r = node_evaluate(hash ? child->children[0] : child, value, budget, &item, err);
        if (r == 0 && (hash ? json_object_set_new(made, json_string_value(child->value), item)
                            : json_array_append_new(made, item)) < 0)
            r = out_of_memory(err);
    }
    if (r < 0) {
        json_decref(made);
        return r;
    }
    *ret = made;
    return 0;
}

static int call(const struct node *node, json_t *value, struct budget *budget, json_t **ret,
                struct error *err)
{
    struct argument *arguments = calloc(node->count + 1, sizeof(*arguments));
    int r = 0;
    if (!arguments)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < node->count; i++) {
        const struct node *child = node->children[i];
        arguments[i].budget = budget;
        if (child->kind == NODE_REFERENCE)
            arguments[i].node = child->children[0];
        else
            r = node_evaluate(child, value, budget, &arguments[i].value, err);
        if (r == 0)
            r = budget_charge_whole(budget, arguments[i].value, err);
    }
    if (r == 0)
        r = function_call(json_string_value(node->value), arguments, node->count, ret, err);
    for (size_t i = 0; i < node->count; i++)
        json_decref(arguments[i].value);
    free(arguments);
    return r;
}

/* Nodes that begin with the value of their first child. */
static int evaluate_left(const struct node *node, json_t *left, json_t *value,
                         struct budget *budget, json_t **ret, struct error *err)
{
    json_t *right = NULL;
    int r = 0;
    switch ((int)node->kind) {
    case NODE_CHAIN:
        return node_evaluate(node->children[1], left, budget, ret, err);
    case NODE_OR:
    case NODE_AND:
        if (value_true(left) == (node->kind == NODE_OR))
            return give(json_incref(left), ret, err);
        return node_evaluate(node->children[1], value, budget, ret, err);
    case NODE_NOT:
        return give(json_boolean(!value_true(left)), ret, err);
    case NODE_FLATTEN:
        return flatten(left, budget, ret, err);
    case NODE_COMPARISON:
        r = node_evaluate(node->children[1], value, budget, &right, err);
        if (r == 0)
            r = budget_charge_whole(budget, left, err);
        if (r == 0)
            *ret = compare(node->comparator, left, right);
        json_decref(right);
        return r;
    default:
        return project_all(node, left, budget, ret, err);
    }
}

int node_evaluate(const struct node *node, json_t *value, struct budget *budget, json_t **ret,
                  struct error *err)
{
    json_t *found = NULL;
    int r = budget_charge(budget, 1, err);
    if (r < 0)
        return r;
    switch ((int)node->kind) {
    case NODE_IDENTITY:
        return give(json_incref(value), ret, err);
    case NODE_LITERAL:
        return give(json_incref(node->value), ret, err);
    case NODE_FIELD:
        found = json_object_get(value, json_string_value(node->value));
        return give(found ? json_incref(found) : json_null(), ret, err);
    case NODE_INDEX:
        return give(json_is_array(value) ? index_of(value, node->index) : json_null(), ret, err);
    case NODE_SLICE:
        if (!json_is_array(value))
            return give(json_null(), ret, err);
        return slice_of(node, value, budget, ret, err);
    case NODE_MULTI_LIST:
    case NODE_MULTI_HASH:
        return multi(node, value, budget, ret, err);
    case NODE_FUNCTION:
        return call(node, value, budget, ret, err);
    case NODE_REFERENCE:
        return invalid(err, "invalid-type: '&' stands only before a function's argument");
    default:
        break;
    }
    json_t *left = NULL;
    r = node_evaluate(node->children[0], value, budget, &left, err);
    if (r == 0)
        r = evaluate_left(node, left, value, budget, ret, err);
    json_decref(left);
    return r;
}

int jmespath_search(const struct jmespath *expression, json_t *document, json_t **ret,
                    struct error *err)
{
    struct budget budget = budget_for(document);
    json_t *found = NULL;
    int r = node_evaluate(expression->root, document, &budget, &found, err);
    if (r == 0)
        r = budget_charge_whole(&budget, found, err);
    if (r < 0) {
        json_decref(found);
        return r;
    }
    *ret = found;
    return 0;
}
