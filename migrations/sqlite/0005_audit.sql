-- What was done to keys, accounts and sessions, by whom and from where. Rows are only ever appended.
CREATE TABLE audit (
    id         BLOB NOT NULL PRIMARY KEY,
    at         TEXT NOT NULL,
    event      TEXT NOT NULL,
    actor      TEXT NOT NULL,
    source     TEXT,
    request_id BLOB,
    subject    TEXT NOT NULL,
    detail     TEXT
) STRICT;

CREATE INDEX audit_by_age ON audit (at);
