/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/keep.h"

#include "base/cleanup.h"
#include "heap/fold.h"
#include "heap/json.h"
#include "heap/names.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static void view_cleanup(struct heap_view **view)
{
    heap_view_free(*view);
}

static int keep_profile(struct store *store, const struct heap_view *view,
                        const struct heap_leading *leading, struct error *err)
{
    const struct heap_header *header = &view->profile->map->header;
    AUTO_BUFFER folded = {0};
    int r = heap_fold(view, &folded, err);
    if (r < 0)
        return r;
    const struct store_value values[] = {
        STORE_INT("lifetime_id", view->lifetime_id),
        STORE_INT("rate_bytes", header->rate_bytes),
        STORE_INT("samples", view->profile->totals->samples),
        STORE_INT("dropped", heap_dropped(header)),
        STORE_DBL("total_bytes", view->total_bytes),
        store_real("memory_bytes", view->memory_bytes),
        STORE_INT("stacks", view->row_count),
        STORE_STR("folded", buffer_text(&folded)),
        STORE_INT("leading_stack", leading->stack_id),
        STORE_STR("moment", view->at_kill ? "kill" : "end"),
        STORE_STR("leading_of", leading->growth ? "growth" : "held"),
        STORE_DBL("share", leading->share),
        STORE_STR("level", level_name(leading->level)),
        STORE_STR("sentence", leading->sentence),
        STORE_END,
    };
    return store_insert(store, "heap_profile", values, NULL, err);
}

static int keep_row(struct store *store, const struct heap_view *view, size_t index,
                    int64_t *ret_id, struct error *err)
{
    const struct heap_row *row = &view->rows[index];
    json_t *json = heap_frames_json(view, row->stack);
    AUTO_FREE char *frames = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!frames)
        return error_errno(err, ENOMEM, "keeping the profile");
    struct heap_place place;
    heap_place_find(view, row->stack, &place);
    const struct store_value values[] = {
        STORE_INT("lifetime_id", view->lifetime_id),
        STORE_INT("rank", index + 1),
        STORE_STR("kind", heap_kind_name(row->kind)),
        STORE_DBL("bytes", row->bytes),
        STORE_DBL("low_bytes", row->low_bytes),
        STORE_DBL("high_bytes", row->high_bytes),
        STORE_DBL("objects", row->objects),
        store_real("share", row->share),
        store_real("bytes_per_request", row->bytes_per_request),
        store_real("bytes_per_cycle", row->bytes_per_cycle),
        STORE_STR("function", place.function),
        STORE_STR("file", place.file[0] != '\0' ? place.file : NULL),
        place.line > 0 ? (struct store_value)STORE_INT("line", place.line)
                       : (struct store_value)STORE_NIL("line"),
        STORE_STR("caller", place.caller[0] != '\0' ? place.caller : NULL),
        STORE_STR("frames", frames),
        STORE_END,
    };
    return store_insert(store, "heap_stack", values, ret_id, err);
}

/* The first by growth, and the leading one where that is none of them. */
static int keep_rows(struct store *store, const struct heap_view *view,
                     struct heap_leading *leading, struct error *err)
{
    size_t lead = (size_t)leading->stack_id;
    int r = 0;
    for (size_t i = 0; i < view->row_count && r == 0; i++) {
        int64_t id;
        if (i >= HEAP_KEPT_STACKS && i != lead)
            continue;
        r = keep_row(store, view, i, &id, err);
        if (i == lead)
            leading->stack_id = id;
    }
    return r;
}

/* One that has no profile, or a damaged one, has no names. */
static int keep_names_of(struct store *store, const char *directory, const char *arm,
                         unsigned lifetime, enum heap_moment_choice at, struct error *err)
{
    CLEANUP(view_cleanup) struct heap_view *view = NULL;
    const struct heap_choice choice = {.arm = arm, .lifetime = lifetime, .at = at};
    int r = heap_view_new(store, directory, &choice, &view, err);
    if (r < 0)
        return err->kind == ERROR_USAGE ? 0 : r;
    return heap_names_keep(store, view, err);
}

/* Of the lifetimes and moments that were not chosen, too: 'oomlab heap' shows them later. */
static int keep_other_names(struct store *store, const char *directory,
                            const struct heap_view *chosen, struct error *err)
{
    CLEANUP(store_statement_done) sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT DISTINCT idx FROM lifetime WHERE arm_id ="
                          " (SELECT arm_id FROM lifetime WHERE id = ?1)",
                          &row, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(row, 1, chosen->lifetime_id);
    while (r == 0 && sqlite3_step(row) == SQLITE_ROW) {
        unsigned lifetime = (unsigned)sqlite3_column_int(row, 0);
        bool is_chosen = lifetime == chosen->lifetime;
        if (!is_chosen || chosen->at_kill)
            r = keep_names_of(store, directory, chosen->arm, lifetime, HEAP_AT_END, err);
        if (r == 0 && (!is_chosen || !chosen->at_kill))
            r = keep_names_of(store, directory, chosen->arm, lifetime, HEAP_AT_KILL, err);
    }
    return r;
}

int heap_keep(struct store *store, const char *directory, const struct heap_choice *choice,
              bool by_growth, struct heap_leading *ret, struct error *err)
{
    CLEANUP(view_cleanup) struct heap_view *view = NULL;
    int r = heap_view_new(store, directory, choice, &view, err);
    if (r == 0)
        r = heap_names_keep(store, view, err);
    if (r == 0)
        r = keep_other_names(store, directory, view, err);
    if (r < 0 || !heap_lead(view, by_growth, ret))
        return r;
    r = keep_rows(store, view, ret, err);
    if (r == 0)
        r = keep_profile(store, view, ret, err);
    return r < 0 ? r : 1;
}
