-- What was done to keys, accounts and sessions, by whom and from where. Rows are only ever appended.
CREATE TABLE audit (
    id         UUID NOT NULL PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    event      TEXT NOT NULL,
    actor      TEXT NOT NULL,
    source     TEXT,
    request_id UUID,
    subject    TEXT NOT NULL,
    detail     TEXT
);

CREATE INDEX audit_by_age ON audit (at);
