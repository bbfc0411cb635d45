/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/log.h"
#include "heap/file.h"
#include "heap/module_file.h"
#include "heap/recording_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static void name_places(const struct heap_recording *recording, struct heap_map *map)
{
    for (uint32_t i = 1; i <= HEAP_MODULES; i++) {
        struct heap_module *module = &map->modules[i];
        module->path[HEAP_PATH_MAX - 1] = '\0'; /* whatever the container wrote */
        if (recording->places[i] && module->path[0] != '/')
            snprintf(module->path, sizeof(module->path), "%s", recording->places[i]);
    }
}

/* `map` has the names by which readers will look for them. Without a copy the profile lacks names,
 * nothing else. */
static void keep_files(const struct heap_recording *recording, const struct heap_map *map,
                       const char *directory)
{
    uint64_t left_bytes = HEAP_MODULE_FILES_MAX_BYTES;
    struct error err;
    for (uint32_t i = 1; i <= HEAP_MODULES; i++) {
        if (recording->looked_for[i] && recording->files[i] >= 0 &&
            heap_module_keep(recording->files[i], &map->modules[i], directory, &left_bytes, &err) <
                0) {
            log_warning("the heap profile may lack names: %s", err.text);
            return;
        }
    }
}

static bool write_all(gzFile file, const void *data, size_t bytes)
{
    return bytes == 0 || gzwrite(file, data, (unsigned)bytes) == (int)bytes;
}

/* `moment`: as it was then; NULL: as it is. */
static bool write_parts(gzFile file, const struct heap_recording *recording,
                        const struct heap_moment *moment, const struct heap_map *map)
{
    const struct heap_saved_header header = {
        .magic = HEAP_SAVED_MAGIC,
        .map_bytes = sizeof(*map),
        .stamps = moment ? moment->stamps : recording->stamp_count,
        .at_ns = moment ? moment->at_ns : 0,
        .kills = moment ? moment->kills : recording->kills,
    };
    return write_all(file, &header, sizeof(header)) && write_all(file, map, sizeof(*map)) &&
           write_all(file, recording->stamps.data,
                     moment ? moment->stamp_bytes : recording->stamps.length);
}

static int write_file(const struct heap_recording *recording, const struct heap_moment *moment,
                      const struct heap_map *map, const char *path, struct error *err)
{
    gzFile file = gzopen(path, "wb1e");
    if (!file)
        return error_errno(err, errno ? errno : ENOMEM, "making '%s'", path);
    bool written = write_parts(file, recording, moment, map);
    written = gzclose(file) == Z_OK && written;
    if (written && !heap_recording_is_intact(recording)) {
        unlink(path);
        return error_set(err, EBADMSG,
                         "the container overwrote its heap profile ('%s'), which is lost",
                         HEAP_FILE_PATH);
    }
    return written ? 0 : error_errno(err, errno ? errno : EIO, "writing '%s'", path);
}

/* The kill that the main process outlived: whether it was that of the unsettled moment, its end
 * says. */
static const struct heap_moment *last_kill(const struct heap_recording *recording,
                                           enum heap_ending ending)
{
    return recording->unsettled && ending != HEAP_ENDING_KILLED ? recording->unsettled
                                                                : recording->killed;
}

int heap_recording_save(struct heap_recording *recording, enum heap_ending ending, pid_t main_pid,
                        const char *directory, unsigned lifetime_id, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" HEAP_DIRECTORY, directory);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_errno(err, errno, "making '%s'", path);
    /* A copy, which no process of the container changes while it is written. */
    AUTO_FREE struct heap_map *map = aligned_alloc(_Alignof(struct heap_map), sizeof(*map));
    if (!map)
        return error_errno(err, ENOMEM, "saving the heap profile");
    memcpy(map, recording->map, sizeof(*map));
    name_places(recording, map);
    if (ending == HEAP_ENDING_STOP)
        heap_recording_mark_gone(recording, main_pid);
    /* The main process's kill was the last one; who was dead by the one before did not see it. */
    uint64_t kills = recording->kills;
    if (ending == HEAP_ENDING_KILLED && kills > 0)
        kills--;
    heap_recording_leave_out(recording, kills, map->processes);
    snprintf(path, sizeof(path), "%s/" HEAP_FILE_FORMAT, directory, lifetime_id);
    int r = write_file(recording, NULL, map, path, err);
    if (r == 0)
        keep_files(recording, map, directory);
    const struct heap_moment *killed = last_kill(recording, ending);
    if (r < 0 || !killed)
        return r;
    heap_moment_restore(killed, map);
    snprintf(path, sizeof(path), "%s/" HEAP_KILL_FILE_FORMAT, directory, lifetime_id);
    return write_file(recording, killed, map, path, err);
}
