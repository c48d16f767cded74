-- Devices that wait for somebody to let them in (RFC 8628): the code they ask with by its digest, the one that people type by a MAC,
-- for it is short.
CREATE TABLE device_codes (
    digest       BYTEA NOT NULL PRIMARY KEY,
    user_code    BYTEA NOT NULL UNIQUE,
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope        TEXT NOT NULL,
    audience     TEXT NOT NULL,
    session_id   UUID NOT NULL,
    browser_id   UUID REFERENCES sessions (id) ON DELETE CASCADE,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    denied_at    TIMESTAMPTZ,
    consumed_at  TIMESTAMPTZ,
    interval_s   BIGINT NOT NULL,
    next_poll_us BIGINT NOT NULL
);
CREATE INDEX device_codes_by_browser ON device_codes (browser_id) WHERE browser_id IS NOT NULL;
CREATE INDEX device_codes_by_client ON device_codes (client_id);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);
