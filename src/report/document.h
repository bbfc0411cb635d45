/* SPDX-License-Identifier: Apache-2.0 */
/* The report as a sequence of blocks, which the Markdown and the HTML back-ends write out. The text
 * is written once.
 *
 * In a format string (and there alone) *words* are strong and `words` are code. Inside a document
 * such marks are control characters. Foreign text, which comes in through %s, holds none (rows.h
 * cleans it), so it never becomes markup, in whichever format. A failed allocation is remembered;
 * check document_failed() at the end. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Marked text as an argument. */
#define CODE(text) "\003" text "\004"
#define REF(id)    "\005" id "\006" /* an evidence id: E12 */
#define GOOD(text) "\016" text "\020"
#define BAD(text)  "\017" text "\020"

enum mark {
    MARK_STRONG = 1,
    MARK_STRONG_END,
    MARK_CODE,
    MARK_CODE_END,
    MARK_REF,
    MARK_REF_END,
    MARK_GOOD = 14,
    MARK_BAD,
    MARK_BADGE_END,
};

enum tone { TONE_NEUTRAL, TONE_GOOD, TONE_BAD };

enum block_kind {
    BLOCK_SECTION,
    BLOCK_SUBSECTION,
    BLOCK_PARAGRAPH,
    BLOCK_NOTE,
    BLOCK_ANSWER, /* the one sentence that says it all */
    BLOCK_FACTS,  /* pairs: a short question and its answer */
    BLOCK_LIST,
    BLOCK_TABLE,
    BLOCK_CODE,
    BLOCK_FIGURE,
};

#define DOCUMENT_COLUMNS_MAX 12

struct block {
    enum block_kind kind;
    enum tone tone;
    char *text;  /* heading, paragraph, note, code, or a figure's title */
    char *extra; /* a figure's description */
    char *svg;
    char *narrow;   /* the same, drawn for narrower windows; NULL: there is none */
    size_t columns; /* of a table; 1 for a list */
    bool right[DOCUMENT_COLUMNS_MAX]; /* right-aligned */
    char **cells;                     /* row by row; a table's first row are its headings */
    size_t cell_count, cell_capacity;
};

struct document {
    char *title;
    struct block *blocks;
    size_t count, capacity;
    bool failed;
};

struct document *document_new(const char *title);
void document_free(struct document *document);
static inline bool document_failed(const struct document *document)
{
    return !document || document->failed;
}

#define DOCUMENT_PRINTF(position, first) __attribute__((format(printf, position, first)))

void document_section(struct document *document, const char *title);
void document_subsection(struct document *document, const char *format, ...) DOCUMENT_PRINTF(2, 3);
void document_paragraph(struct document *document, const char *format, ...) DOCUMENT_PRINTF(2, 3);
void document_note(struct document *document, enum tone tone, const char *format, ...)
    DOCUMENT_PRINTF(3, 4);
/* The answer of the whole document, in large letters. */
void document_answer(struct document *document, enum tone tone, const char *format, ...)
    DOCUMENT_PRINTF(3, 4);
/* A short question and its answer; facts in a row stand side by side. */
void document_fact(struct document *document, const char *question, const char *format, ...)
    DOCUMENT_PRINTF(3, 4);
/* Items in a row make one list. */
void document_item(struct document *document, const char *format, ...) DOCUMENT_PRINTF(2, 3);
/* Preformatted text. */
void document_code(struct document *document, const char *text);
/* Start a table; headings end with NULL, and a leading '>' aligns a column to the right. Then one
 * call of document_cell() for each cell, row by row. */
void document_table(struct document *document, const char *const *headings);
void document_cell(struct document *document, const char *format, ...) DOCUMENT_PRINTF(2, 3);
/* A figure; the description says in words what it shows, for those who cannot see it. Takes `svg`
 * over (NULL marks the document as failed). */
void document_figure(struct document *document, char *svg, const char *title,
                     const char *description);
/* The last figure again for windows that it is too wide for: HTML in which one drawing is shown by
 * the window's width. Takes `html` over. */
void document_figure_narrow(struct document *document, char *html);

/* True: the blank at `at` within `text` stands between a number and its unit, which belong on one
 * line ("80 %", "1.5 GiB"). */
bool document_is_bound(const char *text, const char *at);
#define DOCUMENT_NO_BREAK_SPACE "\xC2\xA0"

/* The section whose table has a row for each reference. */
#define DOCUMENT_EVIDENCE "Evidence"
/* The id of a row whose first cell is a lone reference. */
bool document_row_id(const char *cell, char *id, size_t size);

/* The back-ends. */
void markdown_write(const struct document *document, struct buffer *out);
void html_write(const struct document *document, struct buffer *out);

/* The figures in order, 1..; NULL beyond the last. The Markdown refers to each one as the file that
 * document_figure_name() says. */
const struct block *document_find_figure(const struct document *document, unsigned number);
#define FIGURE_NAME_MAX 32
const char *document_figure_name(unsigned number, char text[static FIGURE_NAME_MAX]);
/* A figure as an SVG file that stands alone, in light and dark. */
void html_write_figure(const struct block *figure, struct buffer *out);

/* Text for HTML and SVG: & < > " ' escaped. */
void html_escape(struct buffer *out, const char *text);
