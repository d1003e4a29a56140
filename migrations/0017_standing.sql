-- Standing approvals: what a reviewer lets pass besides the one call that was approved. Sealed like every row that gives a
-- right; each use seals it anew, so that no use is taken back.
CREATE TABLE standing (
    id              TEXT PRIMARY KEY,
    call_id         TEXT NOT NULL,      -- the call that was approved when it was granted
    agent_id        TEXT NOT NULL,
    agent_name      TEXT NOT NULL,
    upstream        TEXT NOT NULL,
    upstream_config TEXT NOT NULL,
    tool            TEXT NOT NULL,
    tool_schema     TEXT,
    open            TEXT NOT NULL,      -- JSON: names of arguments that may differ, each with its glob
    fixed           TEXT NOT NULL,      -- a keyed hash of all other arguments, and the headers
    uses            INTEGER NOT NULL,
    used            INTEGER NOT NULL,
    granted_at      INTEGER NOT NULL,
    until           INTEGER NOT NULL,
    granted_by      TEXT NOT NULL,
    reason          TEXT NOT NULL,
    ended_at        INTEGER,
    ended_by        TEXT,
    ended_why       TEXT,
    entry           INTEGER,
    seal            TEXT
) STRICT;

CREATE INDEX standing_agent ON standing (agent_id) WHERE ended_at IS NULL;
CREATE INDEX standing_until ON standing (until);

-- Which calls passed by which; the log says so as well.
CREATE TABLE standing_uses (
    call_id     TEXT PRIMARY KEY,
    standing_id TEXT NOT NULL,
    agent_id    TEXT NOT NULL,
    at          INTEGER NOT NULL
) STRICT;

CREATE INDEX standing_uses_of ON standing_uses (standing_id);
CREATE INDEX standing_uses_agent ON standing_uses (agent_id, at);

-- Finds what the log says of one since its row was written; the list is that of the query.
CREATE INDEX entries_standing ON entries (seq) WHERE kind IN ('standing.used', 'standing.ended');
