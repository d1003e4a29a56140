-- What a person found out about a call of unknown outcome: a remark beside the call, no step of its life. One for each.
CREATE TABLE findings (
    call_id     TEXT PRIMARY KEY REFERENCES calls (id),
    ran         INTEGER NOT NULL CHECK (ran IN (0, 1)),
    reason      TEXT NOT NULL,
    reviewer_id TEXT NOT NULL,
    email       TEXT NOT NULL,
    at          INTEGER NOT NULL,
    mac         TEXT NOT NULL
) STRICT;

CREATE INDEX calls_unknown ON calls (id) WHERE state = 'outcome_unknown';
