/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's tests share: a directory of their own, and rows. */
#pragma once

#include "store/internal.h"
#include "store/store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    struct store *store;
};

static inline int remove_entry(const char *path, const struct stat *status, int type,
                               struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->directory, "/tmp/oomlab-store-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

static inline struct store *fixture_create(struct fixture *fixture)
{
    struct error err = {0};
    if (store_create(fixture->directory, &fixture->store, &err) < 0)
        fail_msg("%s", err.text);
    return fixture->store;
}

/* The one number that a query yields; -1 where it is NULL. */
static inline int64_t query_integer(struct store *store, const char *sql)
{
    struct error err = {0};
    sqlite3_stmt *statement = NULL;
    if (store_prepare(store, sql, &statement, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value =
        sqlite3_column_type(statement, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static inline int insert_gate(struct store *store, const char *id, int64_t pass, struct error *err)
{
    return store_insert(store, "gate",
                        (struct store_value[]){STORE_STR("id", id), STORE_STR("scenario", "leak"),
                                               STORE_STR("hypothesis", "it leaks"),
                                               STORE_INT("pass", pass), STORE_END},
                        NULL, err);
}
