-- The run file (.camrun): one SQLite database, readable with plain `sqlite3`. docs/run-file.md describes it for users.
--
-- Times. `*_ns` is nanoseconds since the run began, on CLOCK_MONOTONIC; `second` is the same clock cut to whole seconds
-- (a bucket covers [second, second + width)). meta.started_realtime_ns turns either into a wall clock. What was there before
-- the run began (an object allocated before `camprobe attach`) has a negative time.
-- Weights. `bytes`, `objects` and `weight_ns` are unbiased estimates (each sample weighed first, then added); `samples` is
-- how many samples stand behind them. Columns of io are exact counts, and so are those of descriptors, but see there.
-- Process 0 is the machine; stack 0 is "unknown"; name 0 is "".

PRAGMA application_id = 0x63616d70;  -- "camp"
PRAGMA user_version = 2;

-- schema, run_id, camprobe_version, started_realtime_ns, started_monotonic_ns, ended_ns, command (JSON array), host, kernel,
-- cpus, memory_bytes, state (recording | complete | post-mortem | snapshot), load_command, ...
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

CREATE TABLE process (
  id INTEGER PRIMARY KEY,
  pid INTEGER NOT NULL, parent_pid INTEGER, start_ticks INTEGER,  -- field 22 of /proc/<pid>/stat
  image INTEGER NOT NULL DEFAULT 0,      -- counts exec() in the same pid
  executable TEXT, command TEXT,         -- command: arguments joined by spaces
  began_ns INTEGER NOT NULL, ended_ns INTEGER,
  ended_how TEXT,                        -- exited | killed | exec | running | lost
  exit_status INTEGER,                   -- as the shell shows it: code, or 128 + signal; null where not our child
  probe_state TEXT NOT NULL,             -- sampling | off | none, and why in note
  memory_limit_bytes INTEGER,            -- smallest of cgroup, RLIMIT_AS/DATA and the machine
  note TEXT
);

CREATE TABLE thread (
  id INTEGER PRIMARY KEY, process INTEGER NOT NULL, tid INTEGER NOT NULL, name TEXT,
  began_ns INTEGER NOT NULL, ended_ns INTEGER,
  stack INTEGER NOT NULL DEFAULT 0,      -- where it was created
  kept_of INTEGER NOT NULL DEFAULT 1     -- of very many that ended, one row of so many is kept (run/fold_ended.h)
);
CREATE INDEX thread_ended ON thread (ended_ns) WHERE ended_ns IS NOT NULL;

CREATE TABLE module (
  id INTEGER PRIMARY KEY, process INTEGER NOT NULL, path TEXT NOT NULL, build_id TEXT,
  base INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,   -- load bias and [low, high) of its text
  opened_ns INTEGER NOT NULL, closed_ns INTEGER
);

-- One row per function and line as a reader sees it. Inlined callees are frames of their own.
CREATE TABLE frame (
  id INTEGER PRIMARY KEY, function TEXT NOT NULL, file TEXT, line INTEGER, module TEXT,
  address INTEGER,                       -- in the module's own (link-time) addresses; in the process for JIT code
  kind TEXT NOT NULL                     -- native | inlined | js | python | java | kernel | unknown | lost
);
CREATE TABLE stack (id INTEGER PRIMARY KEY, process INTEGER NOT NULL, truncated INTEGER NOT NULL DEFAULT 0,
  region_id INTEGER,                     -- what the process's region knows it by; of a CPU sample: its callers, 0 for none
  instruction INTEGER);                  -- and the interrupted instruction
CREATE TABLE stack_frame (stack INTEGER NOT NULL, depth INTEGER NOT NULL, frame INTEGER NOT NULL,  -- depth 0 = leaf
  PRIMARY KEY (stack, depth)) WITHOUT ROWID;

-- Stacks recorded by address, whose frames are not named yet; a row goes when its stack_frame rows come. addresses: 8 bytes
-- each, little-endian, leaf first. Bit 62 set (and 63 clear): a JIT had code at this address, and the next 8 bytes are the
-- id of the frame it told of, which counts unless a module of `module` has a name for the address.
CREATE TABLE unnamed_stack (stack INTEGER PRIMARY KEY, taken_ns INTEGER NOT NULL,
  leaf_is_exact INTEGER NOT NULL,        -- 1: the leaf is an interrupted program counter; 0: a return address, as all others are
  addresses BLOB NOT NULL);

-- Time series. unit: bytes, count, ratio, ns, per_second. kind: gauge | counter (cumulative).
CREATE TABLE metric (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL, kind TEXT NOT NULL);
CREATE TABLE point (metric INTEGER NOT NULL, process INTEGER NOT NULL, second INTEGER NOT NULL, width INTEGER NOT NULL DEFAULT 1,
  value REAL NOT NULL,                   -- of a bucket wider than a second: the last one in it
  peak REAL,                             -- of such a bucket: the highest in it; null: value is
  PRIMARY KEY (metric, process, second)) WITHOUT ROWID;
-- Old buckets are put together (run/fold.h): those that begin before `until` are `width` seconds wide, in every table with
-- process and second; where two rows hold, the wider one counts. Empty: every bucket is a second.
CREATE TABLE folded (width INTEGER PRIMARY KEY, until INTEGER NOT NULL);

CREATE TABLE cpu (process INTEGER NOT NULL, second INTEGER NOT NULL, thread INTEGER NOT NULL, stack INTEGER NOT NULL,
  span_name INTEGER NOT NULL, samples INTEGER NOT NULL, weight_ns REAL NOT NULL,
  PRIMARY KEY (process, second, thread, stack, span_name)) WITHOUT ROWID;
CREATE TABLE wait (process INTEGER NOT NULL, second INTEGER NOT NULL, thread INTEGER NOT NULL, stack INTEGER NOT NULL,
  call INTEGER NOT NULL, samples INTEGER NOT NULL, weight_ns REAL NOT NULL,   -- call: a name ("epoll_wait")
  PRIMARY KEY (process, second, thread, stack, call)) WITHOUT ROWID;

-- Allocation by second and stack: everything sampled, whatever became of it.
CREATE TABLE alloc (process INTEGER NOT NULL, second INTEGER NOT NULL, stack INTEGER NOT NULL, span_name INTEGER NOT NULL,
  samples INTEGER NOT NULL, objects REAL NOT NULL, bytes REAL NOT NULL,
  temporary_objects REAL NOT NULL DEFAULT 0,
  PRIMARY KEY (process, second, stack, span_name)) WITHOUT ROWID;
-- Sampled objects that lived at least meta.heap_object_min_age_ns (1 s), one row each: the birth cohorts of the leak analysis.
CREATE TABLE heap_object (process INTEGER NOT NULL, sample INTEGER NOT NULL, stack INTEGER NOT NULL, thread INTEGER NOT NULL,
  span_name INTEGER NOT NULL, size INTEGER NOT NULL, interval INTEGER NOT NULL,
  bytes REAL NOT NULL, objects REAL NOT NULL,           -- weights: size/(1-exp(-size/interval)), and that over size
  born_ns INTEGER NOT NULL, died_ns INTEGER,            -- null: alive when last seen
  PRIMARY KEY (process, sample)) WITHOUT ROWID;
CREATE INDEX heap_object_died ON heap_object (died_ns) WHERE died_ns IS NOT NULL;
-- Deaths by age, every sampled object: octave k holds ages [2^k, 2^(k+1)) microseconds, octave 0 also what is younger.
CREATE TABLE lifetime (process INTEGER NOT NULL, second INTEGER NOT NULL, octave INTEGER NOT NULL,
  samples INTEGER NOT NULL, objects REAL NOT NULL, bytes REAL NOT NULL,
  PRIMARY KEY (process, second, octave)) WITHOUT ROWID;

-- Large mappings made by the program itself (mmap, not malloc's own).
CREATE TABLE mapping (id INTEGER PRIMARY KEY, process INTEGER NOT NULL, address INTEGER NOT NULL, bytes INTEGER NOT NULL,
  stack INTEGER NOT NULL, mapped_ns INTEGER NOT NULL, unmapped_ns INTEGER,
  kept_of INTEGER NOT NULL DEFAULT 1);   -- as in thread
CREATE INDEX mapping_ended ON mapping (unmapped_ns) WHERE unmapped_ns IS NOT NULL;

-- Descriptors that were open at least 1 s or still are; shorter ones are added up in descriptor_sum, and so are, of very many
-- that closed, all but one of `kept_of`.
-- kind: listen | accept | connect | socket | file | pipe | epoll | event | other.
-- Of plain files that a thread opens hundreds of a second only some openings are captured. stands_for: how many openings a
-- row is an estimate of; 0: not captured, stack unknown. In descriptor_sum the captured ones are multiplied by it.
CREATE TABLE descriptor (id INTEGER PRIMARY KEY, process INTEGER NOT NULL, fd INTEGER NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL, peer TEXT, stack INTEGER NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER,
  read_ops INTEGER NOT NULL DEFAULT 0, read_bytes INTEGER NOT NULL DEFAULT 0,
  write_ops INTEGER NOT NULL DEFAULT 0, write_bytes INTEGER NOT NULL DEFAULT 0,
  stands_for INTEGER NOT NULL DEFAULT 1,
  kept_of INTEGER NOT NULL DEFAULT 1,    -- its lifetime stands for so many; its counts are its own
  UNIQUE (process, fd, generation));
CREATE INDEX descriptor_ended ON descriptor (closed_ns) WHERE closed_ns IS NOT NULL;
CREATE TABLE descriptor_sum (process INTEGER NOT NULL, second INTEGER NOT NULL, kind TEXT NOT NULL, peer TEXT NOT NULL,
  stack INTEGER NOT NULL, opened INTEGER NOT NULL, closed INTEGER NOT NULL,
  read_ops INTEGER NOT NULL, read_bytes INTEGER NOT NULL, write_ops INTEGER NOT NULL, write_bytes INTEGER NOT NULL,
  PRIMARY KEY (process, second, kind, peer, stack)) WITHOUT ROWID;
-- Exact per second: kind socket_read, socket_write, file_read, file_write, other_read, other_write, accept, connect, wait.
CREATE TABLE io (process INTEGER NOT NULL, second INTEGER NOT NULL, kind TEXT NOT NULL,
  ops INTEGER NOT NULL, bytes INTEGER NOT NULL, errors INTEGER NOT NULL, ns INTEGER NOT NULL,
  PRIMARY KEY (process, second, kind)) WITHOUT ROWID;

-- Spans: histograms of all of them per second; attributes of all of them per second; single rows for a bounded choice.
-- latency: JSON, [first bucket, count, count, ...] or {"bucket": count}; run/histogram.h says which durations a bucket holds.
CREATE TABLE span_stat (process INTEGER NOT NULL, second INTEGER NOT NULL, name INTEGER NOT NULL,
  spans INTEGER NOT NULL, total_ns INTEGER NOT NULL, max_ns INTEGER NOT NULL, latency TEXT NOT NULL,
  PRIMARY KEY (process, second, name)) WITHOUT ROWID;
-- text: the value of a text attribute ('' for numbers). changes: how often the value differed from the previous span's of
-- the same name in this process (by begin time), e.g. provider switches.
CREATE TABLE span_attribute (process INTEGER NOT NULL, second INTEGER NOT NULL, name INTEGER NOT NULL, key INTEGER NOT NULL,
  text TEXT NOT NULL, spans INTEGER NOT NULL, sum REAL NOT NULL, changes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (process, second, name, key, text)) WITHOUT ROWID;
CREATE TABLE span (process INTEGER NOT NULL, span INTEGER NOT NULL, parent INTEGER NOT NULL, name INTEGER NOT NULL,
  began_ns INTEGER NOT NULL, ended_ns INTEGER, begin_thread INTEGER NOT NULL, end_thread INTEGER,
  attributes TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (process, span)) WITHOUT ROWID;
CREATE INDEX span_ended ON span (ended_ns);

-- The load timeline: what the load tool says it did. endpoint '' = all together.
CREATE TABLE load_source (id INTEGER PRIMARY KEY, tool TEXT NOT NULL, file TEXT, requests INTEGER, errors INTEGER,
  skew_ns INTEGER, skipped INTEGER NOT NULL DEFAULT 0, skipped_why TEXT,
  latency_basis TEXT NOT NULL);          -- intended | sent | none: from when latency was counted (coordinated omission)
CREATE TABLE load_bucket (source INTEGER NOT NULL, second INTEGER NOT NULL, width INTEGER NOT NULL DEFAULT 1, endpoint TEXT NOT NULL,
  requests INTEGER NOT NULL, errors INTEGER NOT NULL,
  latency TEXT,                          -- histogram of this bucket (mergeable), or null
  p50_ms REAL, p95_ms REAL, p99_ms REAL, max_ms REAL,   -- as the tool gave them where it gave only quantiles
  users REAL, PRIMARY KEY (source, second, endpoint)) WITHOUT ROWID;
CREATE TABLE load_window (id INTEGER PRIMARY KEY, source INTEGER, name TEXT NOT NULL, kind TEXT NOT NULL,  -- ramp | steady | spike | idle | warm-up
  from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL);

-- Where the collector stands in a process's region, while that is recorded: what a later one needs to go on from there.
CREATE TABLE drain_state (process INTEGER PRIMARY KEY, state TEXT NOT NULL);

CREATE TABLE mark (id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, text TEXT NOT NULL, source TEXT NOT NULL);  -- user | program | collector | proof
-- What could not be recorded: kind of record, how many, and (where it can be said) how much they stood for.
CREATE TABLE lost (process INTEGER NOT NULL, second INTEGER NOT NULL, kind TEXT NOT NULL, records INTEGER NOT NULL,
  PRIMARY KEY (process, second, kind)) WITHOUT ROWID;
-- Which sampling interval or rate held from when on.
CREATE TABLE setting (process INTEGER NOT NULL, at_ns INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL);
