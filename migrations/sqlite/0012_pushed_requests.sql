-- Authorization requests that clients have pushed (RFC 9126), by a digest of the name they were given. Each is used once.
CREATE TABLE pushed_requests (
    digest     BLOB NOT NULL PRIMARY KEY,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    parameters TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at    TEXT
) STRICT;
CREATE INDEX pushed_requests_by_client ON pushed_requests (client_id);
CREATE INDEX pushed_requests_by_expiry ON pushed_requests (expires_at);

-- Whether a client may ask in no other way.
ALTER TABLE clients ADD COLUMN require_pushed INTEGER NOT NULL DEFAULT 0;
