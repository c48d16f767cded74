-- The answer given to an Idempotency-Key, written in the transaction that did the work, so a repeat gets the
-- same answer and never repeats the work.
CREATE TABLE idempotency_keys (
    actor          TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    response       TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
