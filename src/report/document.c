/* SPDX-License-Identifier: Apache-2.0 */
#include "report/document.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct document *document_new(const char *title)
{
    struct document *document = calloc(1, sizeof(*document));
    if (!document)
        return NULL;
    document->title = strdup(title);
    document->failed = !document->title;
    return document;
}

static void block_done(struct block *block)
{
    free(block->text);
    free(block->extra);
    free(block->svg);
    free(block->narrow);
    for (size_t i = 0; i < block->cell_count; i++)
        free(block->cells[i]);
    free(block->cells);
}

void document_free(struct document *document)
{
    if (!document)
        return;
    for (size_t i = 0; i < document->count; i++)
        block_done(&document->blocks[i]);
    free(document->blocks);
    free(document->title);
    free(document);
}

/* A new block at the end; NULL after a failed allocation. */
static struct block *add(struct document *document, enum block_kind kind)
{
    if (document->count == document->capacity) {
        size_t capacity = document->capacity ? 2 * document->capacity : 64;
        struct block *blocks = realloc(document->blocks, capacity * sizeof(*blocks));
        if (!blocks) {
            document->failed = true;
            return NULL;
        }
        document->blocks = blocks;
        document->capacity = capacity;
    }
    struct block *block = &document->blocks[document->count++];
    *block = (struct block){.kind = kind};
    return block;
}

/* Replace the marks of a format string. They take turns: the first opens, the next closes. */
static char *mark_format(const char *format)
{
    char *marked = strdup(format);
    bool strong = false;
    bool code = false;
    for (char *at = marked; at && *at; at++) {
        if (*at == '*') {
            *at = strong ? MARK_STRONG_END : MARK_STRONG;
            strong = !strong;
        } else if (*at == '`') {
            *at = code ? MARK_CODE_END : MARK_CODE;
            code = !code;
        }
    }
    return marked;
}

/* The callers' formats are checked by the compiler; the marks change nothing about their arguments.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static char *format_text(struct document *document, const char *format, va_list args)
{
    AUTO_FREE char *marked = mark_format(format);
    char *text = NULL;
    if (marked && vasprintf(&text, marked, args) >= 0)
        return text;
    document->failed = true;
    return NULL;
}
#pragma GCC diagnostic pop

static struct block *add_text(struct document *document, enum block_kind kind, const char *format,
                              va_list args)
{
    struct block *block = add(document, kind);
    if (block)
        block->text = format_text(document, format, args);
    return block;
}

void document_section(struct document *document, const char *title)
{
    struct block *block = add(document, BLOCK_SECTION);
    if (block && !(block->text = strdup(title)))
        document->failed = true;
}

void document_subsection(struct document *document, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(document, BLOCK_SUBSECTION, format, args);
    va_end(args);
}

void document_paragraph(struct document *document, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(document, BLOCK_PARAGRAPH, format, args);
    va_end(args);
}

void document_note(struct document *document, enum tone tone, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct block *block = add_text(document, BLOCK_NOTE, format, args);
    va_end(args);
    if (block)
        block->tone = tone;
}

void document_answer(struct document *document, enum tone tone, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct block *block = add_text(document, BLOCK_ANSWER, format, args);
    va_end(args);
    if (block)
        block->tone = tone;
}

void document_code(struct document *document, const char *text)
{
    struct block *block = add(document, BLOCK_CODE);
    if (block && !(block->text = strdup(text)))
        document->failed = true;
}

static void add_cell(struct document *document, struct block *block, char *text)
{
    if (block->cell_count == block->cell_capacity) {
        size_t capacity = block->cell_capacity ? 2 * block->cell_capacity : 16;
        char **cells = realloc(block->cells, capacity * sizeof(*cells));
        if (!cells) {
            document->failed = true;
            free(text);
            return;
        }
        block->cells = cells;
        block->cell_capacity = capacity;
    }
    block->cells[block->cell_count++] = text;
}

static struct block *last_of(struct document *document, enum block_kind kind)
{
    if (document->count == 0 || document->blocks[document->count - 1].kind != kind)
        return NULL;
    return &document->blocks[document->count - 1];
}

void document_fact(struct document *document, const char *question, const char *format, ...)
{
    struct block *block = last_of(document, BLOCK_FACTS);
    if (!block)
        block = add(document, BLOCK_FACTS);
    if (!block)
        return;
    block->columns = 2;
    va_list args;
    va_start(args, format);
    char *text = format_text(document, format, args);
    va_end(args);
    char *label = strdup(question);
    if (!text || !label) {
        document->failed = true;
        free(text);
        free(label);
        return;
    }
    add_cell(document, block, label);
    add_cell(document, block, text);
}

void document_item(struct document *document, const char *format, ...)
{
    struct block *block = last_of(document, BLOCK_LIST);
    if (!block)
        block = add(document, BLOCK_LIST);
    if (!block)
        return;
    block->columns = 1;
    va_list args;
    va_start(args, format);
    char *text = format_text(document, format, args);
    va_end(args);
    if (text)
        add_cell(document, block, text);
}

void document_table(struct document *document, const char *const *headings)
{
    struct block *block = add(document, BLOCK_TABLE);
    while (block && *headings && block->columns < DOCUMENT_COLUMNS_MAX) {
        block->right[block->columns++] = **headings == '>';
        char *text = strdup(*headings + (**headings == '>'));
        if (!text)
            document->failed = true;
        else
            add_cell(document, block, text);
        headings++;
    }
}

void document_cell(struct document *document, const char *format, ...)
{
    struct block *block = last_of(document, BLOCK_TABLE);
    if (!block)
        return;
    va_list args;
    va_start(args, format);
    char *text = format_text(document, format, args);
    va_end(args);
    if (text)
        add_cell(document, block, text);
}

void document_figure(struct document *document, char *svg, const char *title,
                     const char *description)
{
    struct block *block = add(document, BLOCK_FIGURE);
    if (!block) {
        free(svg);
        return;
    }
    block->svg = svg;
    block->text = strdup(title);
    block->extra = strdup(description);
    if (!block->svg || !block->text || !block->extra)
        document->failed = true;
}

void document_figure_narrow(struct document *document, char *html)
{
    struct block *block = last_of(document, BLOCK_FIGURE);
    if (block)
        block->narrow = html;
    else
        free(html);
}

const struct block *document_find_figure(const struct document *document, unsigned number)
{
    for (size_t i = 0; i < document->count; i++) {
        if (document->blocks[i].kind == BLOCK_FIGURE && --number == 0)
            return &document->blocks[i];
    }
    return NULL;
}

const char *document_figure_name(unsigned number, char text[static FIGURE_NAME_MAX])
{
    snprintf(text, FIGURE_NAME_MAX, "figure-%02u.svg", number);
    return text;
}

bool document_is_bound(const char *text, const char *at)
{
    static const char *const units[] = {"%",  "B",  "KiB", "MiB", "GiB", "TiB",
                                        "us", "ms", "s",   "min", "h",   "d"};
    if (*at != ' ' || at == text || at[-1] < '0' || at[-1] > '9')
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t length = strlen(units[i]);
        if (strncmp(at + 1, units[i], length) == 0 && !isalnum((unsigned char)at[1 + length]))
            return true;
    }
    return false;
}

bool document_row_id(const char *cell, char *id, size_t size)
{
    const char *end = strchr(cell, MARK_REF_END);
    if (cell[0] != MARK_REF || !end || end[1] != '\0' || (size_t)(end - cell) > size)
        return false;
    memcpy(id, cell + 1, (size_t)(end - cell) - 1);
    id[end - cell - 1] = '\0';
    return id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")] == '\0';
}
