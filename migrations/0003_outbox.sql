-- What reviewers have to be told, written in the transaction of what happened.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    call_id     TEXT NOT NULL REFERENCES calls (id),
    detail      TEXT,
    created_at  INTEGER NOT NULL
) STRICT;
