/* SPDX-License-Identifier: Apache-2.0 */
#include "image/user.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 7

struct text {
    const char *at;
    size_t length;
};

struct line {
    struct text fields[FIELDS_MAX];
    unsigned count;
};

static bool equals(struct text a, struct text b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static struct text text(const char *from)
{
    return (struct text){from, strlen(from)};
}

/* A decimal number that is an id: not (uint32_t)-1, which system calls take for "no change". */
static bool number(struct text field, uint32_t *ret)
{
    uint64_t value = 0;
    if (field.length == 0 || field.length > 10)
        return false;
    for (size_t i = 0; i < field.length; i++) {
        if (field.at[i] < '0' || field.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(field.at[i] - '0');
    }
    if (value >= UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* The next line's fields; false at the end. */
static bool next_line(const char **at, struct line *line)
{
    if (**at == '\0')
        return false;
    size_t length = strcspn(*at, "\n");
    const char *end = *at + length;
    const char *field = *at;
    line->count = 0;
    while (line->count < FIELDS_MAX) {
        const char *colon = memchr(field, ':', (size_t)(end - field));
        const char *stop = colon ? colon : end;
        line->fields[line->count++] = (struct text){field, (size_t)(stop - field)};
        if (!colon)
            break;
        field = colon + 1;
    }
    *at = *end ? end + 1 : end;
    return true;
}

/* passwd: name:password:uid:gid:comment:home:shell */
static bool find_user(struct text wanted, const char *passwd, struct image_user *user,
                      struct text *ret_name)
{
    uint32_t id = 0;
    bool by_number = number(wanted, &id);
    struct line line;
    while (next_line(&passwd, &line)) {
        uint32_t uid = 0;
        uint32_t gid = 0;
        if (line.count < 4 || !number(line.fields[2], &uid) || !number(line.fields[3], &gid))
            continue;
        if (!equals(line.fields[0], wanted) && !(by_number && uid == id))
            continue;
        user->uid = uid;
        user->gid = gid;
        *ret_name = line.fields[0];
        if (line.count >= 6 && line.fields[5].length > 0 &&
            line.fields[5].length < sizeof(user->home))
            snprintf(user->home, sizeof(user->home), "%.*s", (int)line.fields[5].length,
                     line.fields[5].at);
        return true;
    }
    user->uid = id;
    return by_number;
}

/* group: name:password:gid:member,member */
static bool find_group(struct text wanted, const char *group, gid_t *ret)
{
    struct line line;
    while (next_line(&group, &line)) {
        uint32_t gid = 0;
        if (line.count >= 3 && number(line.fields[2], &gid) && equals(line.fields[0], wanted)) {
            *ret = gid;
            return true;
        }
    }
    return number(wanted, ret);
}

static bool is_member(struct text members, struct text name)
{
    while (members.length > 0) {
        const char *comma = memchr(members.at, ',', members.length);
        size_t length = comma ? (size_t)(comma - members.at) : members.length;
        if (equals((struct text){members.at, length}, name))
            return true;
        size_t skipped = comma ? length + 1 : length;
        members.at += skipped;
        members.length -= skipped;
    }
    return false;
}

static void find_memberships(struct text name, const char *group, struct image_user *user)
{
    struct line line;
    while (name.length > 0 && user->group_count < IMAGE_GROUPS_MAX && next_line(&group, &line)) {
        uint32_t gid = 0;
        if (line.count >= 4 && number(line.fields[2], &gid) && is_member(line.fields[3], name))
            user->groups[user->group_count++] = gid;
    }
}

int image_user_find(const char *user, const char *passwd, const char *group, struct image_user *ret,
                    struct error *err)
{
    const char *colon = strchr(user, ':');
    struct text name = {user, colon ? (size_t)(colon - user) : strlen(user)};
    struct text found = {"", 0};
    struct image_user made = {.home = "/"};
    if (name.length == 0)
        name = text("0");
    if (!find_user(name, passwd, &made, &found))
        return error_usage(err, "the image runs as user '%.60s', who is not in its /etc/passwd",
                           user);
    if (!colon || colon[1] == '\0')
        find_memberships(found, group, &made);
    else if (!find_group(text(colon + 1), group, &made.gid))
        return error_usage(err, "the image runs as group '%.60s', which is not in its /etc/group",
                           colon + 1);
    *ret = made;
    return 0;
}
