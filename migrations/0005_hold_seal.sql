-- Proves that a call was held by this service as it stands here: an HMAC under a key that is not in the database.
ALTER TABLE calls ADD COLUMN held_mac TEXT;
