-- The text of every policy that was in force, by the SHA-256 that the log names it by.
CREATE TABLE policies (
    version TEXT PRIMARY KEY,
    text    TEXT NOT NULL,
    at      INTEGER NOT NULL        -- when it was first in force
) STRICT;

CREATE INDEX entries_policy ON entries (seq) WHERE kind IN ('policy.loaded', 'policy.refused');

-- How often each tool was called, as the log tells up to the entry that meta's 'tallied' names: pages need not count the
-- log. It can be made again from the log.
CREATE TABLE tool_calls (
    upstream TEXT NOT NULL,
    tool     TEXT NOT NULL,
    allowed  INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    denied   INTEGER NOT NULL,
    limited  INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (upstream, tool)
) STRICT, WITHOUT ROWID;
