-- Devices that wait for somebody to let them in (RFC 8628): the code they ask with by its digest, the one that people type by a MAC,
-- for it is short.
CREATE TABLE device_codes (
    digest       BLOB NOT NULL PRIMARY KEY,
    user_code    BLOB NOT NULL UNIQUE,
    client_id    TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope        TEXT NOT NULL,
    audience     TEXT NOT NULL,
    session_id   BLOB NOT NULL,
    browser_id   BLOB REFERENCES sessions (id) ON DELETE CASCADE,
    created_at   TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    denied_at    TEXT,
    consumed_at  TEXT,
    interval_s   INTEGER NOT NULL,
    next_poll_us INTEGER NOT NULL
) STRICT;
CREATE INDEX device_codes_by_browser ON device_codes (browser_id) WHERE browser_id IS NOT NULL;
CREATE INDEX device_codes_by_client ON device_codes (client_id);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);
