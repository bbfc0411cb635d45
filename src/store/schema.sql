-- One SQLite file per run: the only place where evidence lives. Rows are appended; nothing is edited
-- except the columns marked (late), which are NULL until known.
-- Every *_ns column is CLOCK_MONOTONIC nanoseconds unless it says realtime; run.*_zero_ns tie the two.

CREATE TABLE run (
  id TEXT PRIMARY KEY,
  lab TEXT NOT NULL,
  command TEXT NOT NULL,               -- the command line, shell-quoted
  lab_json TEXT NOT NULL,              -- the plan: the lab file after defaults, as JSON
  seed INTEGER NOT NULL,
  started_at_ns INTEGER NOT NULL,      -- realtime
  monotonic_zero_ns INTEGER NOT NULL,  -- the monotonic clock at that moment
  ended_ns INTEGER,                    -- (late)
  tool_version TEXT NOT NULL,
  kernel TEXT NOT NULL,
  cgroup_version INTEGER NOT NULL,
  cpus INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  sample_rate_hz REAL,                 -- NULL: nothing was sampled here (a diagnosis)
  backoff TEXT NOT NULL,               -- "kubernetes", "fast" or "FIRST,MAX"
  backoff_scale REAL NOT NULL,         -- back-off times are the platform's own times this factor
  kernel_log INTEGER NOT NULL,         -- 1: /dev/kmsg was readable
  dropped_observations INTEGER,        -- (late) ring overflows
  exit_status INTEGER                  -- (late)
) STRICT;

CREATE TABLE arm (
  id INTEGER PRIMARY KEY,
  scenario TEXT NOT NULL,              -- hard, leak, healthy; "service" for one's own command
  name TEXT NOT NULL,                  -- trigger, raise, patch, fix, control, revert
  reference TEXT,                      -- the arm it is compared with (NULL for trigger)
  differs_in TEXT NOT NULL,            -- JSON array of strings, e.g. ["memory: 512Mi -> 1Gi"]
  purpose TEXT NOT NULL,               -- what it tests, one sentence
  app TEXT NOT NULL,
  revision TEXT NOT NULL,
  command TEXT NOT NULL,               -- JSON array
  env TEXT NOT NULL,                   -- JSON object: what was set beyond the base environment
  memory_limit_bytes INTEGER,          -- of a diagnosis: 0 recorded as none, NULL not named
  cpu_cores REAL,                      -- NULL: no quota
  kill_stop INTEGER,                   -- the arm stops after so many kills; NULL: never
  requests_planned INTEGER NOT NULL,
  sequence_sha256 TEXT NOT NULL,       -- of the longest sequence, of which an arm takes a prefix: equal in all arms of a scenario
  started_ns INTEGER NOT NULL,
  traffic_started_ns INTEGER,          -- (late)
  ended_ns INTEGER,                    -- (late)
  ended_because TEXT,                  -- (late) sequence-complete, settled, kill-stop, deadline, interrupted, failed
  stop_reason TEXT,                    -- (late) why the stopping rule ended it, or what it lacked; NULL: fixed limits
  health_state TEXT,                   -- (late) Healthy | Unhealthy | None
  provisioning_state TEXT,             -- (late)
  running_state TEXT                   -- (late)
) STRICT;

CREATE TABLE phase (                   -- what the traffic did when
  arm_id INTEGER NOT NULL REFERENCES arm,
  kind TEXT NOT NULL,                  -- idle, cycle, gap, cooldown
  cycle INTEGER NOT NULL,              -- 1.. for cycle and gap, else 0
  started_ns INTEGER NOT NULL,
  ended_ns INTEGER                     -- (late)
) STRICT;

CREATE TABLE revision (
  name TEXT PRIMARY KEY,
  app TEXT NOT NULL,
  arm_id INTEGER NOT NULL REFERENCES arm,
  created_ns INTEGER NOT NULL,
  deactivated_ns INTEGER,              -- (late)
  template TEXT NOT NULL               -- JSON
) STRICT;

CREATE TABLE lifetime (
  id INTEGER PRIMARY KEY,
  arm_id INTEGER NOT NULL REFERENCES arm,
  replica TEXT NOT NULL,
  idx INTEGER NOT NULL,                -- 1.. within the replica
  pid INTEGER,                         -- NULL: a diagnosis
  cgroup TEXT,                         -- as the kernel log names it; NULL: a diagnosis
  started_ns INTEGER,                  -- the command was executed; NULL: not recorded
  backoff_ns INTEGER NOT NULL,         -- waited before this start
  ready_ns INTEGER                     -- (late) first successful readiness probe
) STRICT;

CREATE TABLE lifetime_end (            -- committed durably before the cgroup goes
  lifetime_id INTEGER PRIMARY KEY REFERENCES lifetime,
  ended_ns INTEGER,                    -- noticed; NULL: a diagnosis, time not recorded
  recorded_ns INTEGER,                 -- complete in memory; NULL: a diagnosis
  committed_ns INTEGER,                -- (late) durable
  wait_code INTEGER,                   -- CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3; NULL: unknown
  wait_status INTEGER,                 -- exit code or signal
  platform_kill TEXT NOT NULL,         -- why we sent a signal before; "none"
  oom_start INTEGER, oom_end INTEGER,  -- NULL where the kernel has no such counter
  oom_kill_start INTEGER, oom_kill_end INTEGER,
  oom_group_kill_start INTEGER, oom_group_kill_end INTEGER,
  limit_hits_start INTEGER, limit_hits_end INTEGER,
  ancestor_oom_start INTEGER, ancestor_oom_end INTEGER,
  peak_bytes INTEGER,                  -- the kernel's own high-water mark
  user_ns INTEGER, system_ns INTEGER,  -- NULL: a diagnosis
  console_tail TEXT,                   -- the last lines, at most 4 KiB
  cause TEXT,                          -- (late) end.cause of the contract
  level TEXT                           -- (late)
) STRICT;

CREATE TABLE sample (
  lifetime_id INTEGER NOT NULL REFERENCES lifetime,
  at_ns INTEGER NOT NULL
  -- and one INTEGER column for each metric of base/metrics.h, NULL where absent
  /*METRICS*/
) STRICT;
CREATE INDEX sample_by_lifetime ON sample (lifetime_id, at_ns);

-- Samples of a lifetime in a row, 64 of them and those of the same moment as the last, for whoever shows very many.
-- Written in the transaction of the sample after them (blocks.c), if all samples of that time are in it. The others (the
-- last of a lifetime, those around an error or a deletion, those of files before format 8) are in no block and read one
-- by one.

CREATE TABLE sample_block (
  lifetime_id INTEGER NOT NULL REFERENCES lifetime,
  first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
  after_ns INTEGER,                    -- last_ns of the block that it follows at once; NULL: not known
  samples INTEGER NOT NULL,
  known INTEGER NOT NULL,              -- of them with a working set; the first, lowest, highest and last of these
  begin_ns INTEGER, begin_bytes INTEGER,
  low_ns INTEGER, low_bytes INTEGER, low_row INTEGER, -- the first of equals, and its rowid in sample
  high_ns INTEGER, high_bytes INTEGER, high_row INTEGER,
  end_ns INTEGER, end_bytes INTEGER,
  full_ns INTEGER, full_row INTEGER,   -- the sample with most memory by kind; NULL: none has anonymous memory
  full_anon INTEGER, full_shmem INTEGER, full_file INTEGER, full_kernel INTEGER, -- its columns of sample
  PRIMARY KEY (lifetime_id, first_ns)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sample_deleted AFTER DELETE ON sample BEGIN
  DELETE FROM sample_block WHERE lifetime_id = OLD.lifetime_id AND last_ns >= OLD.at_ns AND first_ns =
    (SELECT max(first_ns) FROM sample_block WHERE lifetime_id = OLD.lifetime_id AND first_ns <= OLD.at_ns);
END;
CREATE TRIGGER sample_changed BEFORE UPDATE ON sample BEGIN
  SELECT RAISE(ABORT, 'samples are evidence and stay as they were taken');
END;

CREATE TABLE kill (
  id INTEGER PRIMARY KEY,
  lifetime_id INTEGER NOT NULL REFERENCES lifetime,
  kills INTEGER NOT NULL,              -- how far oom_kill went up
  kernel_ns INTEGER,                   -- the kernel log's stamp, on the monotonic clock
  noticed_ns INTEGER NOT NULL,
  recorded_ns INTEGER NOT NULL,
  committed_ns INTEGER,                -- (late) durable
  usage_bytes INTEGER, oom INTEGER, oom_kill INTEGER
) STRICT;

CREATE TABLE kernel_log (
  id INTEGER PRIMARY KEY,
  lifetime_id INTEGER,                 -- NULL: belongs to none of ours
  sequence INTEGER NOT NULL,
  boot_ns INTEGER NOT NULL,            -- printk's clock
  noticed_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,                  -- summary, killed, group, reaped, invoked
  oom_memcg TEXT, task_memcg TEXT, comm TEXT, pid INTEGER,
  text TEXT NOT NULL
) STRICT;

CREATE TABLE killer_log (              -- what a user-space OOM killer left about a lifetime's end
  id INTEGER PRIMARY KEY,
  lifetime_id INTEGER NOT NULL REFERENCES lifetime,
  killer TEXT NOT NULL,                -- systemd-oomd, earlyoom
  source TEXT NOT NULL,                -- journal: its own words; xattr: its marks on the cgroup
  at_realtime_ns INTEGER NOT NULL,     -- wall clock: the journal's, or when the marks were read
  text TEXT NOT NULL
) STRICT;

CREATE TABLE request (
  arm_id INTEGER NOT NULL REFERENCES arm,
  seq INTEGER NOT NULL,                -- 0.. in the planned sequence
  cycle INTEGER NOT NULL,
  due_ns INTEGER NOT NULL,
  sent_ns INTEGER,
  done_ns INTEGER,
  status INTEGER NOT NULL,             -- HTTP status; 0: no response
  error TEXT,                          -- curl's words; NULL when a response came
  lifetime_id INTEGER,                 -- who answered; NULL: nobody
  PRIMARY KEY (arm_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (                   -- Azure's fields; `oomlab` holds what Azure cannot say
  id INTEGER PRIMARY KEY,
  arm_id INTEGER,
  at_ns INTEGER NOT NULL,
  type TEXT NOT NULL,                  -- Normal | Warning
  app TEXT, revision TEXT, replica TEXT,
  msg TEXT NOT NULL,
  reason TEXT NOT NULL,
  event_source TEXT NOT NULL,
  count INTEGER NOT NULL,
  oomlab TEXT                          -- JSON object or NULL
) STRICT;

CREATE TABLE evidence (                -- every statement of the report and the row it rests on
  id TEXT PRIMARY KEY,                 -- E1, E2, ...
  level TEXT NOT NULL,
  statement TEXT NOT NULL,
  arm_id INTEGER,
  source_table TEXT NOT NULL,
  source_row TEXT NOT NULL,            -- rowid or key of the row
  lifetime_id INTEGER                  -- a diagnosis: the lifetime whose end it proves; else NULL
) STRICT;

CREATE TABLE verdict (
  arm_id INTEGER,                      -- NULL: the run as a whole
  class TEXT NOT NULL,
  confidence REAL NOT NULL,            -- 0 to 1
  driver TEXT,
  level TEXT NOT NULL,
  because TEXT NOT NULL,               -- JSON array of evidence ids
  summary TEXT NOT NULL,               -- one or two plain sentences
  growth_bytes_per_request REAL, growth_bytes_per_s REAL, -- of the retained floor; NULL unknown
  growth_low REAL, growth_high REAL,   -- 95 % of the one that drives it
  would_settle TEXT                    -- inconclusive: which measurement would settle it
) STRICT;

CREATE TABLE growth (                  -- per lifetime
  lifetime_id INTEGER PRIMARY KEY REFERENCES lifetime,
  requests_completed INTEGER NOT NULL,
  bytes_per_request REAL, bytes_per_s REAL, low REAL, high REAL
) STRICT;

CREATE TABLE arm_growth (              -- per arm: as its verdict found it in every sample (oomlab compare); absent: not kept
  arm_id INTEGER PRIMARY KEY REFERENCES arm,
  driver TEXT,                         -- as the verdict's
  bytes_per_request REAL, request_low REAL, request_high REAL, -- with 95 %; NULL unknown
  bytes_per_s REAL, second_low REAL, second_high REAL,
  levels_off INTEGER NOT NULL          -- 1: it was not killed, and what it keeps does not grow on
) STRICT;

CREATE TABLE growth_kind (             -- per arm: the verdict's growth by kind of memory; absent: unknown
  arm_id INTEGER NOT NULL REFERENCES arm,
  kind TEXT NOT NULL,                  -- anon, shmem, kernel, file_active, file_inactive
  per TEXT NOT NULL,                   -- request, second
  bytes REAL NOT NULL
) STRICT;

CREATE TABLE caveat (                  -- per arm: what its samples could not show
  arm_id INTEGER NOT NULL REFERENCES arm,
  kind TEXT NOT NULL,                  -- few-samples, coarse-sampling, gaps, absent-values, clock-steps, long-idle
  text TEXT NOT NULL
) STRICT;

CREATE TABLE prediction (
  id INTEGER PRIMARY KEY,
  arm_id INTEGER,                      -- (late) the arm it is for, once that exists
  scenario TEXT NOT NULL,
  for_arm TEXT NOT NULL,
  hypothesis TEXT NOT NULL,
  metric TEXT NOT NULL,                -- requests-to-kill, seconds-to-kill, kills
  low REAL NOT NULL, high REAL NOT NULL,
  made_ns INTEGER NOT NULL,
  made_at_ns INTEGER NOT NULL,         -- realtime
  text TEXT NOT NULL,                  -- the canonical JSON that was hashed
  sha256 TEXT NOT NULL,
  observed REAL, holds INTEGER         -- (late)
) STRICT;

CREATE TABLE gate (
  id TEXT PRIMARY KEY,                 -- e.g. leak/trigger-reproduces
  scenario TEXT NOT NULL,
  hypothesis TEXT NOT NULL,
  pass INTEGER NOT NULL
) STRICT;

CREATE TABLE gate_check (
  gate_id TEXT NOT NULL REFERENCES gate,
  id TEXT NOT NULL,
  pass INTEGER NOT NULL,
  observed TEXT NOT NULL,
  threshold TEXT NOT NULL,
  evidence TEXT                        -- JSON array of evidence ids
) STRICT;

CREATE TABLE recommendation (
  action TEXT NOT NULL,                -- fix-leak, raise-limit, keep-limit, investigate
  memory_bytes INTEGER,
  reason TEXT NOT NULL
) STRICT;

-- How long a limit lasts at the traffic of the run, for a leak: from a process's start, with 95 % intervals.

CREATE TABLE forecast (
  limit_bytes INTEGER NOT NULL,
  seconds REAL NOT NULL,
  seconds_low REAL,
  seconds_high REAL,                   -- NULL: the interval is open
  requests REAL,                       -- NULL: requests do not drive it
  requests_low REAL,
  requests_high REAL,
  left_s REAL,                         -- of the process that was alive at the end; NULL: it was killed
  left_low_s REAL,
  left_high_s REAL
) STRICT;

-- What rules of today would set the limit to, for what can be sized.

CREATE TABLE size_rule (
  name TEXT NOT NULL,                  -- vertical-pod-autoscaler, krr
  memory_bytes INTEGER NOT NULL,
  formula TEXT NOT NULL
) STRICT;

-- Which code held the memory (oomlab run --heap): kept at the end of the run, when the names are known. What was held is that
-- at the moment of the profile.

CREATE TABLE heap_profile (
  lifetime_id INTEGER PRIMARY KEY REFERENCES lifetime, -- of each arm the one that tells most
  rate_bytes INTEGER NOT NULL,         -- one sample in so many bytes
  samples INTEGER NOT NULL,            -- live at that moment
  dropped INTEGER NOT NULL,
  total_bytes REAL NOT NULL,           -- that the profile saw
  memory_bytes REAL,                   -- anonymous and shared, of the container then; NULL unknown
  stacks INTEGER NOT NULL,             -- in all; heap_stack has the first
  folded TEXT NOT NULL,                -- all stacks: lines of "outer;inner BYTES"
  leading_stack INTEGER NOT NULL REFERENCES heap_stack (id),
  moment TEXT NOT NULL,                -- end: of the lifetime; kill: the last of a child process that it outlived
  leading_of TEXT NOT NULL,            -- growth, or held
  share REAL NOT NULL,                 -- of that, as far as the profile saw it
  level TEXT NOT NULL,
  sentence TEXT NOT NULL
) STRICT;

CREATE TABLE heap_stack (
  id INTEGER PRIMARY KEY,
  lifetime_id INTEGER NOT NULL REFERENCES lifetime,
  rank INTEGER NOT NULL,               -- 1..: by growth per request, then by bytes
  kind TEXT NOT NULL,                  -- malloc, mmap, arena
  bytes REAL NOT NULL,                 -- live then, estimated from samples
  low_bytes REAL NOT NULL, high_bytes REAL NOT NULL, -- 95 %
  objects REAL NOT NULL,
  share REAL,                          -- of memory_bytes
  bytes_per_request REAL, bytes_per_cycle REAL, -- growth; NULL unknown
  function TEXT NOT NULL, file TEXT, line INTEGER, -- the innermost place that is the program's own
  caller TEXT,
  frames TEXT NOT NULL                 -- JSON array, innermost first, as in oomlab.heap/1
) STRICT;

-- What the addresses in the files of heap profiles are called. A module may have several rows, one from each lifetime that
-- was read; one with a build-id is known by that, another by path and size. Texts are UTF-8; other bytes are \xNN.

CREATE TABLE heap_names (
  id INTEGER PRIMARY KEY,
  build_id TEXT NOT NULL,              -- hexadecimal; '': none
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,              -- that it was mapped with
  names TEXT NOT NULL                  -- JSON: [[address, [function, file, line, inlined], ...], ...], innermost first
) STRICT;

-- Evidence that somebody else recorded (oomlab diagnose).

CREATE TABLE source (                  -- what was read
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,                  -- as it was given; "stdin"
  format TEXT NOT NULL                 -- as it was recognised
) STRICT;

CREATE TABLE place (                   -- which container a fact is about, as far as its row says
  id INTEGER PRIMARY KEY,
  arm_id INTEGER REFERENCES arm,       -- (late) the container it was found to be
  app TEXT, revision TEXT, replica TEXT, container TEXT,
  pod_uid TEXT, container_id TEXT, cgroup TEXT
) STRICT;

CREATE TABLE fact (                    -- one thing that a source's row says
  id INTEGER PRIMARY KEY,
  source_id INTEGER NOT NULL REFERENCES source,
  line INTEGER NOT NULL,               -- of the source, 1..; 0: of the whole
  place_id INTEGER NOT NULL REFERENCES place,
  kind TEXT NOT NULL,                  -- as in src/import/facts.h: start, end, sample, ...
  origin TEXT NOT NULL,                -- azure, kubernetes, docker, prometheus, kernel-log, csv, ...
  at_ns INTEGER,                       -- realtime; NULL: unknown
  boot_ns INTEGER,                     -- kernel log: since boot
  started_ns INTEGER,                  -- realtime
  exit_code INTEGER, signal INTEGER,
  oom_killed INTEGER NOT NULL,         -- 1: the platform says OOMKilled
  reason TEXT, text TEXT,
  metric INTEGER,                      -- enum metric
  value REAL,
  count INTEGER NOT NULL,
  oom_kind INTEGER, oom_scope INTEGER, oom_memcg TEXT, task_memcg TEXT, comm TEXT, pid INTEGER
) STRICT;
CREATE INDEX fact_by_place ON fact (place_id, kind, at_ns);
