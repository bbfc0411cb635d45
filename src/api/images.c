/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks images for revisions, and removes those that no revision has any more, in threads of the
 * loop's pool: serve goes on answering meanwhile. */
#include "api/model.h"

#include "api/image.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LAYER "layer-" /* of a container, in its session's directory */

/* One image that is being unpacked; all revisions that wait for it have it in common. */
struct image_job {
    struct image_job *next;
    struct serve *serve;
    uv_work_t work;
    char digest[IMAGE_DIGEST_MAX];
    char *text; /* the reference as written */
    struct image_reference reference;
    atomic_bool cancelled;
    int64_t started_ns;
    /* The outcome. */
    int result;
    struct error error;
    struct image_filled filled;
};

struct cleaning {
    uv_work_t work;
    struct serve *serve;
};

static bool waits_for(const struct app_revision *revision, const char *digest)
{
    const char *pinned = image_pinned(template_container(revision->template));
    return pinned && strcmp(pinned, digest) == 0;
}

/* --- unpacking ------------------------------------------------------------------------------ */

static void job_free(struct image_job *job)
{
    image_reference_done(&job->reference);
    free(job->text);
    free(job);
}

static void fill(uv_work_t *work)
{
    struct image_job *job = work->data;
    job->result = image_cache_fill(job->serve->images, &job->reference, job->digest,
                                   &job->cancelled, &job->filled, &job->error);
}

static void tell_pulled(const struct image_job *job, struct app_revision *revision)
{
    char took[DURATION_TEXT_MAX];
    app_event(revision->app, revision->name, "Normal", "PulledImage",
              "Successfully pulled image \"%s\" in %s. Image size: %llu bytes.", job->text,
              duration_format(clock_monotonic_ns() - job->started_ns, took),
              (unsigned long long)job->filled.bytes);
    if (job->filled.devices > 0)
        app_event(revision->app, revision->name, "Warning", "ImageDevicesSkipped",
                  "%u device nodes of image \"%s\" were left out: containers have a /dev of their "
                  "own",
                  job->filled.devices, job->text);
}

static void go_on(const struct image_job *job, struct app_revision *revision)
{
    struct error err = job->error;
    int r = job->result;
    if (r == 0)
        tell_pulled(job, revision);
    else
        app_event(
            revision->app, revision->name, "Warning", "ContainerTerminated",
            "Container '%s' was terminated with exit code '' and reason "
            "'ImagePullFailure'. %s",
            json_string_value(json_object_get(template_container(revision->template), "name")),
            err.text);
    if (r == 0)
        r = revision_start(revision, &err);
    if (r < 0)
        revision_fail(revision, err.text);
}

static void on_filled(uv_work_t *work, int status)
{
    struct image_job *job = work->data;
    struct serve *serve = job->serve;
    struct image_job **link = &serve->image_jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    if (status == UV_ECANCELED)
        job->result = error_set(&job->error, ECANCELED, "unpacking was cancelled");
    for (struct app *app = serve->apps; app && !serve->stopping; app = app->next)
        for (struct app_revision *r = app->revisions; r; r = r->next)
            if (r->active && !app->deleting && waits_for(r, job->digest))
                go_on(job, r);
    if (job->result < 0 && !serve->stopping)
        log_warning("%s", job->error.text);
    job_free(job);
    /* The app may have gone meanwhile, or serve waits to stop. */
    images_sweep(serve);
    controller_later(serve);
}

static struct image_job *find_job(const struct serve *serve, const char *digest)
{
    struct image_job *job = serve->image_jobs;
    while (job && strcmp(job->digest, digest) != 0)
        job = job->next;
    return job;
}

static int start_job(struct serve *serve, const char *text, const char *digest, struct error *err)
{
    struct image_job *job = calloc(1, sizeof(*job));
    if (!job)
        return error_errno(err, ENOMEM, "unpacking image '%s'", text);
    job->serve = serve;
    job->work.data = job;
    job->started_ns = clock_monotonic_ns();
    job->text = strdup(text);
    snprintf(job->digest, sizeof(job->digest), "%s", digest);
    int r = job->text ? image_reference_parse(text, &job->reference, err)
                      : error_errno(err, ENOMEM, "unpacking image '%s'", text);
    if (r == 0) {
        r = uv_queue_work(serve->loop, &job->work, fill, on_filled);
        if (r < 0)
            r = error_errno(err, -r, "unpacking image '%s'", text);
    }
    if (r < 0) {
        job_free(job);
        return r;
    }
    job->next = serve->image_jobs;
    serve->image_jobs = job;
    return 0;
}

int images_prepare(struct app_revision *revision, struct error *err)
{
    struct serve *serve = revision->app->serve;
    const json_t *container = template_container(revision->template);
    const char *digest = image_pinned(container);
    const char *text = json_string_value(json_object_get(container, "image"));
    if (!digest || image_cache_has(serve->images, digest))
        return 0;
    if (!find_job(serve, digest)) {
        int r = start_job(serve, text, digest, err);
        if (r < 0)
            return r;
    }
    app_event(revision->app, revision->name, "Normal", "PullingImage", "Pulling image '%s'", text);
    return 1;
}

void images_cancel(struct serve *serve)
{
    for (struct image_job *job = serve->image_jobs; job; job = job->next) {
        atomic_store(&job->cancelled, true);
        uv_cancel((uv_req_t *)&job->work);
    }
}

/* --- removing ------------------------------------------------------------------------------- */

static bool is_wanted(void *context, const char *digest)
{
    const struct serve *serve = context;
    for (const struct app *app = serve->apps; app; app = app->next)
        for (const struct app_revision *r = app->revisions; r; r = r->next)
            if (waits_for(r, digest))
                return true;
    return false;
}

static void remove_layers(const char *session)
{
    DIR *directory = opendir(session);
    const struct dirent *entry = NULL;
    while (directory && (entry = readdir(directory)))
        if (strncmp(entry->d_name, LAYER, strlen(LAYER)) == 0)
            tree_remove(dirfd(directory), entry->d_name);
    if (directory)
        closedir(directory);
}

/* Sessions that ended without their own hand: containers' layers are left there. */
static void remove_old_layers(const struct serve *serve)
{
    char sessions[4200];
    snprintf(sessions, sizeof(sessions), "%s/sessions", serve->options->directory);
    DIR *directory = opendir(sessions);
    const struct dirent *entry = NULL;
    while (directory && (entry = readdir(directory))) {
        AUTO_FREE char *path = NULL;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, serve->session) == 0)
            continue;
        if (asprintf(&path, "%s/%s", sessions, entry->d_name) < 0)
            path = NULL;
        if (path)
            remove_layers(path);
    }
    if (directory)
        closedir(directory);
}

static void clean(uv_work_t *work)
{
    const struct cleaning *cleaning = work->data;
    image_cache_empty_trash(cleaning->serve->images);
    remove_old_layers(cleaning->serve);
}

static void on_cleaned(uv_work_t *work, int status)
{
    struct cleaning *cleaning = work->data;
    struct serve *serve = cleaning->serve;
    (void)status;
    free(cleaning);
    serve->cleaning = false;
    if (serve->clean_again && !serve->stopping)
        images_sweep(serve);
    controller_later(serve);
}

/* One at a time; what comes up meanwhile is done afterwards, or by the next start. */
void images_sweep(struct serve *serve)
{
    serve->clean_again = serve->cleaning;
    if (serve->cleaning)
        return;
    image_cache_sweep(serve->images, is_wanted, serve);
    struct cleaning *cleaning = calloc(1, sizeof(*cleaning));
    if (!cleaning)
        return;
    cleaning->serve = serve;
    cleaning->work.data = cleaning;
    if (uv_queue_work(serve->loop, &cleaning->work, clean, on_cleaned) == 0)
        serve->cleaning = true;
    else
        free(cleaning);
}

int images_open(struct serve *serve, struct error *err)
{
    AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/images", serve->options->directory) < 0) {
        path = NULL;
        return error_errno(err, ENOMEM, "opening the images");
    }
    return image_cache_open(path, sandbox_has_one_user(), &serve->images, err);
}
