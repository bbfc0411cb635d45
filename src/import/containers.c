/* SPDX-License-Identifier: Apache-2.0 */
/* Places are merged from the most telling names to the least: ids and replicas, then paths of
 * cgroups, revisions, apps, and what has no name at all. */
#include "import/containers.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 7

struct place_row {
    int64_t id;
    char *names[FIELDS]; /* in the order of struct container; owned */
    size_t target;       /* index of its container */
};

struct places {
    struct place_row *rows; /* owned */
    size_t count;
};

enum field { APP, REVISION, REPLICA, CONTAINER, POD_UID, CONTAINER_ID, CGROUP };

static void places_done(struct places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        for (size_t field = 0; field < FIELDS; field++)
            free(places->rows[i].names[field]);
    }
    free(places->rows);
}

static void fields_of(struct container *container, char **fields[FIELDS])
{
    fields[APP] = &container->app;
    fields[REVISION] = &container->revision;
    fields[REPLICA] = &container->replica;
    fields[CONTAINER] = &container->container;
    fields[POD_UID] = &container->pod_uid;
    fields[CONTAINER_ID] = &container->container_id;
    fields[CGROUP] = &container->cgroup;
}

void containers_done(struct containers *containers)
{
    for (size_t i = 0; i < containers->count; i++) {
        char **fields[FIELDS];
        fields_of(&containers->items[i], fields);
        for (size_t field = 0; field < FIELDS; field++)
            free(*fields[field]);
    }
    free(containers->items);
    *containers = (struct containers){0};
}

/* Azure's names hold each other: replica "<app>--<suffix>-<hash>-<id>", revision "<app>--<suffix>".
 */
static int derive(struct place_row *row)
{
    char **names = row->names;
    const char *replica = names[REPLICA];
    const char *mark = replica ? strstr(replica, "--") : NULL;
    if (mark && !names[REVISION]) {
        const char *last = strrchr(mark + 2, '-');
        const char *end = last ? memrchr(mark + 2, '-', (size_t)(last - mark - 2)) : NULL;
        if (end && !(names[REVISION] = strndup(replica, (size_t)(end - replica))))
            return -ENOMEM;
    }
    mark = names[REVISION] ? strstr(names[REVISION], "--") : NULL;
    if (mark && !names[APP]) {
        names[APP] = strndup(names[REVISION], (size_t)(mark - names[REVISION]));
        if (!names[APP])
            return -ENOMEM;
    }
    return 0;
}

static int add_place(struct places *places, sqlite3_stmt *row)
{
    if ((places->count & (places->count - 1)) == 0) {
        size_t capacity = places->count ? 2 * places->count : 1;
        struct place_row *grown = reallocarray(places->rows, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        places->rows = grown;
    }
    struct place_row *place = &places->rows[places->count++];
    *place = (struct place_row){.id = sqlite3_column_int64(row, 0), .target = SIZE_MAX};
    for (int field = 0; field < FIELDS; field++) {
        const char *text = (const char *)sqlite3_column_text(row, field + 1);
        if (text && *text && !(place->names[field] = strdup(text)))
            return -ENOMEM;
    }
    return derive(place);
}

static int load(struct store *store, struct places *ret, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int r = store_prepare(store,
                          "SELECT id, app, revision, replica, container, pod_uid, container_id,"
                          " cgroup FROM place ORDER BY id",
                          &row, err);
    while (r == 0 && sqlite3_step(row) == SQLITE_ROW) {
        if (add_place(ret, row) < 0)
            r = error_errno(err, ENOMEM, "telling the containers apart");
    }
    sqlite3_finalize(row);
    return r;
}

/* Does the cgroup's path hold the id? systemd writes '_' for '-' in a pod's uid. */
static bool path_holds(const char *path, const char *id)
{
    if (!path || !id || strlen(id) < 8)
        return false;
    size_t length = strlen(id);
    for (const char *at = path; *at; at++) {
        size_t same = 0;
        while (same < length && (at[same] == id[same] || (at[same] == '_' && id[same] == '-')))
            same++;
        if (same == length)
            return true;
    }
    return false;
}

/* A pod's container gets a new id, and with it a new cgroup, at every start: those of one name in
 * one pod do not contradict each other. Without a name, two ids may be two containers. */
static bool one_of_a_pod(char *const a[FIELDS], char *const b[FIELDS])
{
    bool pod = a[POD_UID] && b[POD_UID] && strcmp(a[POD_UID], b[POD_UID]) == 0;
    bool replica = a[REPLICA] && b[REPLICA] && strcmp(a[REPLICA], b[REPLICA]) == 0;
    bool both = a[CONTAINER] && b[CONTAINER];
    return pod ? a[CONTAINER] || b[CONTAINER] : replica && both;
}

/* How two sets of names agree: 0 they contradict each other or share nothing, 1 they share an app,
 * 2 a revision, 3 a replica, 4 an id. */
static int agreement(char *const a[FIELDS], char *const b[FIELDS])
{
    int best = 0;
    for (int field = 0; field <= CGROUP; field++) {
        if (!a[field] || !b[field])
            continue;
        if (strcmp(a[field], b[field]) != 0) {
            if (field >= CONTAINER_ID && one_of_a_pod(a, b))
                continue;
            return 0;
        }
        int weight = field >= POD_UID ? 4 : field == CONTAINER ? 0 : field + 1;
        best = weight > best ? weight : best;
    }
    if (path_holds(a[CGROUP], b[CONTAINER_ID]) || path_holds(b[CGROUP], a[CONTAINER_ID]))
        return 5;
    /* A pod's own cgroup, or any of its containers: which one is not said by the uid alone. */
    if (path_holds(a[CGROUP], b[POD_UID]) || path_holds(b[CGROUP], a[POD_UID]))
        return 4;
    return best;
}

static bool names_one(char *const names[FIELDS])
{
    return names[REPLICA] || names[CONTAINER_ID] || names[POD_UID] || names[CGROUP];
}

static int add_container(struct containers *containers, struct place_row *place)
{
    if ((containers->count & (containers->count - 1)) == 0) {
        size_t capacity = containers->count ? 2 * containers->count : 1;
        struct container *grown = reallocarray(containers->items, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        containers->items = grown;
    }
    containers->items[containers->count] = (struct container){0};
    place->target = containers->count++;
    return 0;
}

/* The container learns the names that it did not have. */
static int join(struct containers *containers, struct place_row *place, size_t target)
{
    struct container *container = &containers->items[target];
    char **fields[FIELDS];
    fields_of(container, fields);
    for (int field = 0; field < FIELDS; field++) {
        if (!*fields[field] && place->names[field] &&
            !(*fields[field] = strdup(place->names[field])))
            return -ENOMEM;
    }
    container->places++;
    place->target = target;
    return 0;
}

/* The container to one of whose starts the cgroup belongs (each had an id of its own, and the
 * container's names hold the first alone); SIZE_MAX: none. */
static size_t owner_of_cgroup(const struct places *places, const char *cgroup)
{
    for (size_t i = 0; cgroup && i < places->count; i++) {
        if (places->rows[i].target != SIZE_MAX &&
            path_holds(cgroup, places->rows[i].names[CONTAINER_ID]))
            return places->rows[i].target;
    }
    return SIZE_MAX;
}

/* The containers that the names fit best; how many there are. */
static size_t best_of(const struct containers *containers, const struct places *places,
                      char *const names[FIELDS], size_t *ret)
{
    size_t found = 0, owner = owner_of_cgroup(places, names[CGROUP]);
    int best = 0;
    for (size_t i = 0; i < containers->count; i++) {
        char **fields[FIELDS], *own[FIELDS];
        fields_of(&containers->items[i], fields);
        for (int field = 0; field < FIELDS; field++)
            own[field] = *fields[field];
        int agree = i == owner ? 5 : agreement(own, names);
        if (agree == 0 || agree < best)
            continue;
        found = agree > best ? 1 : found + 1;
        best = agree;
        *ret = i;
    }
    return found;
}

static int settle(struct containers *containers, const struct places *places,
                  struct place_row *place)
{
    size_t target = 0;
    size_t fitting = best_of(containers, places, place->names, &target);
    bool named = false;
    for (int field = 0; field < FIELDS; field++)
        named = named || place->names[field];
    if (fitting == 0 && !named && containers->count == 1)
        fitting = 1, target = 0;
    if (fitting == 1)
        return join(containers, place, target);
    int r = add_container(containers, place);
    return r < 0 ? r : join(containers, place, place->target);
}

static int store_targets(struct store *store, const struct places *places, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < places->count && r == 0; i++) {
        const struct store_value key = STORE_INT("id", places->rows[i].id);
        const struct store_value values[] = {STORE_INT("arm_id", places->rows[i].target + 1),
                                             STORE_END};
        r = store_update(store, "place", &key, values, err);
    }
    return r;
}

/* First those that name one container, then those that several may share (a replica without its
 * container's name is its only one's), at last those that name none. */
static int pass_of(char *const names[FIELDS])
{
    if ((names[REPLICA] && names[CONTAINER]) || names[CONTAINER_ID])
        return 0;
    if (names_one(names))
        return 1;
    return names[REVISION] ? 2 : names[APP] || names[CONTAINER] ? 3 : 4;
}

int containers_find(struct store *store, struct containers *ret, struct error *err)
{
    __attribute__((cleanup(places_done))) struct places places = {0};
    *ret = (struct containers){0};
    int r = load(store, &places, err);
    for (int pass = 0; pass <= 4 && r == 0; pass++) {
        for (size_t i = 0; i < places.count && r == 0; i++) {
            if (pass_of(places.rows[i].names) == pass && settle(ret, &places, &places.rows[i]) < 0)
                r = error_errno(err, ENOMEM, "telling the containers apart");
        }
    }
    if (r == 0)
        r = store_begin(store, err);
    if (r == 0)
        r = store_targets(store, &places, err);
    if (r == 0)
        r = store_commit(store, err);
    for (size_t i = 0; i < ret->count; i++)
        ret->items[i].arm_id = (int64_t)i + 1;
    return r;
}

const char *container_name(const struct container *container, char *text, size_t size)
{
    const char *place = container->replica        ? container->replica
                        : container->revision     ? container->revision
                        : container->app          ? container->app
                        : container->cgroup       ? container->cgroup
                        : container->container_id ? container->container_id
                                                  : "";
    bool more = container->container && strcmp(container->container, place) != 0;
    if (*place)
        snprintf(text, size, "%s%s%s", place, more ? "/" : "", more ? container->container : "");
    else
        snprintf(text, size, "%s", container->container ? container->container : "container");
    for (char *at = text; *at; at++) { /* a line of the answer must not be made up by a name */
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    }
    return text;
}
