-- Held calls, votes, answers and the log. Times are milliseconds since 1970 UTC, ids and digests are text.

CREATE TABLE calls (
    id              TEXT PRIMARY KEY,
    agent_id        TEXT NOT NULL,
    agent_name      TEXT NOT NULL,
    agent_owner     TEXT NOT NULL,
    upstream        TEXT NOT NULL,
    upstream_config TEXT NOT NULL,
    tool            TEXT NOT NULL,
    tool_schema     TEXT,
    headers         TEXT NOT NULL,      -- JSON: [[name, value], …]
    same_call       TEXT NOT NULL,
    nonce           TEXT NOT NULL,
    policy          TEXT NOT NULL,
    rule            TEXT NOT NULL,
    requirement     TEXT NOT NULL,      -- JSON, frozen
    era             TEXT NOT NULL,
    client          TEXT,
    created_at      INTEGER NOT NULL,
    digest          TEXT NOT NULL,
    state           TEXT NOT NULL,
    expires_at      INTEGER NOT NULL,
    escalated       INTEGER NOT NULL DEFAULT 0,
    approved_at     INTEGER,
    approved_by     TEXT,               -- 'reviewers' or 'policy'
    approval_mac    TEXT,
    usable_until    INTEGER,
    claim           TEXT,
    ended_by        TEXT,               -- the rejecting reviewer
    ended_why       TEXT,
    changed_at      INTEGER NOT NULL,
    told_to_return  INTEGER NOT NULL DEFAULT 0,
    caller_gone     INTEGER NOT NULL DEFAULT 0,
    context         TEXT                -- JSON: the reads as returned
) STRICT;

CREATE INDEX calls_open ON calls (state, expires_at) WHERE state IN ('pending', 'approved', 'releasing');
CREATE INDEX calls_same ON calls (same_call, changed_at);
CREATE INDEX calls_agent ON calls (agent_id, created_at);
CREATE INDEX calls_created ON calls (created_at);

-- What the agent sent, apart from the call so that retention can erase it.
CREATE TABLE call_params (
    call_id     TEXT PRIMARY KEY REFERENCES calls (id),
    params      TEXT NOT NULL,
    args_start  INTEGER,                -- byte span of "arguments" in params; null where there are none
    args_end    INTEGER
) STRICT;

CREATE TABLE call_answers (
    call_id     TEXT PRIMARY KEY REFERENCES calls (id),
    kind        TEXT NOT NULL CHECK (kind IN ('result', 'error')),
    body        TEXT NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;

CREATE TABLE votes (
    call_id     TEXT NOT NULL REFERENCES calls (id),
    reviewer_id TEXT NOT NULL,
    email       TEXT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('approve', 'reject')),
    at          INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    mac         TEXT NOT NULL,
    PRIMARY KEY (call_id, reviewer_id)
) STRICT;

-- The log. body is what is hashed; the other columns only find it again.
CREATE TABLE entries (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    call_id     TEXT,
    agent       TEXT,
    upstream    TEXT,
    tool        TEXT,
    reviewer_id TEXT,
    body        TEXT NOT NULL,
    leaf        TEXT NOT NULL
) STRICT;

CREATE INDEX entries_call ON entries (call_id) WHERE call_id IS NOT NULL;

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
