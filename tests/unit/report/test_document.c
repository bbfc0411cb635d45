/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "report/document.h"

/* Everything that is markup in one of the formats; marks cannot come in (text_append_clean()). */
static const char HOSTILE[] = "<b onx='1'>&lt; `a` ``b`` **c** _d_ [e](f) | \\ ~~g~~ \"h\"";

struct written {
    char *markdown, *html;
};

static struct written write_both(struct document *document)
{
    struct buffer markdown = {0};
    struct buffer html = {0};
    assert_false(document_failed(document));
    markdown_write(document, &markdown);
    html_write(document, &html);
    document_free(document);
    return (struct written){buffer_steal(&markdown), buffer_steal(&html)};
}

static void written_done(struct written *written)
{
    free(written->markdown);
    free(written->html);
}

static void test_foreign_text_is_no_markup(void **state)
{
    (void)state;
    struct document *document = document_new(HOSTILE);
    document_section(document, "Question");
    document_paragraph(document, "%s", HOSTILE);
    document_subsection(document, "%s", HOSTILE);
    document_note(document, TONE_BAD, "%s", HOSTILE);
    document_item(document, "%s", HOSTILE);
    struct written written = write_both(document);
    assert_lacks(written.html, "<b onx");
    assert_contains(written.html, "&lt;b onx=&#39;1&#39;&gt;&amp;lt; `a`");
    assert_lacks(written.markdown, " `a`");
    assert_contains(
        written.markdown,
        "\\<b onx='1'>\\&lt; \\`a\\` \\`\\`b\\`\\` \\*\\*c\\*\\* \\_d\\_ \\[e\\](f) | \\\\ "
        "\\~\\~g\\~\\~ \"h\"");
    written_done(&written);
}

static void test_block_starts_are_literal(void **state)
{
    (void)state;
    const char *const starts[] = {"# h", "- i", "+ i", "> q", "1. n", "12) n", "=== r"};
    const char *const expected[] = {"\n\\# h\n",  "\n\\- i\n",   "\n\\+ i\n",  "\n\\> q\n",
                                    "\n1\\. n\n", "\n12\\) n\n", "\n\\=== r\n"};
    struct document *document = document_new("t");
    for (size_t i = 0; i < 7; i++)
        document_paragraph(document, "%s", starts[i]);
    document_paragraph(document, "0.25 of it");
    document_paragraph(document, "a\n# b"); /* a newline starts no block */
    struct written written = write_both(document);
    for (size_t i = 0; i < 7; i++)
        assert_contains(written.markdown, expected[i]);
    assert_contains(written.markdown, "\n0.25 of it\n");
    assert_contains(written.markdown, "\na # b\n");
    written_done(&written);
}

static void test_marks(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_paragraph(document, "*s* `%s` `%s`%s%s%s", "x<y", "a``b", REF("E12"), GOOD("P"),
                       BAD("F"));
    struct written written = write_both(document);
    assert_contains(written.markdown, "**s** `x<y` ``` a``b ```[E12]**P****F**");
    assert_contains(written.html,
                    "<strong>s</strong> <code>x&lt;y</code> <code>a``b</code>"
                    "<a class=\"ref\" href=\"#E12\">[E12]</a><span class=\"badge good\">P</span>"
                    "<span class=\"badge bad\">F</span>");
    written_done(&written);
}

/* In Markdown a reference leads to the section with its row, where there is one. */
static void test_references_lead_to_the_evidence(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_paragraph(document, "a %s b %s", REF("E1"), REF("E3"));
    document_section(document, "Other");
    document_table(document, (const char *const[]){"Id", NULL});
    document_cell(document, REF("E9"));
    document_section(document, DOCUMENT_EVIDENCE);
    document_table(document, (const char *const[]){"Id", NULL});
    document_cell(document, REF("E1"));
    document_cell(document, "E2");
    document_cell(document, REF("E3"));
    struct written written = write_both(document);
    assert_contains(written.markdown, "\na [E1] b [E3]\n");
    assert_contains(written.markdown, "| [E3] |\n\n[E1]: #evidence\n[E3]: #evidence\n");
    assert_lacks(written.markdown, "[E9]:");
    assert_contains(written.html, "href=\"#E1\"");
    written_done(&written);
}

static void test_reference_must_be_an_id(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_paragraph(document, REF("%s"), "E1\" onclick=\"x");
    struct written written = write_both(document);
    assert_lacks(written.html, "href");
    assert_contains(written.html, "E1&quot; onclick=&quot;x");
    written_done(&written);
}

static void test_table(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_table(document, (const char *const[]){"Id", ">N", NULL});
    document_cell(document, REF("E7"));
    document_cell(document, "a|b\nc");
    document_cell(document, "`x|y`");
    document_cell(document, "- 0.5");
    struct written written = write_both(document);
    assert_contains(written.markdown, "| Id | N |\n|---|---:|\n| [E7] | a\\|b c |\n"
                                      "| `x\\|y` | - 0.5 |\n");
    assert_contains(written.html, "<tr id=\"E7\">");
    assert_contains(written.html, "<th scope=\"col\" class=\"right\">N</th>");
    assert_contains(written.html, "<td class=\"right\">a|b\nc</td>");
    written_done(&written);
}

static void test_code_block_cannot_be_left(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_code(document, "```\n</pre># h");
    struct written written = write_both(document);
    assert_contains(written.markdown, "````text\n```\n</pre># h\n````\n");
    assert_contains(written.html, ">```\n&lt;/pre&gt;# h</pre>");
    written_done(&written);
}

static void test_figure_and_sections(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_section(document, "Support takeaway");
    document_figure(document, strdup("<svg></svg>"), "Figure 1.", "what <it> shows");
    document_item(document, "one");
    document_item(document, "two");
    struct written written = write_both(document);
    assert_contains(written.html, "<a href=\"#support-takeaway\">Support takeaway</a>");
    assert_contains(written.html, "<section id=\"support-takeaway\">\n<h2>Support takeaway</h2>");
    assert_contains(written.html, "<svg></svg>");
    assert_contains(written.html, "what &lt;it&gt; shows");
    assert_contains(written.html, "<ul>\n<li>one</li>\n<li>two</li>\n</ul>");
    assert_contains(written.markdown, "what \\<it> shows");
    assert_contains(written.markdown, "\n- one\n- two\n");
    assert_contains(written.markdown, "![what \\<it> shows](figure-01.svg)\n");
    assert_lacks(written.markdown, "<svg");
    written_done(&written);
}

static void test_answer_and_facts(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    document_answer(document, TONE_BAD, "%s", "A <kill>, *three* times.");
    document_fact(document, "Who", "The `%s`", "kernel");
    document_fact(document, "How often", "3 times");
    struct written written = write_both(document);
    assert_contains(written.html, "<p class=\"answer bad\">A &lt;kill&gt;, *three* times.</p>");
    assert_contains(written.html, "<dl class=\"facts\">\n<div><dt>Who</dt><dd>The "
                                  "<code>kernel</code></dd></div>\n<div><dt>How often</dt>");
    assert_contains(written.markdown, "> **A \\<kill>, \\*three\\* times.**\n");
    assert_contains(written.markdown, "- Who: The `kernel`\n- How often: 3 times\n");
    written_done(&written);
}

/* A file of its own needs the name space and the colours that the page gives to all. */
static void test_figure_stands_alone(void **state)
{
    (void)state;
    struct document *document = document_new("t");
    struct buffer out = {0};
    document_figure(document, strdup("<svg viewBox=\"0 0 1 1\"><rect/></svg>"), "Figure 1.", "d");
    assert_null(document_find_figure(document, 2));
    html_write_figure(document_find_figure(document, 1), &out);
    assert_false(out.failed);
    assert_contains(buffer_text(&out),
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\">");
    assert_contains(buffer_text(&out), "prefers-color-scheme: dark");
    assert_contains(buffer_text(&out), "<rect/></svg>");
    buffer_done(&out);
    document_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_text_is_no_markup),
        cmocka_unit_test(test_block_starts_are_literal),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_references_lead_to_the_evidence),
        cmocka_unit_test(test_reference_must_be_an_id),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_code_block_cannot_be_left),
        cmocka_unit_test(test_figure_and_sections),
        cmocka_unit_test(test_answer_and_facts),
        cmocka_unit_test(test_figure_stands_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
