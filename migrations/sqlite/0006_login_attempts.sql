-- Failed password checks in a row, by subject: a MAC over the canonical address (known or not), and over the device for
-- devices that have logged in before. No address can be read from it. `in_flight` counts checks that have been charged
-- and not settled, until `in_flight_until`.
CREATE TABLE login_attempts (
    subject         BLOB NOT NULL PRIMARY KEY,
    failures        INTEGER NOT NULL,
    in_flight       INTEGER NOT NULL,
    in_flight_until TEXT NOT NULL,
    blocked_until   TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT;

-- Housekeeping forgets what is long past.
CREATE INDEX login_attempts_by_age ON login_attempts (updated_at);
