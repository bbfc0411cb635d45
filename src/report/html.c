/* SPDX-License-Identifier: Apache-2.0 */
/* The document as one HTML file that needs nothing else: no network, no script. */
#include "report/document.h"

#include "chart_style.h"
#include "style.h"

#include <string.h>

void html_escape(struct buffer *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        switch (*at) {
        case '&':
            buffer_puts(out, "&amp;");
            break;
        case '<':
            buffer_puts(out, "&lt;");
            break;
        case '>':
            buffer_puts(out, "&gt;");
            break;
        case '"':
            buffer_puts(out, "&quot;");
            break;
        case '\'':
            buffer_puts(out, "&#39;");
            break;
        default:
            buffer_append(out, at, 1);
        }
    }
}

static void put_char(struct buffer *out, char c)
{
    const char text[2] = {c, '\0'};
    html_escape(out, text);
}

/* A reference links to its row of the evidence table. Its id comes from the file: only letters and
 * digits make a link. */
static size_t put_reference(struct buffer *out, const char *text)
{
    const char *end = strchr(text, MARK_REF_END);
    size_t length = end ? (size_t)(end - text) : strlen(text);
    size_t word = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    char id[64];
    if (length >= sizeof(id) || word < length) {
        for (size_t i = 0; i < length; i++)
            put_char(out, text[i]);
        return length + (end ? 1 : 0);
    }
    memcpy(id, text, length);
    id[length] = '\0';
    buffer_printf(out, "<a class=\"ref\" href=\"#%s\">[%s]</a>", id, id);
    return length + (end ? 1 : 0);
}

/* `breaks`: a long name may be broken behind its punctuation, else it makes its table wide. */
static void put_text(struct buffer *out, const char *text, bool breaks)
{
    bool code = false;
    for (const char *at = text; *at; at++) {
        code = *at == MARK_CODE || (code && *at != MARK_CODE_END);
        if (!code && document_is_bound(text, at)) {
            buffer_puts(out, DOCUMENT_NO_BREAK_SPACE);
            continue;
        }
        switch ((unsigned char)*at) {
        case MARK_STRONG:
            buffer_puts(out, "<strong>");
            break;
        case MARK_STRONG_END:
            buffer_puts(out, "</strong>");
            break;
        case MARK_CODE:
            buffer_puts(out, "<code>");
            break;
        case MARK_CODE_END:
            buffer_puts(out, "</code>");
            break;
        case MARK_REF:
            at += put_reference(out, at + 1);
            break;
        case MARK_GOOD:
            buffer_puts(out, "<span class=\"badge good\">");
            break;
        case MARK_BAD:
            buffer_puts(out, "<span class=\"badge bad\">");
            break;
        case MARK_BADGE_END:
            buffer_puts(out, "</span>");
            break;
        default:
            put_char(out, *at);
            if (code && breaks && strchr("/:,_<(.", *at))
                buffer_puts(out, "<wbr>");
        }
    }
}

static void put_inline(struct buffer *out, const char *text)
{
    put_text(out, text, false);
}

#define NAME_LONG 32 /* characters of a cell */

static void put_element(struct buffer *out, const char *open, const char *text, const char *close)
{
    buffer_puts(out, open);
    put_inline(out, text);
    buffer_puts(out, close);
}

/* "Support takeaway" -> "support-takeaway". Section titles are our own words. */
static void put_slug(struct buffer *out, const char *title)
{
    for (const char *at = title; *at; at++) {
        char c = *at == ' ' ? '-' : *at;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        put_char(out, c);
    }
}

static void put_row(struct buffer *out, const struct block *block, size_t first)
{
    const char *tag = first == 0 ? "th" : "td";
    char id[64];
    if (first > 0 && document_row_id(block->cells[first], id, sizeof(id)))
        buffer_printf(out, "<tr id=\"%s\">", id);
    else
        buffer_puts(out, "<tr>");
    for (size_t i = 0; i < block->columns && first + i < block->cell_count; i++) {
        buffer_printf(out, "<%s%s%s>", tag, first == 0 ? " scope=\"col\"" : "",
                      block->right[i] ? " class=\"right\"" : "");
        put_text(out, block->cells[first + i], strlen(block->cells[first + i]) > NAME_LONG);
        buffer_printf(out, "</%s>", tag);
    }
    buffer_puts(out, "</tr>\n");
}

/* Where a block stands, for the names of what scrolls: a screen reader lists them. */
struct place {
    const char *section;
    unsigned tables, texts;
};

static void put_label(struct buffer *out, const char *what, unsigned number, const char *section)
{
    buffer_printf(out, " tabindex=\"0\" role=\"region\" aria-label=\"%s %u, ", what, number);
    html_escape(out, section);
    buffer_puts(out, "\">");
}

static void put_table(struct buffer *out, const struct block *block, struct place *place)
{
    buffer_puts(out, "<div class=\"wide\"");
    put_label(out, "Table", ++place->tables, place->section);
    buffer_puts(out, "<table>\n<thead>");
    put_row(out, block, 0);
    buffer_puts(out, "</thead>\n<tbody>\n");
    for (size_t i = block->columns; i < block->cell_count; i += block->columns)
        put_row(out, block, i);
    buffer_puts(out, "</tbody></table></div>\n");
}

static void put_figure(struct buffer *out, const struct block *block)
{
    buffer_printf(out, "<figure%s><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"",
                  block->narrow ? " class=\"fits\"" : "");
    html_escape(out, block->text);
    buffer_puts(out, "\">\n");
    buffer_puts(out, block->svg);
    buffer_puts(out, "</div>\n");
    buffer_puts(out, block->narrow ? block->narrow : "");
    buffer_puts(out, "<figcaption>");
    put_element(out, "<strong>", block->text, "</strong> ");
    put_inline(out, block->extra);
    buffer_puts(out, "</figcaption></figure>\n");
}

static void put_list(struct buffer *out, const struct block *block)
{
    buffer_puts(out, "<ul>\n");
    for (size_t i = 0; i < block->cell_count; i++)
        put_element(out, "<li>", block->cells[i], "</li>\n");
    buffer_puts(out, "</ul>\n");
}

static void put_facts(struct buffer *out, const struct block *block)
{
    buffer_puts(out, "<dl class=\"facts\">\n");
    for (size_t i = 0; i + 1 < block->cell_count; i += 2) {
        put_element(out, "<div><dt>", block->cells[i], "</dt>");
        put_element(out, "<dd>", block->cells[i + 1], "</dd></div>\n");
    }
    buffer_puts(out, "</dl>\n");
}

static void put_section(struct buffer *out, const char *title)
{
    buffer_puts(out, "</section>\n<section id=\"");
    put_slug(out, title);
    put_element(out, "\">\n<h2>", title, "</h2>\n");
}

static void put_block(struct buffer *out, const struct block *block, struct place *place)
{
    static const char *const tones[] = {"<div class=\"note\">", "<div class=\"note good\">",
                                        "<div class=\"note bad\">"};
    static const char *const answers[] = {"<p class=\"answer\">", "<p class=\"answer good\">",
                                          "<p class=\"answer bad\">"};
    switch (block->kind) {
    case BLOCK_ANSWER:
        put_element(out, answers[block->tone], block->text, "</p>\n");
        break;
    case BLOCK_FACTS:
        put_facts(out, block);
        break;
    case BLOCK_SECTION:
        put_section(out, block->text);
        place->section = block->text;
        break;
    case BLOCK_SUBSECTION:
        put_element(out, "<h3>", block->text, "</h3>\n");
        break;
    case BLOCK_PARAGRAPH:
        put_element(out, "<p>", block->text, "</p>\n");
        break;
    case BLOCK_NOTE:
        put_element(out, tones[block->tone], block->text, "</div>\n");
        break;
    case BLOCK_LIST:
        put_list(out, block);
        break;
    case BLOCK_TABLE:
        put_table(out, block, place);
        break;
    case BLOCK_CODE:
        buffer_puts(out, "<pre");
        put_label(out, "Text", ++place->texts, place->section);
        html_escape(out, block->text);
        buffer_puts(out, "</pre>\n");
        break;
    case BLOCK_FIGURE:
        put_figure(out, block);
        break;
    }
}

/* An HTML page needs no name space; a file does, and a style and a size of its own. */
void html_write_figure(const struct block *figure, struct buffer *out)
{
    static const char opening[] = "<svg ";
    const char *end = strchr(figure->svg, '>');
    if (strncmp(figure->svg, opening, strlen(opening)) != 0 || !end) {
        out->failed = true;
        return;
    }
    buffer_puts(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" ");
    buffer_append(out, figure->svg + strlen(opening),
                  (size_t)(end + 1 - figure->svg) - strlen(opening));
    buffer_puts(out, "\n<style>\n");
    buffer_puts(out, CHART_CSS);
    buffer_puts(out, "svg { background: var(--chart); font-family: system-ui, sans-serif; }\n"
                     "</style>");
    buffer_puts(out, end + 1);
}

static void put_navigation(struct buffer *out, const struct document *document)
{
    buffer_puts(out, "<nav aria-label=\"Sections\">\n");
    for (size_t i = 0; i < document->count; i++) {
        if (document->blocks[i].kind != BLOCK_SECTION)
            continue;
        buffer_puts(out, "<a href=\"#");
        put_slug(out, document->blocks[i].text);
        put_element(out, "\">", document->blocks[i].text, "</a>\n");
    }
    buffer_puts(out, "</nav>\n");
}

/* What stands before the first section is the page's header. */
void html_write(const struct document *document, struct buffer *out)
{
    buffer_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put_element(out, "<title>", document->title, "</title>\n<style>\n");
    buffer_puts(out, CHART_CSS);
    buffer_puts(out, STYLE_CSS);
    buffer_puts(out, "</style>\n</head>\n<body>\n<main>\n<section id=\"top\">\n");
    put_element(out, "<h1>", document->title, "</h1>\n");
    bool navigated = false;
    struct place place = {.section = document->title};
    for (size_t i = 0; i < document->count; i++) {
        if (document->blocks[i].kind == BLOCK_SECTION && !navigated) {
            put_navigation(out, document);
            navigated = true;
        }
        put_block(out, &document->blocks[i], &place);
    }
    buffer_puts(out, "</section>\n</main>\n</body>\n</html>\n");
}
