/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the conclusion was put to the test, and what it rests on. */
#include "report/story.h"

#include "base/cleanup.h"
#include "base/plural.h"
#include "base/terms.h"
#include "report/rows.h"
#include "report/text.h"
#include "report/words.h"

#include <string.h>

#define KERNEL_LINES_SHOWN 12

static void falsification_of(const struct story *story, const json_t *revert)
{
    struct document *document = story->document;
    const char *scenario = text_or(revert, "scenario", "?");
    double kills = number_at(revert, "oom_kills");
    char text[FIGURE_TEXT_MAX];
    char cited[CITE_MAX];
    cite_verdict(story, value_at(revert, "verdict"), cited);
    if (kills > 0)
        document_item(document,
                      "Scenario `%s`: with the fix taken back, the failure came back (%s kill%s). "
                      "It was the fix that had cured it, not chance.%s",
                      scenario, figure_number(kills, 0, text), plural(kills), cited);
    else
        document_item(document, "Scenario `%s`: %s. What cured it is not proven.%s", scenario,
                      BAD("with the fix taken back, the failure did not come back"), cited);
}

void story_falsification(struct story *story)
{
    struct document *document = story->document;
    document_section(document, "Falsification");
    unsigned reverts = 0;
    unsigned fixes = 0;
    size_t index;
    json_t *arm;
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        reverts += is_text(arm, "name", "revert");
        fixes += is_text(arm, "name", "fix");
    }
    if (reverts == 0) {
        document_paragraph(document,
                           "Not done: no arm of this run took a cure back to see whether the "
                           "failure returns. The conclusion rests on the arms above. To try to "
                           "refute it, add %s.",
                           fixes > 0 ? "the arm `revert` (`--arms`)"
                                     : "a fix (`--patch-env`, `--patch-command`): the arm `revert` "
                                       "comes with it");
        return;
    }
    document_paragraph(document,
                       "A cure that works proves little if the failure would have stopped anyway. "
                       "So the fix was taken back: `revert` is the starting point again, with the "
                       "same limit, the same code and the same requests.");
    json_array_foreach((json_t *)story->arms, index, arm)
    {
        if (is_text(arm, "name", "revert"))
            falsification_of(story, arm);
    }
}

/* What shows the row; its key is a number or a name. A name holds no quote in any run of ours; one
 * that does is left to the reader. */
static void evidence_command(const struct story *story, const json_t *item)
{
    const char *table = text_or(item, "source.table", "");
    const char *row = text_or(item, "source.row", "");
    bool number = *row != '\0' && row[strspn(row, "0123456789")] == '\0';
    if (*table == '\0' || *row == '\0' || strpbrk(row, "'\"\\`$") ||
        table[strspn(table, "abcdefghijklmnopqrstuvwxyz_")] != '\0')
        document_cell(story->document, "-");
    else
        document_cell(story->document,
                      "`sqlite3 -line evidence.db \"SELECT %s FROM %s WHERE %s = %s%s%s\"`", "*",
                      table, number ? "rowid" : "id", number ? "" : "'", row, number ? "" : "'");
}

static void evidence_row(const struct story *story, const json_t *item)
{
    struct document *document = story->document;
    document_cell(document, REF("%s"), text_or(item, "id", "?"));
    document_cell(document, "%s", text_or(item, "level", "?"));
    document_cell(document, "%s", text_or(item, "statement", ""));
    document_cell(document, "%s", text_or(item, "source.arm", "the run"));
    document_cell(document, "`%s` %s", text_or(item, "source.table", "?"),
                  text_or(item, "source.row", "?"));
    evidence_command(story, item);
}

static int kernel_lines(struct story *story, struct error *err)
{
    AUTO_ROWS rows = {0};
    AUTO_BUFFER lines = {0};
    int r = rows_query(&rows, story->store,
                       "SELECT text FROM kernel_log WHERE lifetime_id IS NOT NULL"
                       " AND kind IN ('summary', 'killed', 'group') ORDER BY id LIMIT ?1",
                       KERNEL_LINES_SHOWN, err);
    while (r >= 0 && (r = rows_next(&rows, err)) == 1) {
        AUTO_FREE char *text = row_text(&rows, 0);
        buffer_printf(&lines, "%s\n", text ? text : "");
    }
    if (r < 0 || lines.length == 0)
        return r;
    document_subsection(story->document, "The kernel's own words");
    document_paragraph(
        story->document,
        "From the kernel log (the first lines; all are in the table `kernel_log`). `oom_memcg` is "
        "the cgroup whose limit was hit, `task_memcg` that of the process. The kernel limits how "
        "many such reports it prints: a missing one proves nothing, the counter does. (Observed)");
    document_code(story->document, buffer_text(&lines));
    return 0;
}

static void evidence_levels(struct document *document)
{
    document_paragraph(document,
                       "Levels, strongest first. A statement never has a stronger level than "
                       "its weakest source.");
    for (enum evidence_level level = 0; level < LEVEL_COUNT; level++)
        document_item(document, "*%s*: %s.", level_name(level), words_level(level_name(level)));
}

int story_evidence(struct story *story, struct error *err)
{
    struct document *document = story->document;
    document_section(document, DOCUMENT_EVIDENCE);
    if (json_array_size(story->evidence) == 0) {
        document_paragraph(document, "No statement was recorded: the run ended before its "
                                     "analysis. The raw rows are in `evidence.db`.");
    } else {
        document_paragraph(document, "Every statement and the row it rests on:");
        document_table(document, (const char *const[]){"Id", "Level", "Statement", "Arm", "Row",
                                                       "To see it", NULL});
        size_t index;
        json_t *item;
        json_array_foreach((json_t *)story->evidence, index, item) evidence_row(story, item);
    }
    int r = kernel_lines(story, err);
    evidence_levels(document);
    document_paragraph(document, "To check that nothing was changed since: `sha256sum -c "
                                 "MANIFEST.sha256`.");
    return r;
}
