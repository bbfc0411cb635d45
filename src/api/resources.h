/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers, one file for each kind of resource; route.c says which path is whose. */
#pragma once

#include "api/http.h"

typedef void (*handler)(struct request *request, struct reply *reply);

void groups_list(struct request *request, struct reply *reply);
void group_get(struct request *request, struct reply *reply);
void group_put(struct request *request, struct reply *reply);
void group_patch(struct request *request, struct reply *reply);
void group_delete(struct request *request, struct reply *reply);

void environments_list(struct request *request, struct reply *reply);
void environment_get(struct request *request, struct reply *reply);
void environment_put(struct request *request, struct reply *reply);
void environment_delete(struct request *request, struct reply *reply);

void apps_list(struct request *request, struct reply *reply);
void app_get(struct request *request, struct reply *reply);
void app_put(struct request *request, struct reply *reply);
void app_patch(struct request *request, struct reply *reply);
void app_remove(struct request *request, struct reply *reply);
void app_list_secrets(struct request *request, struct reply *reply);

void revisions_list(struct request *request, struct reply *reply);
void revision_get(struct request *request, struct reply *reply);
void revision_action(struct request *request, struct reply *reply);

void replicas_list(struct request *request, struct reply *reply);
void replica_get(struct request *request, struct reply *reply);

void operation_get(struct request *request, struct reply *reply);
void group_operation_get(struct request *request, struct reply *reply);
void exec_post(struct request *request, struct reply *reply);
void logs_get(struct request *request, struct reply *reply);
void metrics_get(struct request *request, struct reply *reply);
void metric_definitions_get(struct request *request, struct reply *reply);
void prometheus_get(struct request *request, struct reply *reply);
void health_get(struct request *request, struct reply *reply);

/* The page, its files, and what it reads besides ARM's resources. */
void page_get(struct request *request, struct reply *reply);
void page_file_get(struct request *request, struct reply *reply);
void stream_get(struct request *request, struct reply *reply);
void runs_list(struct request *request, struct reply *reply);
void run_report_get(struct request *request, struct reply *reply);
void run_ticket_post(struct request *request, struct reply *reply);
void run_ticket_get(struct request *request, struct reply *reply);

#define APP_TYPE "Microsoft.App/containerApps"

/* The types of location, tags and properties of the request's body. False: it is answered. */
bool check_resource(struct request *request, struct reply *reply);
/* Azure's rule: lower case letters, digits and '-', a letter first, no '-' at the end, no '--'. */
bool app_name_is_valid(const char *name);
void refuse_app_name(struct reply *reply, const char *name);
void refuse_group_name(struct reply *reply, const char *name);
/* Everything about an app's new properties; `app` is NULL for one that is to be made. Puts the
 * environment's id in its place. False: it is answered. */
bool app_check(struct request *request, struct app *app, json_t *properties, struct reply *reply);

/* Find the app, revision of params[0..2] (group, app, revision), or answer 404 and return NULL. */
struct app *require_app(struct request *request, struct reply *reply);
struct app_revision *require_revision(struct request *request, struct reply *reply);
bool group_exists(struct serve *serve, const char *group);
/* The answer where group_exists() says no: it is not there, or going. */
void refuse_group(struct request *request, struct reply *reply);
/* The stored environment of this id (any case), NULL when there is none. New reference. */
json_t *environment_find(struct serve *serve, const char *id);

/* The app as a client sees it. New references. */
json_t *app_json(struct app *app);
json_t *revision_json(struct app_revision *revision);
json_t *replica_json(struct app_replica *replica);
/* A row of the system log: id, at_ns, type, app, revision, replica, msg, reason, source, count,
 * oomlab. New reference. */
json_t *event_json(sqlite3_stmt *rows);

/* {"value": [...], "nextLink"}: the part of `items` (taken over) that $skipToken and $top ask for.
 */
void reply_list(struct request *request, struct reply *reply, json_t *items);
/* "2026-11-22T13:01:59+00:00" as Azure writes times. */
json_t *time_json(int64_t realtime_ns);

#define ID_MAX 512
void app_id(const struct app *app, char id[static ID_MAX]);
/* The headers of a long-running operation. */
void reply_operation(struct request *request, struct reply *reply,
                     const struct operation *operation);
/* The same of a group's: Location alone, as Azure has it. */
void reply_group_operation(struct request *request, struct reply *reply,
                           const struct operation *operation);
