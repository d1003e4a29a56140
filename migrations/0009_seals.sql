-- Rows are not authority. Each row that gives somebody a right, and each call's state, bears an HMAC under a key that
-- is not in the database, over everything that counts in it and the number of the log's entry that made it so: an
-- older row that is put back does not fit the log any more. Rows of before are sealed once, when the key's file says
-- that this was not done yet.
ALTER TABLE agents ADD COLUMN entry INTEGER;
ALTER TABLE agents ADD COLUMN seal TEXT;
ALTER TABLE reviewers ADD COLUMN entry INTEGER;
ALTER TABLE reviewers ADD COLUMN seal TEXT;
ALTER TABLE sessions ADD COLUMN entry INTEGER;
ALTER TABLE sessions ADD COLUMN seal TEXT;
ALTER TABLE sign_in_links ADD COLUMN entry INTEGER;
ALTER TABLE sign_in_links ADD COLUMN seal TEXT;
ALTER TABLE api_tokens ADD COLUMN entry INTEGER;
ALTER TABLE api_tokens ADD COLUMN seal TEXT;
ALTER TABLE calls ADD COLUMN entry INTEGER;
ALTER TABLE calls ADD COLUMN state_mac TEXT;
ALTER TABLE calls ADD COLUMN told_mac TEXT;

-- Finds what the log says of an account since a row was written; the lists are those of the queries.
CREATE INDEX entries_agent ON entries (agent, seq)
    WHERE kind IN ('agent.added', 'agent.revoked');
CREATE INDEX entries_reviewer ON entries (reviewer_id, seq)
    WHERE kind IN ('reviewer.added', 'reviewer.disabled', 'password.changed', 'session.signed_in',
                   'session.signed_out', 'token.made', 'token.revoked', 'link.made');
CREATE INDEX entries_alarm ON entries (at) WHERE substr(kind, 1, 6) = 'alarm.';
