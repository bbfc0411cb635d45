/* SPDX-License-Identifier: Apache-2.0 */
/* The document as GitHub-flavoured Markdown. */
#include "report/document.h"

#include <string.h>

/* Backslash escapes make every ASCII punctuation literal (CommonMark 2.4); these have a meaning
 * anywhere in a line. */
static void put_plain(struct buffer *out, char c, bool in_table)
{
    if (strchr("\\`*_[]<&~", c) || (c == '|' && in_table))
        buffer_append(out, "\\", 1);
    buffer_append(out, c == '\n' || c == '\t' ? " " : &c, 1);
}

static size_t longest_run(const char *text, size_t length, char what)
{
    size_t longest = 0;
    for (size_t i = 0, run = 0; i < length; i++) {
        run = text[i] == what ? run + 1 : 0;
        if (run > longest)
            longest = run;
    }
    return longest;
}

static void put_times(struct buffer *out, char c, size_t times)
{
    while (times-- > 0)
        buffer_append(out, &c, 1);
}

/* A code span needs a fence longer than any run of backticks in it; in a table a bar ends the cell
 * even there, unless escaped (GFM 4.10). */
static void put_code_span(struct buffer *out, const char *text, size_t length, bool in_table)
{
    size_t fence = longest_run(text, length, '`') + 1;
    put_times(out, '`', fence);
    if (fence > 1)
        buffer_puts(out, " ");
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '|' && in_table)
            buffer_puts(out, "\\|");
        else
            buffer_append(out, text[i] == '\n' ? " " : &text[i], 1);
    }
    if (fence > 1)
        buffer_puts(out, " ");
    put_times(out, '`', fence);
}

/* What would start a heading, a list, a quotation or a rule at the start of a paragraph. Returns
 * how many characters were written. */
static size_t put_start(struct buffer *out, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 10 && text[digits] != '\0' && strchr(".)", text[digits]) &&
        (text[digits + 1] == ' ' || text[digits + 1] == '\0')) {
        buffer_append(out, text, digits);
        buffer_puts(out, "\\");
        buffer_append(out, text + digits, 1);
        return digits + 1;
    }
    if (*text != '\0' && strchr("-+=#>", *text))
        buffer_puts(out, "\\");
    return 0;
}

static void put_inline(struct buffer *out, const char *text, bool in_table)
{
    for (const char *at = text + (in_table ? 0 : put_start(out, text)); *at; at++) {
        switch ((unsigned char)*at) {
        case MARK_STRONG:
        case MARK_STRONG_END:
        case MARK_GOOD:
        case MARK_BAD:
        case MARK_BADGE_END:
            buffer_puts(out, "**");
            break;
        case MARK_REF:
            buffer_puts(out, "["); /* a link where put_definitions() defines one */
            break;
        case MARK_REF_END:
            buffer_puts(out, "]");
            break;
        case MARK_CODE: {
            const char *end = strchr(at, MARK_CODE_END);
            size_t length = end ? (size_t)(end - at - 1) : strlen(at + 1);
            if (length > 0)
                put_code_span(out, at + 1, length, in_table);
            at += length + (end ? 1 : 0);
            break;
        }
        default:
            if (document_is_bound(text, at))
                buffer_puts(out, DOCUMENT_NO_BREAK_SPACE);
            else
                put_plain(out, *at, in_table);
        }
    }
}

static void put_table(struct buffer *out, const struct block *block)
{
    for (size_t i = 0; i < block->cell_count; i++) {
        size_t column = i % block->columns;
        buffer_puts(out, column == 0 ? "| " : " | ");
        put_inline(out, block->cells[i], true);
        if (column + 1 < block->columns)
            continue;
        buffer_puts(out, " |\n");
        if (i + 1 != block->columns)
            continue;
        for (size_t c = 0; c < block->columns; c++)
            buffer_puts(out, block->right[c] ? "|---:" : "|---");
        buffer_puts(out, "|\n");
    }
}

static void put_code_block(struct buffer *out, const char *text)
{
    size_t fence = longest_run(text, strlen(text), '`') + 1;
    fence = fence < 3 ? 3 : fence;
    put_times(out, '`', fence);
    buffer_puts(out, "text\n");
    buffer_puts(out, text);
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] != '\n')
        buffer_puts(out, "\n");
    put_times(out, '`', fence);
    buffer_puts(out, "\n");
}

static void put_prefixed(struct buffer *out, const char *prefix, const char *text,
                         const char *suffix)
{
    buffer_puts(out, prefix);
    put_inline(out, text, false);
    buffer_puts(out, suffix);
}

/* The picture, and the same in words: a ticket that drops the picture still says what it shows. */
static void put_figure(struct buffer *out, const struct block *block, unsigned number)
{
    char name[FIGURE_NAME_MAX];
    buffer_puts(out, "![");
    put_inline(out, block->extra, false);
    buffer_printf(out, "](%s)\n\n", document_figure_name(number, name));
    put_prefixed(out, "*", block->text, "* ");
    put_prefixed(out, "", block->extra, "\n");
}

static void put_block(struct buffer *out, const struct block *block, unsigned *figures)
{
    switch (block->kind) {
    case BLOCK_SECTION:
        put_prefixed(out, "## ", block->text, "\n");
        break;
    case BLOCK_SUBSECTION:
        put_prefixed(out, "### ", block->text, "\n");
        break;
    case BLOCK_PARAGRAPH:
        put_prefixed(out, "", block->text, "\n");
        break;
    case BLOCK_ANSWER:
        put_prefixed(out, "> **", block->text, "**\n");
        break;
    case BLOCK_FACTS:
        for (size_t i = 0; i + 1 < block->cell_count; i += 2) {
            put_prefixed(out, "- ", block->cells[i], ": ");
            put_prefixed(out, "", block->cells[i + 1], "\n");
        }
        break;
    case BLOCK_NOTE:
        put_prefixed(out, "> ", block->text, "\n");
        break;
    case BLOCK_LIST:
        for (size_t i = 0; i < block->cell_count; i++)
            put_prefixed(out, "- ", block->cells[i], "\n");
        break;
    case BLOCK_TABLE:
        put_table(out, block);
        break;
    case BLOCK_CODE:
        put_code_block(out, block->text);
        break;
    case BLOCK_FIGURE:
        put_figure(out, block, ++*figures);
        break;
    }
}

/* GitHub gives headings an anchor, and nothing else: a reference leads to the section whose table
 * has its row. */
static void put_definitions(struct buffer *out, const struct document *document)
{
    const char *section = "";
    bool first = true;
    for (size_t i = 0; i < document->count; i++) {
        const struct block *block = &document->blocks[i];
        if (block->kind == BLOCK_SECTION)
            section = block->text;
        if (block->kind != BLOCK_TABLE || strcmp(section, DOCUMENT_EVIDENCE) != 0)
            continue;
        for (size_t k = block->columns; k < block->cell_count; k += block->columns) {
            char id[64];
            if (!document_row_id(block->cells[k], id, sizeof(id)))
                continue;
            buffer_printf(out, "%s[%s]: #evidence\n", first ? "\n" : "", id);
            first = false;
        }
    }
}

void markdown_write(const struct document *document, struct buffer *out)
{
    unsigned figures = 0;
    put_prefixed(out, "# ", document->title, "\n");
    for (size_t i = 0; i < document->count; i++) {
        buffer_puts(out, "\n");
        put_block(out, &document->blocks[i], &figures);
    }
    put_definitions(out, document);
}
