-- One row per session and none per refresh token: a token is a MAC over (session, generation), and a refresh
-- moves the generation. The columns a refresh writes are in no index.
CREATE TABLE sessions (
    id           BLOB NOT NULL PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id    TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    replays      INTEGER NOT NULL,
    auth_time    TEXT NOT NULL,
    amr          TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    last_used_at TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    revoked_at   TEXT,
    ip           TEXT,
    user_agent   TEXT
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);
-- Housekeeping removes what is long over.
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
