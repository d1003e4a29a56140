-- A held call is written in as few pages as can be: what an agent sent stands in one tree instead of two, and the index
-- by state has no pending calls, which have indices of their own.
CREATE TABLE call_params_in_one (
    call_id     TEXT PRIMARY KEY REFERENCES calls (id),
    params      TEXT NOT NULL,
    args_start  INTEGER,                -- byte span of "arguments" in params; null where there are none
    args_end    INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO call_params_in_one SELECT call_id, params, args_start, args_end FROM call_params;
DROP TABLE call_params;
ALTER TABLE call_params_in_one RENAME TO call_params;

DROP INDEX calls_state;
CREATE INDEX calls_state ON calls (state, id) WHERE state <> 'pending';
