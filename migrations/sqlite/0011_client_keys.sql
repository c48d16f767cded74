-- The public keys by which a client proves who it is (RFC 7523): a JWK Set. NULL where it has none.
ALTER TABLE clients ADD COLUMN jwks TEXT;

-- Tokens made elsewhere that are good once, by a digest of who made them and what they are called, until they have expired.
CREATE TABLE used_tokens (
    digest     BLOB NOT NULL PRIMARY KEY,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX used_tokens_by_expiry ON used_tokens (expires_at);
