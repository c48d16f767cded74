-- Grows by one with every change of the signing keys. A smaller number than before means that the database was set back.
CREATE TABLE signing_keys_epoch (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO signing_keys_epoch (id, epoch) SELECT 1, count(*) FROM signing_keys;

-- When the audit table was told that the key has left the JWK Set; retirement itself is a matter of the clock.
ALTER TABLE signing_keys ADD COLUMN retirement_noted_at TEXT;

-- Set on a key that was made elsewhere: by another server, which may have signed with it, or for a drill.
ALTER TABLE signing_keys ADD COLUMN imported_at TEXT;

-- Who has fetched the JWK Set: by user agent and network, never by address. `seen_published_at` is the newest
-- `published_at` of the keys in the set they fetched last, so they have every key published until then.
CREATE TABLE jwks_consumers (
    network           TEXT NOT NULL,
    user_agent        TEXT NOT NULL,
    first_seen_at     TEXT NOT NULL,
    last_seen_at      TEXT NOT NULL,
    seen_published_at TEXT NOT NULL,
    PRIMARY KEY (network, user_agent)
) STRICT;
CREATE INDEX jwks_consumers_by_last_seen ON jwks_consumers (last_seen_at);

-- How many access tokens each key has signed, by the minute in which they expire: what a revocation would cost.
CREATE TABLE issued_tokens (
    kid              TEXT NOT NULL,
    expires_minute   TEXT NOT NULL,
    tokens           INTEGER NOT NULL,
    last_expires_at  TEXT NOT NULL,
    PRIMARY KEY (kid, expires_minute)
) STRICT;

-- Under which master key the session's present refresh token was made: when no session names one, it can be dropped.
ALTER TABLE sessions ADD COLUMN master_key_id TEXT;
