-- What an agent sent and what came back can be erased by age. The log commits to both by salted hashes, so that it
-- still verifies afterwards, and so that an edited answer is noticed while it is kept.
ALTER TABLE calls ADD COLUMN redacted_at INTEGER;   -- when it was erased; null: it is here
ALTER TABLE calls ADD COLUMN context_salt TEXT;     -- null: nothing was read, or an earlier version read it
ALTER TABLE call_answers ADD COLUMN salt TEXT;      -- null: an earlier version recorded it

CREATE INDEX calls_kept ON calls (changed_at)
    WHERE redacted_at IS NULL AND state NOT IN ('pending', 'approved', 'releasing');
