-- What was signed of the log, in the order in which it was signed. note is a C2SP checkpoint; the other columns only
-- find it again.
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY,
    size   INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    root   TEXT NOT NULL,
    note   TEXT NOT NULL
) STRICT;

CREATE INDEX checkpoints_size ON checkpoints (size);

-- Hashes of complete subtrees of the log's tree, at levels 8, 16, 24, …: each over 256 of the level below, the lowest
-- over 256 entries. They can be made again from the entries; kept so that a proof needs few of those.
CREATE TABLE tree_hashes (
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    hash  TEXT NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- The few entries about the log itself: its keys, and what was found wrong with it.
CREATE INDEX entries_log ON entries (seq) WHERE kind IN
    ('log.key_made', 'log.key_rotated', 'alarm.log_behind', 'alarm.log_disagrees', 'alarm.log_unwitnessed');

-- Where checkpoints also go, one row for each place that placet.toml names or named.
CREATE TABLE anchors (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('file', 'command', 'url', 'mail')),
    place      TEXT NOT NULL,
    configured INTEGER NOT NULL,
    size       INTEGER,
    at         INTEGER,
    tried_at   INTEGER,
    failures   INTEGER NOT NULL DEFAULT 0,
    error      TEXT
) STRICT;
