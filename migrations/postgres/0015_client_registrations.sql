-- Clients that have registered themselves (RFC 7591), and the digest of the token by which they manage that. Who is not used by
-- anybody goes.
CREATE TABLE client_registrations (
    client_id    TEXT NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    token_digest BYTEA NOT NULL,
    used_at      TIMESTAMPTZ NOT NULL
);
CREATE INDEX client_registrations_by_use ON client_registrations (used_at);
