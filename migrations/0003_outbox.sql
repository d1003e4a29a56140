-- What reviewers have to be told, written in the transaction of what happened.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    call_id     TEXT NOT NULL REFERENCES calls (id),
    detail      TEXT,
    created_at  INTEGER NOT NULL,
    -- queued: nobody is written down for it yet; addressed: see mails; unmailed: no mail server is configured;
    -- broken: it could not be read.
    state       TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'addressed', 'unmailed', 'broken'))
) STRICT;

CREATE INDEX outbox_queued ON outbox (id) WHERE state = 'queued';

-- One row for each notice and each reviewer who is to get it.
CREATE TABLE mails (
    notice_id   INTEGER NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    reviewer_id TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,       -- when the notice was written
    state       TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'superseded')),
    due_at      INTEGER NOT NULL,       -- a retry is not made before
    lease_until INTEGER,                -- sending: when another attempt may be made
    attempts    INTEGER NOT NULL DEFAULT 0, -- those that may have reached the server
    message     TEXT,                   -- the mail that this row belongs to, the same at every attempt
    why         TEXT,                   -- of the last failure
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (notice_id, reviewer_id)
) STRICT;

CREATE INDEX mails_open ON mails (reviewer_id, message) WHERE state IN ('queued', 'sending');
CREATE INDEX mails_sent ON mails (reviewer_id, changed_at) WHERE state = 'sent';
CREATE INDEX mails_call ON mails (call_id);
