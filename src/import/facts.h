/* SPDX-License-Identifier: Apache-2.0 */
/* What a record says, in one vocabulary for all formats. A parser turns rows into facts and judges
 * nothing: that rows repeat, that two rows tell one kill, and what a 137 means is for conclude.h.
 */
#pragma once

#include "base/metrics.h"
#include "import/input.h"
#include "kernel/kmsg.h"

/* Who wrote the record: what such a record can prove at most follows from it. */
enum fact_origin {
    ORIGIN_AZURE,      /* Container Apps: never says OOM */
    ORIGIN_KUBERNETES, /* API objects and events: OOMKilled may be missing or a child's */
    ORIGIN_DOCKER,     /* Docker, Podman: OOMKilled is "any process since the start" */
    ORIGIN_PROMETHEUS, /* sampled metrics, cAdvisor, kube-state-metrics */
    ORIGIN_KERNEL_LOG,
    ORIGIN_CSV,        /* a plain table of times and bytes; sar */
    ORIGIN_CGROUP,     /* cgroup files that were read inside of the container */
    ORIGIN_CONSOLE,    /* what the program itself printed */
    ORIGIN_KILLER_LOG, /* systemd-oomd's or earlyoom's own lines */
    ORIGIN_COUNT
};

enum fact_kind {
    FACT_CONTAINER,     /* it exists (a pod without any end); at_ns: when it was created */
    FACT_START,         /* a lifetime began */
    FACT_END,           /* a lifetime ended: started_ns, exit_code, signal, reason, oom_killed */
    FACT_RUNNING,       /* it was running at at_ns; started_ns: since when */
    FACT_RESTART_COUNT, /* value: restarts so far */
    FACT_SAMPLE,        /* metric, value */
    FACT_LIMIT,         /* value: memory limit in bytes (0: the record says that there is none) */
    FACT_OOM_KILL, /* a line of the kernel log: oom; or a platform's own OOM event without it */
    FACT_PROBE_FAILURE, /* a probe failed (one check); not yet an end */
    FACT_STOP,          /* the platform says that it stops the container; reason */
    FACT_BACKOFF,       /* it waits for its next start */
    FACT_STATE,         /* a health or running state in words: reason */
    FACT_IMAGE_FAILURE, /* the image could not be pulled or the container not be created: reason */
    FACT_CONSOLE,       /* a line that the program printed: text */
    FACT_LAST_REASON,   /* at at_ns the platform gives `reason` as that of the last end before; when
                           that end was is not said */
    FACT_KILLER_KILL,   /* a user-space OOM killer (reason) says that it killed a cgroup, or a
                           process: signal; oom has their names and no kind */
    FACT_COUNT
};

#define FACT_TIME_UNKNOWN INT64_MIN
#define FACT_CODE_UNKNOWN (-1)

/* Which container; NULL where the record does not say. The names match across formats where they
 * can: app is Azure's app, Kubernetes' namespace; replica is Azure's replica, the pod, Docker's
 * container name; container is its name within. Of a kernel log, `cgroup` alone. `id`: a pod's uid
 * or a container id (hexadecimal, without "docker://"), which ties a kernel log's cgroup path to
 * it. */
struct fact_place {
    const char *app, *revision, *replica, *container;
    const char *pod_uid, *container_id;
    const char *cgroup;
};

struct fact {
    enum fact_kind kind;
    enum fact_origin origin;
    struct fact_place place;
    int64_t at_ns;   /* realtime; FACT_TIME_UNKNOWN. Never invented: a kernel log with nothing but
                        seconds since boot has boot_ns alone */
    int64_t boot_ns; /* kernel log: since boot; FACT_TIME_UNKNOWN */
    int64_t started_ns; /* END, RUNNING: realtime; FACT_TIME_UNKNOWN */
    int exit_code;      /* as the platform shows it (128 + N for a signal); FACT_CODE_UNKNOWN */
    int signal;         /* where the record names one; 0 */
    bool oom_killed;    /* END: the platform says OOMKilled */
    const char *reason; /* the platform's word: "OOMKilled", "ProbeFailure", ...; NULL */
    const char *text;   /* the message or line in full; NULL */
    enum metric metric; /* SAMPLE */
    double value;
    uint64_t count;             /* times this record stands for (an event's Count); 0 is 1 */
    const struct kmsg_oom *oom; /* OOM_KILL from a kernel log, KILLER_KILL; NULL elsewhere */
    uint64_t line;              /* of the input, 1..; 0: of the whole */
};

/* All times and codes unknown, everything else zero. */
void fact_init(struct fact *fact, enum fact_kind kind, enum fact_origin origin, uint64_t line);

/* The choices of the command line that parsers need; never NULL in the sink. */
struct import_options {
    const char *csv_time, *csv_bytes; /* column names or 1-based numbers; NULL: found by name */
    double limit_bytes;               /* --limit; NAN */
};

/* Where facts go. take() copies what it keeps; a negative return ends the parse at once. */
struct fact_sink {
    int (*take)(void *context, const struct fact *fact, struct error *err);
    /* Something in the input was passed over and the person should know: a row without a time, a
     * cut line. Bounded by the receiver. */
    void (*warn)(void *context, uint64_t line, const char *text);
    void *context;
    const struct import_options *options;
};
int fact_give(const struct fact_sink *sink, const struct fact *fact, struct error *err);
void fact_warn(const struct fact_sink *sink, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An exit code as a source gives it: FACT_CODE_UNKNOWN where it is absent (NAN), and, with a
 * warning, where no end on Linux has it. */
int fact_exit_code(double code, uint64_t line, const struct fact_sink *sink);

/* Parse a time stamp that somebody else wrote: RFC 3339 ("2026-06-15T04:10:51.1234567Z", with
 * "+00:00", "+0900", a blank for the T, any number of fractional digits), "2026-06-15 04:10:51
 * +0000 UTC", and the same without a zone, which is taken for UTC. Reads `length` bytes at most;
 * false where it is none. */
bool fact_time_parse(const char *text, size_t length, int64_t *ret_ns);
/* As fact_time_parse() for a terminated text; NULL and "" are FACT_TIME_UNKNOWN, as is what is no
 * time. */
int64_t fact_time(const char *text);

/* One format: recognised from the first bytes, then read to its end. */
struct import_format {
    const char *name; /* for people: "kubectl get pod -o json" */
    bool (*matches)(const struct head *head, const struct import_options *options);
    int (*read)(struct input *input, const struct fact_sink *sink, struct error *err);
};
/* Every format, the most specific first; ended by a name of NULL. formats.c. */
extern const struct import_format IMPORT_FORMATS[];
/* NULL when no format recognises it. */
const struct import_format *import_recognise(const struct head *head,
                                             const struct import_options *options);

/* Does `head` hold the bytes of `word`? For matches(). */
bool head_has(const struct head *head, const char *word);
/* The first byte that is no blank; 0 when there is none. */
char head_first(const struct head *head);

/* JSON objects: a member's text, number, or object on a path of names separated by dots
 * ("status.phase"); NULL / NAN where it is missing or of another type. Borrowed. */
json_t *json_at(const json_t *object, const char *path);
const char *json_text_at(const json_t *object, const char *path);
double json_number_at(const json_t *object, const char *path); /* of a number or a text of one */
