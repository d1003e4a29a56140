-- What the policy's limits have counted, as far as it still counts: a row for each counter, whoever shares it, and part
-- of a window.
CREATE TABLE limit_counters (
    counter     TEXT NOT NULL,          -- which: {"entry": pointer} or {"of": owner}, "counter", "seconds", "scope"
    sharer      TEXT NOT NULL,          -- who shares it: {"agent", "upstream", "tool"}, as far as the scope tells them apart
    part        INTEGER NOT NULL,       -- which part of the window, from the epoch on
    amount      TEXT NOT NULL,          -- an exact decimal number
    ends_at     INTEGER NOT NULL,       -- from when on it no longer counts
    seq         INTEGER NOT NULL,       -- grows with every change: a later one replaces an earlier one
    PRIMARY KEY (counter, sharer, part)
) STRICT, WITHOUT ROWID;
