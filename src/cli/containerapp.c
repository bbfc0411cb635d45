/* SPDX-License-Identifier: Apache-2.0 */
/* oomlab containerapp: the table of its commands, with az's names and options. */
#include "cli/containerapp.h"

#define CONTAINER_OPTIONS                                                                          \
    AZ_TEXT("image", 'i', image, "IMAGE",                                                          \
            "host, dir:PATH, oci:PATH[:TAG], oci-archive:FILE[:TAG], builtin/leaky"),              \
        AZ_TEXT("container-name", 0, container_name, "NAME", "name of the container"),             \
        AZ_WORDS("command", 0, command, "WORD...", "what the container starts"),                   \
        AZ_WORDS("args", 0, args, "WORD...", "its arguments"),                                     \
        AZ_TEXT("cpu", 0, cpu, "CORES", "CPU cores, e.g. 0.25"),                                   \
        AZ_TEXT("memory", 0, memory, "SIZE", "memory limit, e.g. 0.5Gi"),                          \
        AZ_TEXT("min-replicas", 0, min_replicas, "N", "replicas that run"),                        \
        AZ_TEXT("max-replicas", 0, max_replicas, "N", "recorded: nothing scales here"),            \
        AZ_TEXT("revision-suffix", 0, revision_suffix, "TEXT", "end of the revision's name"),      \
        AZ_TEXT("yaml", 0, yaml, "FILE", "the app as YAML: other options are ignored"), AZ_TAGS,   \
        AZ_FLAG("allow-any-size", 0, any_size, "sizes that are none of Azure's pairs")

#define UPDATE_OPTIONS                                                                             \
    AZ_WORDS("set-env-vars", 0, set_env_vars, "K=V...", "add or change variables"),                \
        AZ_WORDS("replace-env-vars", 0, replace_env_vars, "K=V...", "these and no others"),        \
        AZ_WORDS("remove-env-vars", 0, remove_env_vars, "K...", "take variables away")

#define REVISION AZ_TEXT("revision", 0, revision, "NAME", "name of the revision")

static const struct option_spec CREATE[] = {
    AZ_NAME,
    AZ_GROUP,
    AZ_TEXT("environment", 0, environment, "NAME|ID", "environment that the app is in"),
    CONTAINER_OPTIONS,
    AZ_WORDS("env-vars", 0, env_vars, "K=V...", "environment variables"),
    AZ_TEXT("target-port", 0, target_port, "PORT", "where the ingress listens on 127.0.0.1"),
    AZ_TEXT("ingress", 0, ingress, "external|internal", "both mean 127.0.0.1 here"),
    AZ_TEXT("transport", 0, transport, "auto|http", "recorded: HTTP/1.1 is spoken"),
    AZ_TEXT("revisions-mode", 0, revisions_mode, "single|multiple", "active revisions"),
    AZ_NO_WAIT,
    AZ_COMMON,
};
static const struct option_spec UPDATE[] = {
    AZ_NAME, AZ_GROUP, AZ_IDS, CONTAINER_OPTIONS, UPDATE_OPTIONS, AZ_NO_WAIT, AZ_COMMON,
};
static const struct option_spec COPY[] = {
    AZ_NAME,
    AZ_GROUP,
    AZ_IDS,
    AZ_TEXT("from-revision", 0, from_revision, "NAME", "copy this one (default: the latest)"),
    CONTAINER_OPTIONS,
    UPDATE_OPTIONS,
    AZ_NO_WAIT,
    AZ_COMMON,
};
static const struct option_spec SHOW[] = {AZ_NAME, AZ_GROUP, AZ_IDS, AZ_COMMON};
static const struct option_spec LIST[] = {
    AZ_GROUP, AZ_TEXT("environment", 0, environment, "NAME|ID", "apps of this environment alone"),
    AZ_COMMON};
static const struct option_spec ENV_LIST[] = {AZ_GROUP, AZ_COMMON};
static const struct option_spec DELETE[] = {AZ_NAME, AZ_GROUP,   AZ_IDS,
                                            AZ_YES,  AZ_NO_WAIT, AZ_COMMON};
#define ENV_NAME AZ_TEXT("name", 'n', name, "NAME", "name of the environment")
static const struct option_spec ENV_CREATE[] = {
    ENV_NAME,
    AZ_GROUP,
    AZ_TEXT("location", 'l', location, "NAME", "recorded, without a meaning here"),
    AZ_TEXT("logs-destination", 0, type, "NAME", "taken and not looked at"),
    AZ_TAGS,
    AZ_NO_WAIT,
    AZ_COMMON,
};
static const struct option_spec ENV_SHOW[] = {ENV_NAME, AZ_GROUP, AZ_IDS, AZ_COMMON};
static const struct option_spec ENV_DELETE[] = {ENV_NAME, AZ_GROUP,   AZ_IDS,
                                                AZ_YES,   AZ_NO_WAIT, AZ_COMMON};
static const struct option_spec REVISIONS[] = {
    AZ_NAME, AZ_GROUP, AZ_FLAG("all", 0, all, "inactive ones, too"), AZ_COMMON};
static const struct option_spec ONE_REVISION[] = {AZ_NAME, AZ_GROUP, AZ_IDS, REVISION, AZ_COMMON};
static const struct option_spec MODE[] = {
    AZ_NAME, AZ_GROUP, AZ_IDS, AZ_TEXT("mode", 0, mode, "single|multiple", "the mode"), AZ_COMMON};
static const struct option_spec REPLICA[] = {
    AZ_NAME, AZ_GROUP, REVISION, AZ_TEXT("replica", 0, replica, "NAME", "name of the replica"),
    AZ_COMMON};
static const struct option_spec LOGS[] = {
    AZ_NAME,
    AZ_GROUP,
    REVISION,
    AZ_TEXT("replica", 0, replica, "NAME", "name of the replica"),
    AZ_TEXT("container", 0, container, "NAME", "name of the container"),
    AZ_TEXT("type", 't', type, "console|system", "which log (default: console)"),
    AZ_TEXT("tail", 0, tail, "N", "the last N rows, 0 to 300 (default: 20)"),
    AZ_FLAG("follow", 0, follow, "go on until interrupted"),
    AZ_TEXT("format", 0, format, "json|text", "rows as JSON objects, or as text"),
    AZ_COMMON,
};
static const struct option_spec TRAFFIC[] = {
    AZ_NAME,
    AZ_GROUP,
    AZ_IDS,
    AZ_WORDS("revision-weight", 0, revision_weight, "REVISION=WEIGHT...",
             "per cent; 'latest' is the newest revision. What is not named shares the rest"),
    AZ_WORDS("label-weight", 0, label_weight, "LABEL=WEIGHT...", "not supported here"),
    AZ_COMMON,
};
static const struct option_spec EXEC[] = {
    AZ_NAME,
    AZ_GROUP,
    REVISION,
    AZ_TEXT("replica", 0, replica, "NAME", "name of the replica"),
    AZ_TEXT("container", 0, container, "NAME", "name of the container"),
    {.name = "command",
     .kind = OPTION_TEXT,
     .argument = "COMMAND",
     .fallback = "sh",
     .help = "the command and its arguments in one word, quoted as in a shell",
     .offset = offsetof(struct az_arguments, exec_command)},
    AZ_COMMON};

#define COMMAND(word, text, option_list, function)                                                 \
    AZ_COMMAND("containerapp ", word, text, option_list, function, false)
#define DESTROYER(word, text, option_list, function)                                               \
    AZ_COMMAND("containerapp ", word, text, option_list, function, true)

static const struct az_command COMMANDS[] = {
    COMMAND("create", "create a container app, or replace its settings", CREATE,
            containerapp_create),
    COMMAND("update", "change it; another template is another revision", UPDATE,
            containerapp_update),
    COMMAND("show", "show it", SHOW, containerapp_show),
    COMMAND("list", "list container apps", LIST, containerapp_list),
    DESTROYER("delete", "delete it", DELETE, containerapp_delete),
    COMMAND("exec", "run a command in a replica's container", EXEC, containerapp_exec),
    COMMAND("env create", "create an environment", ENV_CREATE, env_create),
    COMMAND("env show", "show an environment", ENV_SHOW, env_show),
    COMMAND("env list", "list environments", ENV_LIST, env_list),
    DESTROYER("env delete", "delete an environment", ENV_DELETE, env_delete),
    COMMAND("revision list", "list active revisions, oldest first", REVISIONS, cli_revision_list),
    COMMAND("revision show", "show a revision", ONE_REVISION, cli_revision_show),
    COMMAND("revision restart", "restart its replicas", ONE_REVISION, cli_revision_act),
    COMMAND("revision activate", "start it again", ONE_REVISION, cli_revision_act),
    COMMAND("revision deactivate", "stop it", ONE_REVISION, cli_revision_act),
    COMMAND("revision copy", "a new revision from another one's template", COPY, cli_revision_copy),
    COMMAND("revision set-mode", "one active revision, or several", MODE, cli_revision_set_mode),
    COMMAND("replica list", "list the replicas of a revision", REPLICA, cli_replica_list),
    COMMAND("replica show", "show a replica", REPLICA, cli_replica_show),
    COMMAND("replica count", "count the replicas of a revision", REPLICA, cli_replica_count),
    COMMAND("logs show", "console or system log", LOGS, logs_show),
    COMMAND("ingress show", "show the ingress", SHOW, ingress_show),
    COMMAND("ingress traffic show", "show the traffic's weights", SHOW, traffic_show),
    COMMAND("ingress traffic set", "split traffic between revisions", TRAFFIC, traffic_set),
    {.words = NULL},
};

const struct verb VERB_CONTAINERAPP = {
    .name = "containerapp",
    .summary = "container apps of 'oomlab serve', as 'az containerapp'",
    .operands = "COMMAND [OPTION...]",
    .operand_values = "create update show list delete env revision replica logs ingress exec",
    .commands = COMMANDS,
    .raw = true,
    .run = az_run,
};
