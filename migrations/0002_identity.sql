-- Agents, reviewers and their secrets. Every secret is a hash: SHA-256 for what is random, argon2id for passwords.

CREATE TABLE agents (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    owner       TEXT NOT NULL,          -- mail address of the human who answers for it
    upstreams   TEXT NOT NULL,          -- JSON list of names; empty: all
    token_hash  TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

-- A revoked agent's name may be given again: that is how a token is replaced.
CREATE UNIQUE INDEX agents_name ON agents (name) WHERE revoked_at IS NULL;

CREATE TABLE reviewers (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    password        TEXT,               -- PHC string; null: signs in by link only
    is_reviewer     INTEGER NOT NULL CHECK (is_reviewer IN (0, 1)),
    is_auditor      INTEGER NOT NULL CHECK (is_auditor IN (0, 1)),
    is_administrator INTEGER NOT NULL CHECK (is_administrator IN (0, 1)),
    groups          TEXT NOT NULL,      -- JSON list of names
    created_at      INTEGER NOT NULL,
    disabled_at     INTEGER
) STRICT;

CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,       -- for lists; the secret is in the cookie only
    reviewer_id TEXT NOT NULL REFERENCES reviewers (id),
    token_hash  TEXT NOT NULL UNIQUE,
    device      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,       -- the absolute limit; the idle one counts from seen_at
    ended_at    INTEGER
) STRICT;

CREATE INDEX sessions_reviewer ON sessions (reviewer_id) WHERE ended_at IS NULL;

CREATE TABLE sign_in_links (
    token_hash  TEXT PRIMARY KEY,
    code_hash   TEXT NOT NULL,
    reviewer_id TEXT NOT NULL REFERENCES reviewers (id),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    ended_at    INTEGER
) STRICT;

CREATE TABLE api_tokens (
    id          TEXT PRIMARY KEY,
    reviewer_id TEXT NOT NULL REFERENCES reviewers (id),
    token_hash  TEXT NOT NULL UNIQUE,
    may_decide  INTEGER NOT NULL CHECK (may_decide IN (0, 1)),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER,
    ended_at    INTEGER
) STRICT;

CREATE INDEX api_tokens_reviewer ON api_tokens (reviewer_id) WHERE ended_at IS NULL;
