-- One row per session and none per refresh token: a token is a MAC over (session, generation), and a refresh
-- moves the generation. The columns a refresh writes are in no index, which lets Postgres
-- update a row in its own page.
CREATE TABLE sessions (
    id           UUID NOT NULL PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id    TEXT NOT NULL,
    generation   BIGINT NOT NULL,
    replays      BIGINT NOT NULL,
    auth_time    TIMESTAMPTZ NOT NULL,
    amr          TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    revoked_at   TIMESTAMPTZ,
    ip           TEXT,
    user_agent   TEXT
) WITH (fillfactor = 80);

CREATE INDEX sessions_by_user ON sessions (user_id);
-- Housekeeping removes what is long over.
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
