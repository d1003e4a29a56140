-- What each tool says of itself: as it was first seen or last accepted, and what it says since. Sealed like every row that
-- gives a right: an unchanged tool's calls run as the policy says.
CREATE TABLE tool_pins (
    id             TEXT PRIMARY KEY,    -- a hash of upstream and tool
    upstream       TEXT NOT NULL,
    tool           TEXT NOT NULL,
    seen_at        INTEGER NOT NULL,
    digest         TEXT,                -- of what is accepted; null where that is not known any more
    json           TEXT,                -- the element of `tools`, byte for byte
    accepted_at    INTEGER,
    accepted_by    TEXT,                -- null: it was seen like that at first
    reason         TEXT,
    pending_digest TEXT,                -- of what it says now; null where the pin itself was lost
    pending_json   TEXT,
    pending_at     INTEGER,             -- null: it says what is accepted
    entry          INTEGER,
    seal           TEXT
) STRICT;

CREATE INDEX tool_pins_tool ON tool_pins (upstream, tool);

-- Finds what the log says of a tool since a row was written; the list is that of the query.
CREATE INDEX entries_tool ON entries (upstream, tool, seq) WHERE kind IN ('tool.changed', 'tool.accepted');

-- Why the agent makes the call, in its own words.
ALTER TABLE calls ADD COLUMN agent_reason TEXT;
