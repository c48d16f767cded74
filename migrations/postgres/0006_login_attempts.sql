-- Failed password checks in a row, by subject: a MAC over the canonical address (known or not), and over the device for
-- devices that have logged in before. No address can be read from it. `in_flight` counts checks that have been charged
-- and not settled, until `in_flight_until`.
CREATE TABLE login_attempts (
    subject         BYTEA NOT NULL PRIMARY KEY,
    failures        BIGINT NOT NULL,
    in_flight       BIGINT NOT NULL,
    in_flight_until TIMESTAMPTZ NOT NULL,
    blocked_until   TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 80);

-- Housekeeping forgets what is long past.
CREATE INDEX login_attempts_by_age ON login_attempts (updated_at);
