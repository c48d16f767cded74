-- Grows by one with every change of the signing keys. A smaller number than before means that the database was set back.
CREATE TABLE signing_keys_epoch (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL
);
INSERT INTO signing_keys_epoch (id, epoch) SELECT 1, count(*) FROM signing_keys;

-- When the audit table was told that the key has left the JWK Set; retirement itself is a matter of the clock.
ALTER TABLE signing_keys ADD COLUMN retirement_noted_at TIMESTAMPTZ;

-- Set on a key that was made elsewhere: by another server, which may have signed with it, or for a drill.
ALTER TABLE signing_keys ADD COLUMN imported_at TIMESTAMPTZ;

-- Postgres has times that nothing can be added to; every sum about a key would fail on one.
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_times CHECK (
    created_at < '10000-01-01' AND published_at < '10000-01-01' AND activated_at < '10000-01-01'
    AND demoted_at < '10000-01-01' AND retires_at < '10000-01-01' AND revoked_at < '10000-01-01'
    AND imported_at < '10000-01-01'
);

-- Who has fetched the JWK Set: by user agent and network, never by address. `seen_published_at` is the newest
-- `published_at` of the keys in the set they fetched last, so they have every key published until then.
CREATE TABLE jwks_consumers (
    network           TEXT NOT NULL,
    user_agent        TEXT NOT NULL,
    first_seen_at     TIMESTAMPTZ NOT NULL,
    last_seen_at      TIMESTAMPTZ NOT NULL,
    seen_published_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (network, user_agent)
);
CREATE INDEX jwks_consumers_by_last_seen ON jwks_consumers (last_seen_at);

-- How many access tokens each key has signed, by the minute in which they expire: what a revocation would cost.
CREATE TABLE issued_tokens (
    kid              TEXT NOT NULL,
    expires_minute   TIMESTAMPTZ NOT NULL,
    tokens           BIGINT NOT NULL,
    last_expires_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kid, expires_minute)
);

-- Under which master key the session's present refresh token was made: when no session names one, it can be dropped.
ALTER TABLE sessions ADD COLUMN master_key_id TEXT;
