# SPDX-License-Identifier: Apache-2.0
"""The cases of the corpus: which programs run with which parameters, what is true of them, and why.

`record.py` runs them; `catalogue.py` writes the one readable list, catalogue.json.

Which part a case belongs to depends on its shape alone and was fixed before anything was judged: within
each class the shapes are ordered by the SHA-256 of their names and go alternately to tuning and to test.
"""
import hashlib

C = ["{build}/corpus-service"]
PYTHON = ["/usr/bin/python3", "{programs}/service.py"]
NODE = ["node", "--expose-gc", "--max-old-space-size=1024", "{programs}/service.js"]
KIB, MIB = 1024, 1024 * 1024

CALIBRATED = ("anonymous + shared + kernel memory of the program's own cgroup, read at the beginning and the end of a "
              "long run without a limit, divided by what was done in between")


def java(*options):
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dsun.net.httpserver.nodelay=true", *options, "-cp", "{build}", "Service"]


# The usual container setting: the heap reserved as a whole, so that memory grows as it is used.
JAVA = java("-Xms600m", "-Xmx600m", "-Xmn8m")


SHAPES = []


def shape(name, language, label, reason, command, cases, driver=None, also=(), rate_of=None):
    """`also`: classes that a careful engineer could call it as well. `rate_of`: "request", "second" or
    "both": what the true growth is measured over; None: there is none, or none that is constant."""
    if driver is None and label == "leak":
        driver = "requests"
    if rate_of is None and label == "leak":
        rate_of = {"requests": "request", "time": "second", "mixed": "both"}[driver]
    SHAPES.append({"shape": name, "language": language, "label": label, "reason": reason, "driver": driver,
                   "also": list(also), "rate_of": None if rate_of == "none" else rate_of, "command": command,
                   "cases": cases})


def case(name, memory, env=None, raised=None, rate=60, per_cycle=100, cycles=8, **more):
    """`raised`: MiB; then the arm `raise` is recorded as well. Memory in MiB."""
    return {"name": name, "memory": int(memory * MIB), "raise": int(raised * MIB) if raised else None,
            "env": env or {}, "rate": rate, "per_cycle": per_cycle, "cycles": cycles, **more}


def killed(name, memory, size, env=None, rate=60, per_cycle=100, cycles=12, raised=None, **more):
    return case(name, memory, {"SIZE": size, **(env or {})}, raised or memory * 2, rate, per_cycle, cycles, **more)


def kept(name, memory, size, env=None, rate=60, per_cycle=90, cycles=10, **more):
    return case(name, memory, {"SIZE": size, **(env or {})}, None, rate, per_cycle, cycles, **more)


# --- leaks: C ------------------------------------------------------------------------------------------

shape("c-request", "C", "leak", "a buffer is allocated for each request and never freed", C, [
    killed("1m", 160, MIB - 64, rate=40),
    killed("128k", 32, 128 * KIB),
    killed("16k", 24, 16 * KIB, rate=400, per_cycle=600),
    kept("1k", 64, KIB, rate=800, per_cycle=1200),
    kept("100b", 32, 100, rate=1000, per_cycle=2000),
])
shape("c-route", "C", "leak", "one route in ten leaks, the others do not", C, [
    killed("killed", 40, 512 * KIB, rate=200, per_cycle=300, requests=["/view*9", "/export*1"]),
    kept("kept", 256, 512 * KIB, rate=200, per_cycle=300, requests=["/view*9", "/export*1"]),
])
shape("c-connection", "C", "leak", "state of each connection outlives it; a connection carries PER_CONNECTION requests", C, [
    killed("each", 40, 160 * KIB),
    killed("fifth", 40, 384 * KIB, {"PER_CONNECTION": 5}, rate=120, per_cycle=200),
    kept("kept", 256, 192 * KIB),
])
shape("c-error-path", "C", "leak", "only requests that fail leak: the early return misses a free", C, [
    killed("killed", 48, 640 * KIB, rate=100, per_cycle=160, requests=["/good*3", "/bad*1"]),
    kept("kept", 300, 512 * KIB, rate=100, per_cycle=160, requests=["/good*3", "/bad*1"]),
])
shape("c-ticker", "C", "leak", "a timer thread keeps a block every TICK_MS, with traffic or without", C, [
    killed("killed", 40, 512 * KIB, idle="3s", gap="1s"),
    killed("fast", 64, 256 * KIB, {"TICK_MS": 10}, idle="2s", gap="1s"),
    kept("kept", 300, 384 * KIB, idle="3s", gap="1s", cooldown="3s"),
], driver="time")
shape("c-late", "C", "leak", "nothing leaks until AFTER requests; then each does", C, [
    killed("killed", 48, 256 * KIB, {"AFTER": 80}),
    kept("kept", 400, 256 * KIB, {"AFTER": 250}),
])
shape("c-batch", "C", "leak", "every EVERY-th request loses a large batch: growth in steps", C, [
    killed("killed", 64, 4 * MIB, {"EVERY": 15}),
    kept("kept", 400, 4 * MIB, {"EVERY": 25}),
])
shape("c-audit-trail", "C", "leak", "a vector in memory that is only appended to, and doubled", C, [
    killed("killed", 40, 160 * KIB),
    kept("kept", 256, 96 * KIB),
])
shape("c-cache-no-hit", "C", "leak", "a cache without a bound whose keys never come again; entries of many sizes", C, [
    killed("killed", 40, 160 * KIB),
    killed("large", 160, 768 * KIB, rate=50),
    kept("kept", 256, 128 * KIB),
])
shape("c-mixed", "C", "leak", "so much per request and so much per second", C, [
    killed("killed", 64, 192 * KIB, {"TICK_SIZE": 256 * KIB}, idle="2s", gap="1s"),
    kept("kept", 400, 128 * KIB, {"TICK_SIZE": 320 * KIB}, idle="3s", gap="1s", cooldown="3s"),
], driver="mixed")
shape("c-thread", "C", "leak", "a thread for each request that never ends: its stack stays", C, [
    killed("killed", 32, 128 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("c-child", "C", "leak", "a child process for each request that is never told to end", C, [
    kept("kept", 400, 256 * KIB, rate=30, per_cycle=45),
    kept("small", 200, 64 * KIB, rate=40, per_cycle=60),
], rate_of="none")  # what a child copies depends on what its parent has touched until then
shape("c-tmpfs", "C", "leak", "an upload for each request is put into a file system in memory and never deleted", C, [
    killed("killed", 32, 128 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("c-memfd", "C", "leak", "a descriptor of shared memory for each request that is never closed", C, [
    killed("killed", 48, 256 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("c-pipe", "C", "leak", "a pipe for each request with output that nobody reads: kernel memory", C, [
    killed("killed", 20, 64 * KIB, rate=100, per_cycle=150),
    kept("kept", 128, 64 * KIB, rate=90, per_cycle=120),
])

# Large blocks stay maps of their own, so that what is freed between two that are kept is given back.
MMAP = {"MALLOC_MMAP_THRESHOLD_": 65536}

# --- leaks: Python -------------------------------------------------------------------------------------

shape("py-sessions", "Python", "leak", "a dict of sessions that nothing expires", PYTHON, [
    killed("killed", 48, 160 * KIB),
    killed("tight", 24, 48 * KIB, rate=100, per_cycle=150),
    kept("kept", 256, 128 * KIB),
    kept("small", 64, 8 * KIB, rate=100, per_cycle=200),
])
shape("py-callbacks", "Python", "leak", "callbacks that close over the request's body are registered and never removed", PYTHON, [
    killed("killed", 48, 192 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("py-kept-errors", "Python", "leak", "errors are kept with their tracebacks, whose frames hold the request's data", PYTHON, [
    killed("killed", 48, 512 * KIB, MMAP, rate=100, per_cycle=160, requests=["/good*3", "/bad*1"]),
    kept("kept", 256, 384 * KIB, MMAP, rate=100, per_cycle=160, requests=["/good*3", "/bad*1"]),
])
shape("py-memoized", "Python", "leak", "functools.lru_cache(maxsize=None) on an argument that never comes again", PYTHON, [
    killed("killed", 40, 128 * KIB),
    kept("kept", 256, 160 * KIB),
])
shape("py-no-collector", "Python", "leak", "reference cycles while the collector is switched off", PYTHON, [
    killed("killed", 48, 160 * KIB),
    kept("kept", 256, 160 * KIB),
])
shape("py-deleted-files", "Python", "leak", "temporary files in memory, deleted but never closed", PYTHON, [
    killed("killed", 48, 192 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("py-metric-labels", "Python", "leak", "a histogram for each label it was ever asked for", PYTHON, [
    killed("killed", 40, 128 * KIB),
    kept("kept", 256, 128 * KIB),
])
shape("py-stuck-threads", "Python", "leak", "a thread for each request that waits for ever", PYTHON, [
    killed("killed", 48, 160 * KIB),
    kept("kept", 256, 128 * KIB, rate=50, per_cycle=80),
])
shape("py-heartbeats", "Python", "leak", "a background thread keeps every reading, with traffic or without", PYTHON, [
    killed("killed", 48, 448 * KIB, rate=30, per_cycle=50, cycles=14, idle="3s", gap="1s"),
    kept("kept", 256, 320 * KIB, rate=30, per_cycle=50, idle="3s", gap="1s", cooldown="3s"),
], driver="time")
shape("py-retry-queue", "Python", "leak", "jobs that failed are put back for ever", PYTHON, [
    killed("killed", 48, 160 * KIB),
    kept("kept", 256, 160 * KIB),
])
shape("sqlite-memory", "SQLite", "leak", "rows in an SQLite database in memory that are never deleted", PYTHON, [
    killed("killed", 48, 160 * KIB),
    kept("kept", 256, 128 * KIB),
])

# --- leaks: Node ---------------------------------------------------------------------------------------

shape("node-listeners", "Node", "leak", "a listener for each request on an emitter that lives for ever", NODE, [
    killed("killed", 112, 256 * KIB),
    kept("kept", 512, 192 * KIB),
])
shape("node-timers", "Node", "leak", "a timer for each request that is never cleared", NODE, [
    killed("killed", 112, 256 * KIB),
    kept("kept", 512, 192 * KIB),
])
shape("node-map", "Node", "leak", "a map by request that grows slowly under the sawtooth of the collector", NODE, [
    killed("killed", 128, 192 * KIB, rate=80, per_cycle=120),
    kept("kept", 512, 128 * KIB, rate=100, per_cycle=150),
    kept("slow", 400, 64 * KIB, {"GARBAGE": 512 * KIB}, rate=100, per_cycle=200),
])
shape("node-buffers", "Node", "leak", "buffers outside of V8's heap, kept", NODE, [
    killed("killed", 112, 320 * KIB),
    kept("kept", 400, 192 * KIB),
])
shape("node-promises", "Node", "leak", "promises that never settle hold what awaits them", NODE, [
    killed("killed", 112, 224 * KIB),
    kept("kept", 512, 192 * KIB),
])
shape("node-poller", "Node", "leak", "a poller keeps every sample, with traffic or without", NODE, [
    killed("killed", 128, 768 * KIB, rate=30, per_cycle=50, cycles=14, idle="3s", gap="1s"),
    kept("kept", 512, 256 * KIB, rate=30, per_cycle=50, idle="3s", gap="1s", cooldown="3s"),
], driver="time")
shape("node-strings", "Node", "leak", "a cache of pages by visitor, without a bound", NODE, [
    killed("killed", 112, 256 * KIB),
    kept("kept", 400, 160 * KIB),
])
shape("node-heap-limit", "Node", "leak", "it leaks until V8's own limit, below the container's, ends it",
      ["node", "--expose-gc", "--max-old-space-size=64", "{programs}/service.js"], [
          case("aborts", 400, {"SIZE": 224 * KIB}, cycles=12),
      ], rate_of="none")

# --- leaks: Java ---------------------------------------------------------------------------------------

shape("java-map", "Java", "leak", "a map that is only ever added to", JAVA, [
    killed("killed", 128, 384 * KIB),
    killed("large", 160, 768 * KIB, rate=50),
    kept("kept", 400, 256 * KIB),
])
shape("java-class-loaders", "Java", "leak", "a class loader for each request is kept: metaspace", JAVA, [
    killed("killed", 112, 0, {"COUNT": 60}, rate=50),
    kept("kept", 400, 0, {"COUNT": 30}, rate=50, per_cycle=75),
])
shape("java-direct", "Java", "leak", "direct buffers that are never let go, outside of the heap", JAVA, [
    killed("killed", 128, 320 * KIB),
    kept("kept", 400, 256 * KIB),
])
shape("java-queue", "Java", "leak", "a queue whose consumer waits for a lock for ever", JAVA, [
    killed("killed", 128, 320 * KIB),
    kept("kept", 400, 256 * KIB),
])

# --- leaks: servers ------------------------------------------------------------------------------------


def redis(*options):
    return ["/usr/bin/python3", "{programs}/gateway.py", "redis-server", *options]


shape("redis-no-expiry", "Redis", "leak", "a key for each request without a time to live", redis(), [
    killed("killed", 48, 160 * KIB, requests=["/set*1"]),
    kept("kept", 300, 128 * KIB, requests=["/set*1"]),
])
shape("redis-stream", "Redis", "leak", "a stream that is never trimmed", redis(), [
    killed("killed", 48, 128 * KIB, requests=["/append*1"]),
    kept("kept", 300, 128 * KIB, requests=["/append*1"]),
])
TRACE_HEADER = "x" * 3900
shape("nginx-log", "nginx", "leak", "an access log in a file system in memory that nothing rotates", ["{programs}/nginx.sh"], [
    killed("killed", 16, 1, {"COUNT": 1}, rate=500, per_cycle=900, requests=["/log*1"], headers={"X-Trace": TRACE_HEADER}),
    kept("kept", 128, 1, {"COUNT": 1}, rate=500, per_cycle=900, requests=["/log*1"], headers={"X-Trace": TRACE_HEADER}),
])

# --- innocent ------------------------------------------------------------------------------------------

STABLE = ["stable"]
shape("c-scratch", "C", "stable", "works with a buffer and gives it back", C, [
    case("small", 64, {"SIZE": 262144}), case("large", 64, {"SIZE": 8 * MIB}, rate=40, per_cycle=60),
])
shape("c-lru", "C", "bounded-cache", "a cache of COUNT entries that is asked for random keys and full after some cycles", C, [
    case("early", 128, {"COUNT": 200, "SIZE": 262144}, cycles=12),
    case("small", 96, {"COUNT": 160, "SIZE": 200000}, cycles=12),
    case("keys", 160, {"COUNT": 300, "KEYS": 300, "SIZE": 262144}, rate=100, per_cycle=150, cycles=12),
], also=STABLE)
shape("c-lru-straight", "C", "bounded-cache", "a cache that fills in a straight line and then replaces", C, [
    case("two-cycles", 128, {"COUNT": 200, "SIZE": 262144}, cycles=10),
    case("half-way", 160, {"COUNT": 400, "SIZE": 262144}, cycles=10),
], also=STABLE)
shape("c-lru-over", "C", "bounded-cache", "a cache that is larger than the limit: killed while it fills, level with more memory", C, [
    case("over", 48, {"COUNT": 300, "SIZE": 262144}, 128, cycles=12),
    case("far-over", 40, {"COUNT": 400, "SIZE": 262144}, 160, cycles=14),
], also=["peak-demand"])
shape("c-pool", "C", "bounded-cache", "a pool of connections that is made as needed and kept", C, [
    case("sixteen", 64, {"COUNT": 16, "SIZE": MIB}), case("forty", 96, {"COUNT": 40, "SIZE": MIB}),
], also=STABLE)
shape("c-fragments", "C", "stable", "objects of many sizes and lives: fragmentation that levels off", C, [
    case("small", 96, {"COUNT": 1024, "SIZE": 32768}), case("large", 128, {"COUNT": 2048, "SIZE": 49152}),
], also=["bounded-cache"])
shape("c-log-ring", "C", "bounded-cache", "the last lines of the log in a ring that is first written once round", C, [
    case("ring", 64, {"SIZE": 12 * MIB, "LINE": 65536}), case("large", 96, {"SIZE": 40 * MIB, "LINE": 196608}, cycles=10),
], also=STABLE)
shape("c-file-server", "C", "reclaimable-cache", "reads files of the disk: the kernel keeps what it can", C, [
    case("fits", 128, {"COUNT": 64, "SIZE": 262144}), case("over", 64, {"COUNT": 96, "SIZE": 393216}),
])
shape("c-spike", "C", "stable", "one report in EVERY needs much, briefly, and it fits", C, [
    case("fits", 96, {"SIZE": 24 * MIB, "EVERY": 40}), case("often", 96, {"SIZE": 40 * MIB, "EVERY": 25, "MS": 96}),
], also=["bounded-cache"])
shape("c-peak-over", "C", "peak-demand", "one report in EVERY needs more than the limit, briefly", C, [
    case("rare", 40, {"SIZE": 64 * MIB, "EVERY": 90}, 128, cycles=10),
    case("often", 48, {"SIZE": 80 * MIB, "EVERY": 50, "MS": 160}, 160, cycles=8),
])
shape("c-sessions", "C", "stable", "sessions that expire: memory follows the load, up and down", C, [
    case("short", 96, {"SIZE": 262144, "MS": 500}, gap="1s"), case("day", 128, {"SIZE": 262144, "MS": 1500}, gap="2500ms", cycles=6),
], also=["bounded-cache"])
shape("c-table", "C", "stable", "a table is loaded before it listens, and it fits", C, [
    case("fits", 128, {"SIZE": 64 * MIB, "MS": 600}),
])
shape("c-table-over", "C", "startup-demand", "a table that is loaded before it listens is larger than the limit", C, [
    case("over", 48, {"SIZE": 64 * MIB, "MS": 1000}, 96, cycles=4),
    case("quick", 64, {"SIZE": 100 * MIB, "MS": 200}, 160, cycles=4),
], driver="startup")
shape("c-crash", "C", "not-memory", "a bug ends it with SIGSEGV", C, [case("segv", 64, {"EVERY": 60})])
shape("c-exit", "C", "not-memory", "it exits by itself, once with a code that looks like a kill", C, [
    case("137", 64, {"EVERY": 70, "CODE": 137}), case("1", 64, {"EVERY": 50, "CODE": 1}),
])
shape("c-hang", "C", "not-memory", "it hangs, and the liveness probe restarts it", C, [
    case("probe", 64, {"EVERY": 40}, liveness="http:/health period=300ms timeout=300ms failures=2", cycles=6),
])
shape("c-no-start", "C", "not-memory", "it fails at start, without need of memory", C, [
    case("exit", 64, {}, cycles=2, ready_deadline="4s"),
])
shape("py-lru-cache", "Python", "bounded-cache", "functools.lru_cache with a size, and arguments that come again", PYTHON, [
    case("full", 96, {"COUNT": 160, "KEYS": 400, "SIZE": 262144}, cycles=10), case("keys", 96, {"COUNT": 400, "KEYS": 150, "SIZE": 262144}, cycles=10),
], also=STABLE)
shape("py-scratch", "Python", "stable", "builds documents out of many small objects and forgets them", PYTHON, [
    case("small", 64, {"SIZE": 262144}), case("large", 96, {"SIZE": 4 * MIB}, rate=20, per_cycle=40),
])
shape("py-import", "Python", "bounded-cache", "one request imports a data set, once", PYTHON, [
    case("early", 128, {"SIZE": 40 * MIB, "AFTER": 30}), case("late", 128, {"SIZE": 40 * MIB, "AFTER": 250}),
], also=STABLE)
shape("py-report", "Python", "stable", "one request in EVERY builds a large report, and it fits", PYTHON, [
    case("fits", 96, {"SIZE": 32 * MIB, "EVERY": 40}), case("often", 128, {"SIZE": 48 * MIB, "EVERY": 20}, rate=30, per_cycle=60),
], also=["bounded-cache"])
shape("py-report-over", "Python", "peak-demand", "one request in EVERY builds a report larger than the limit", PYTHON, [
    case("over", 48, {"SIZE": 64 * MIB, "EVERY": 80}, 160, cycles=10),
    case("rare", 64, {"SIZE": 80 * MIB, "EVERY": 130}, 192, cycles=12),
])
shape("py-expiring", "Python", "stable", "sessions that expire", PYTHON, [
    case("short", 96, {"SIZE": 262144, "MS": 600}, gap="1s"), case("long", 128, {"SIZE": 262144, "MS": 1500}, gap="2500ms", cycles=6),
], also=["bounded-cache"])
shape("py-model", "Python", "stable", "a model is loaded before it listens, and it fits", PYTHON, [
    case("fits", 128, {"SIZE": 64 * MIB}),
])
shape("py-model-over", "Python", "startup-demand", "a model that is loaded before it listens is larger than the limit", PYTHON, [
    case("over", 48, {"SIZE": 64 * MIB}, 128, cycles=4),
    case("far-over", 40, {"SIZE": 96 * MIB}, 160, cycles=4),
], driver="startup")
shape("py-exits", "Python", "not-memory", "an unhandled condition ends it", PYTHON, [
    case("1", 64, {"EVERY": 70}), case("3", 96, {"EVERY": 110, "CODE": 3}, cycles=10),
])
shape("py-log-file", "Python", "reclaimable-cache", "a chatty log file on the disk: page cache", PYTHON, [
    case("fits", 128, {"SIZE": 98304}), case("over", 48, {"SIZE": 196608}),
])
shape("sqlite-file", "SQLite", "reclaimable-cache", "an SQLite database on disk that grows: page cache", PYTHON, [
    case("fits", 128, {"SIZE": 98304}), case("over", 48, {"SIZE": 163840}),
])
shape("sqlite-purged", "SQLite", "bounded-cache", "a table in memory of which only the last rows stay", PYTHON, [
    case("rows", 96, {"SIZE": 131072, "COUNT": 200}, cycles=10), case("few", 64, {"SIZE": 65536, "COUNT": 120}, cycles=10),
], also=STABLE)
shape("node-garbage", "Node", "stable", "garbage, and nothing kept", NODE, [
    case("small", 256, {"SIZE": 131072}), case("large", 400, {"SIZE": MIB}, rate=50),
], also=["bounded-cache"])
shape("node-warm-up", "Node", "stable", "functions get hot one after the other, the heap finds its size", NODE, [
    case("jit", 256, {"SIZE": 131072}, cycles=10), case("heap", 320, {"SIZE": 524288}, rate=50, cycles=10),
], also=["bounded-cache"])
shape("node-lru", "Node", "bounded-cache", "a map with a limit", NODE, [
    case("full", 256, {"SIZE": 262144, "COUNT": 200}, cycles=10), case("keys", 256, {"SIZE": 262144, "COUNT": 500, "KEYS": 220}, cycles=10),
], also=STABLE)
shape("node-peak", "Node", "peak-demand", "a big answer now and then is more than there is", NODE, [
    case("over", 96, {"SIZE": 128 * MIB, "EVERY": 80, "MS": 320}, 320, cycles=10),
])
shape("node-throws", "Node", "not-memory", "an exception that nobody catches", NODE, [case("throws", 256, {"SIZE": 65536, "EVERY": 70})])
shape("java-heap", "Java", "bounded-cache", "the heap grows up to -Xmx, and stays", java("-Xms96m", "-Xmx96m", "-Xmn80m"), [
    case("96m", 256, {"SIZE": MIB}, cycles=10), case("slow", 256, {"SIZE": 393216}, cycles=10),
], also=STABLE)
shape("java-heap-over", "Java", "bounded-cache", "the heap may grow beyond the container's limit; with more memory it levels off",
      java("-Xms192m", "-Xmx192m", "-Xmn150m"), [
          case("over", 128, {"SIZE": MIB}, 384, cycles=12),
      ], also=["peak-demand"])
shape("java-lru", "Java", "bounded-cache", "a cache with a bound", java("-Xms128m", "-Xmx128m", "-Xmn8m"), [
    case("full", 224, {"SIZE": 262144, "COUNT": 200}, cycles=14), case("keys", 224, {"SIZE": 262144, "COUNT": 400, "KEYS": 180}, cycles=10),
], also=STABLE)
shape("java-warm-up", "Java", "stable", "the compiler and the heap warm up", java("-Xms64m", "-Xmx64m"), [
    case("c1", 256, {"SIZE": 262144}, cycles=10),
], also=["bounded-cache"])
shape("java-table-over", "Java", "startup-demand", "a table that is loaded before it listens is larger than the limit", JAVA, [
    case("over", 112, {"SIZE": 128 * MIB}, 256, cycles=4),
], driver="startup")
shape("redis-maxmemory", "Redis", "bounded-cache", "Redis at maxmemory evicts", redis("--maxmemory", "48mb", "--maxmemory-policy", "allkeys-lru"), [
    case("random", 128, {"SIZE": 262144, "KEYS": 1000}, cycles=10, requests=["/set*1"]),
    case("straight", 128, {"SIZE": 163840}, cycles=12, requests=["/set*1"]),
], also=STABLE)
shape("redis-over", "Redis", "bounded-cache", "maxmemory is more than the container has; with more memory it levels off",
      redis("--maxmemory", "80mb", "--maxmemory-policy", "allkeys-lru"), [
          case("over", 56, {"SIZE": 262144}, 160, cycles=12, requests=["/set*1"]),
      ], also=["peak-demand"])
shape("redis-sessions", "Redis", "stable", "keys that expire", redis(), [
    case("short", 128, {"SIZE": 262144, "MS": 800}, gap="1s", requests=["/session*1"]),
], also=["bounded-cache"])
shape("nginx-static", "nginx", "reclaimable-cache", "static files from the disk", ["{programs}/nginx.sh"], [
    case("few", 128, {"COUNT": 24, "SIZE": 2 * MIB}, rate=30, per_cycle=60, requests=[f"/{i}*1" for i in range(24)]),
    case("over", 48, {"COUNT": 40, "SIZE": 2 * MIB}, rate=30, per_cycle=60, requests=[f"/{i}*1" for i in range(40)]),
], also=STABLE)


def split():
    """Give every shape its part."""
    for label in {entry["label"] for entry in SHAPES}:
        shapes = [entry for entry in SHAPES if entry["label"] == label]
        shapes.sort(key=lambda entry: hashlib.sha256(entry["shape"].encode()).hexdigest())
        for index, entry in enumerate(shapes):
            entry["part"] = ("tuning", "test")[index % 2]


def all_cases():
    """Every case with its shape, as one dict."""
    split()
    for entry in SHAPES:
        for one in entry["cases"]:
            yield {**{key: value for key, value in entry.items() if key != "cases"}, **one,
                   "id": f"{entry['shape']}-{one['name']}"}
