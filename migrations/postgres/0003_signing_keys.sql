-- A key's status follows from its timestamps, so every node that has read the row agrees:
-- next (published), current (activated), previous (demoted), retired (past retires_at), revoked.
-- `sealed_private` is sealed under the master key named beside it and erased when the key stops signing.
-- `longest_life_s` is the longest life in seconds of any token the key may have signed.
CREATE TABLE signing_keys (
    kid            TEXT NOT NULL PRIMARY KEY,
    alg            TEXT NOT NULL,
    public_jwk     TEXT NOT NULL,
    sealed_private BYTEA,
    master_key_id  TEXT,
    longest_life_s BIGINT NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    published_at   TIMESTAMPTZ NOT NULL,
    activated_at   TIMESTAMPTZ,
    demoted_at     TIMESTAMPTZ,
    retires_at     TIMESTAMPTZ,
    revoked_at     TIMESTAMPTZ
);

-- The rule the database itself holds: at most one current key and at most one next key.
CREATE UNIQUE INDEX signing_keys_one_current ON signing_keys ((demoted_at IS NULL))
    WHERE activated_at IS NOT NULL AND demoted_at IS NULL AND revoked_at IS NULL;
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys ((activated_at IS NULL))
    WHERE activated_at IS NULL AND demoted_at IS NULL AND revoked_at IS NULL;
