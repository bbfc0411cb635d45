/* SPDX-License-Identifier: Apache-2.0 */
/* --query and --output, as knack (the library below az) prints. */
#include "cli/az.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "base/terminal.h"
#include "jmespath/jmespath.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* --- json ----------------------------------------------------------------------------------- */

static int print_json(const json_t *json, bool colour)
{
    AUTO_FREE char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (!text)
        return -ENOMEM;
    const char *on = colour ? terminal_colour(STDOUT_FILENO, COLOUR_BLUE) : "";
    const char *off = on[0] ? terminal_colour(STDOUT_FILENO, COLOUR_NONE) : "";
    for (char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        size_t indent = strspn(line, " ");
        char *colon = memmem(line, length, "\": ", 3);
        if (on[0] && line[indent] == '"' && colon)
            printf("%.*s%s%.*s%s%.*s\n", (int)indent, line, on,
                   (int)(colon + 1 - line - (ptrdiff_t)indent), line + indent, off,
                   (int)(length - (size_t)(colon + 1 - line)), colon + 1);
        else
            printf("%.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    return 0;
}

/* --- tsv ------------------------------------------------------------------------------------ */

static void print_tsv_value(const json_t *value)
{
    if (json_is_string(value))
        fputs(json_string_value(value), stdout);
    else if (json_is_null(value))
        fputs("None", stdout);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "True" : "False", stdout);
    else if (json_is_array(value))
        printf("%zu", json_array_size(value));
    else if (!json_is_object(value)) /* an object is an empty cell */
        json_dumpf(value, stdout, JSON_ENCODE_ANY);
}

static void print_tsv_row(const json_t *row)
{
    const char *separator = "";
    size_t i = 0;
    const char *key = NULL;
    json_t *value = NULL;
    if (json_is_array(row)) {
        json_array_foreach(row, i, value)
        {
            fputs(separator, stdout);
            print_tsv_value(value);
            separator = "\t";
        }
    } else if (json_is_object(row)) {
        json_object_foreach((json_t *)row, key, value)
        {
            fputs(separator, stdout);
            print_tsv_value(value);
            separator = "\t";
        }
    } else if (json_is_boolean(row)) {
        fputs(json_is_true(row) ? "true" : "false", stdout);
    } else {
        print_tsv_value(row);
    }
    putchar('\n');
}

static void print_tsv(const json_t *json)
{
    size_t i = 0;
    const json_t *row = NULL;
    if (json_is_null(json))
        return;
    if (!json_is_array(json)) {
        print_tsv_row(json);
        return;
    }
    json_array_foreach(json, i, row)
    {
        print_tsv_row(row);
    }
}

/* --- table ---------------------------------------------------------------------------------- */

struct columns {
    char names[TABLE_COLUMNS_MAX][64];
    const char *keys[TABLE_COLUMNS_MAX]; /* borrowed; NULL: the array's index */
    size_t count;
};

static bool hidden(const char *key)
{
    static const char *const names[] = {"id", "type", "etag", "properties"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(key, names[i]) == 0)
            return true;
    }
    return false;
}

static bool has_column(const struct columns *columns, const char *key)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (strcmp(columns->keys[i], key) == 0)
            return true;
    }
    return false;
}

/* Its simple values that are there; null has no column of its own. */
static void add_columns(const json_t *row, struct columns *ret)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)row, key, value)
    {
        if (hidden(key) || json_is_object(value) || json_is_array(value) || json_is_null(value) ||
            ret->count == TABLE_COLUMNS_MAX || has_column(ret, key))
            continue;
        snprintf(ret->names[ret->count], sizeof(ret->names[0]), "%c%s",
                 toupper((unsigned char)key[0]), key + 1);
        ret->keys[ret->count++] = key;
    }
}

/* Those of all rows: one may have what another has not. */
static void find_columns(const json_t *json, struct columns *ret)
{
    const json_t *first = json_is_array(json) ? json_array_get(json, 0) : json;
    size_t i = 0;
    const json_t *row = NULL;
    *ret = (struct columns){0};
    if (!json_is_array(json))
        add_columns(json, ret);
    json_array_foreach(json, i, row)
    {
        if (json_is_object(row))
            add_columns(row, ret);
    }
    for (size_t k = 0; ret->count == 0 && k < json_array_size(first) && k < TABLE_COLUMNS_MAX; k++)
        snprintf(ret->names[k], sizeof(ret->names[0]), "Column%zu", k + 1);
    if (ret->count == 0)
        ret->count =
            json_array_size(first) < TABLE_COLUMNS_MAX ? json_array_size(first) : TABLE_COLUMNS_MAX;
    if (ret->count == 0)
        snprintf(ret->names[ret->count++], sizeof(ret->names[0]), "Result");
}

static char *cell_text(const json_t *row, const struct columns *columns, size_t column)
{
    const json_t *value = row;
    if (json_is_object(row))
        value = columns->keys[column] ? json_object_get(row, columns->keys[column]) : NULL;
    else if (json_is_array(row))
        value = json_array_get(row, column);
    if (!value || json_is_null(value))
        return strdup("");
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "True" : "False");
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static int add_row(struct table *table, const struct columns *columns, const json_t *row)
{
    char *cells[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < columns->count; i++)
        cells[i] = cell_text(row, columns, i);
    int r = table_add(table, (const char *const *)cells);
    for (size_t i = 0; i < columns->count; i++)
        free(cells[i]);
    return r;
}

static int print_table(const json_t *json)
{
    struct columns columns;
    const char *headings[TABLE_COLUMNS_MAX + 1] = {0};
    bool list = json_is_array(json);
    size_t rows = list ? json_array_size(json) : 1;
    if (json_is_null(json) || rows == 0)
        return 0;
    find_columns(json, &columns);
    for (size_t i = 0; i < columns.count; i++)
        headings[i] = columns.names[i];
    struct table *table = table_new(headings);
    int r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < rows; i++)
        r = add_row(table, &columns, list ? json_array_get(json, i) : json);
    if (r == 0)
        table_print_ruled(table, stdout);
    table_free(table);
    return r;
}

/* --- all ------------------------------------------------------------------------------------ */

static int apply(const char *text, json_t **json, struct error *err)
{
    struct jmespath *expression = NULL;
    json_t *found = NULL;
    int r = jmespath_compile(text, &expression, err);
    if (r == 0)
        r = jmespath_search(expression, *json, &found, err);
    jmespath_free(expression);
    if (r < 0)
        return error_wrap(err, "--query");
    json_decref(*json);
    *json = found;
    return 0;
}

static int print_as(const char *output, const json_t *json, struct error *err)
{
    int r = 0;
    if (strcmp(output, "json") == 0 || strcmp(output, "jsonc") == 0)
        r = print_json(json, output[4] == 'c');
    else if (strcmp(output, "tsv") == 0)
        print_tsv(json);
    else if (strcmp(output, "table") == 0)
        r = print_table(json);
    else if (strcmp(output, "yaml") == 0 || strcmp(output, "yamlc") == 0)
        r = yaml_print_json(json, stdout);
    else if (strcmp(output, "none") != 0)
        return error_usage(err,
                           "--output is json, jsonc, none, table, tsv, yaml or yamlc, not "
                           "'%.40s'",
                           output);
    return r < 0 ? error_errno(err, -r, "printing the result") : 0;
}

int az_print(const struct az_arguments *arguments, json_t *result, const char *table,
             struct error *err)
{
    const char *output = arguments->output ? arguments->output : "json";
    int r = result ? 0 : error_errno(err, ENOMEM, "printing the result");
    bool has_table = table && strcmp(output, "table") == 0;
    if (r == 0 && arguments->collection) {
        arguments->collection->table = table;
        json_array_append_new(arguments->collection->list, result);
        return 0;
    }
    if (r == 0 && arguments->query)
        r = apply(arguments->query, &result, err);
    else if (r == 0 && has_table)
        r = apply(table, &result, err);
    /* A query without a match prints nothing, as az. */
    if (r == 0 && !(arguments->query && json_is_null(result)))
        r = print_as(output, result, err);
    json_decref(result);
    return r;
}

void az_add_group(json_t *resource)
{
    char group[128] = "";
    const char *id = json_string_value(json_object_get(resource, "id"));
    if (id && sscanf(id, "/subscriptions/%*[^/]/resourceGroups/%127[^/]", group) == 1 &&
        strstr(id, "/providers/"))
        json_object_set_new(resource, "resourceGroup", json_string(group));
}
