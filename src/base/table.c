/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct table {
    size_t columns;
    size_t rows; /* the heading row included */
    bool right[TABLE_COLUMNS_MAX];
    char **cells; /* rows x columns, owned */
};

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

int table_add(struct table *table, const char *const *cells)
{
    if (table->columns == 0)
        return 0;
    size_t old = table->rows * table->columns;
    char **grown = realloc(table->cells, (old + table->columns) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    table->cells = grown;
    for (size_t i = 0; i < table->columns; i++) {
        grown[old + i] = strdup(cells[i] ? cells[i] : "");
        if (!grown[old + i]) {
            while (i > 0)
                free(grown[old + --i]);
            return -ENOMEM;
        }
    }
    table->rows++;
    return 0;
}

struct table *table_new(const char *const *headings)
{
    struct table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    const char *names[TABLE_COLUMNS_MAX];
    while (table->columns < TABLE_COLUMNS_MAX && headings[table->columns]) {
        const char *name = headings[table->columns];
        table->right[table->columns] = *name == '>';
        names[table->columns++] = *name == '>' ? name + 1 : name;
    }
    if (table_add(table, names) < 0) {
        table_free(table);
        return NULL;
    }
    return table;
}

static size_t display_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_times(char sign, size_t count, FILE *out)
{
    while (count-- > 0)
        fputc(sign, out);
}

static void print_rule(const size_t *widths, size_t columns, FILE *out)
{
    for (size_t i = 0; i < columns; i++) {
        print_times('-', widths[i], out);
        fputs(i + 1 == columns ? "\n" : "  ", out);
    }
}

static void print_all(const struct table *table, bool ruled, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t width = display_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t column = 0; column < table->columns; column++) {
            const char *cell = table->cells[row * table->columns + column];
            size_t padding = widths[column] - display_width(cell);
            bool last = column + 1 == table->columns;
            if (table->right[column])
                print_times(' ', padding, out);
            fputs(cell, out);
            if (!table->right[column] && !last)
                print_times(' ', padding, out);
            fputs(last ? "\n" : "  ", out);
        }
        if (ruled && row == 0)
            print_rule(widths, table->columns, out);
    }
}

void table_print(const struct table *table, FILE *out)
{
    print_all(table, false, out);
}

void table_print_ruled(const struct table *table, FILE *out)
{
    print_all(table, true, out);
}
