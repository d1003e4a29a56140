-- The open calls among all that ever were, each way they are asked for. SQLite takes a partial index only where the
-- query says the same condition in the same words, so the one over all open states was never used.
DROP INDEX calls_open;

-- Who may decide a pending call: [groups, groups after escalation, whether it was escalated]. Few differ.
ALTER TABLE calls ADD COLUMN audience TEXT GENERATED ALWAYS AS (json_array(
    json(coalesce(requirement -> '$.reviewers', '[]')),
    json(coalesce(requirement -> '$.on_timeout.escalate', '[]')), escalated)) VIRTUAL;

-- Riskiest first, as the queue shows them.
ALTER TABLE calls ADD COLUMN risk_rank INTEGER GENERATED ALWAYS AS (
    CASE requirement ->> '$.risk' WHEN 'access' THEN 0 WHEN 'destructive' THEN 1 WHEN 'execute' THEN 1
    WHEN 'financial' THEN 1 WHEN 'write' THEN 2 WHEN 'read' THEN 3 ELSE 4 END) VIRTUAL;

CREATE INDEX calls_state ON calls (state, id);
CREATE INDEX calls_queue ON calls (risk_rank, id, audience) WHERE state = 'pending';
CREATE INDEX calls_deadline ON calls (expires_at) WHERE state = 'pending';
CREATE INDEX calls_usable ON calls (usable_until) WHERE state = 'approved';
CREATE INDEX calls_agent_open ON calls (agent_id) WHERE state IN ('pending', 'approved', 'releasing');
