-- The moment of the copy that a call was put back from while it was open: what became of it since is not known. Null
-- for all others.
ALTER TABLE calls ADD COLUMN as_of INTEGER;
