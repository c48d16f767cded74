-- What a source network has used up of its budget, by subject: a MAC over the network and what the budget is for. No address
-- can be read from it. Each failure moves `spent_until_us` (microseconds since 1970) on by one interval, and time catches
-- up with it. `in_flight` counts attempts that have been charged and not settled, until `in_flight_until_us`.
CREATE TABLE source_attempts (
    subject            BLOB NOT NULL PRIMARY KEY,
    spent_until_us     INTEGER NOT NULL,
    in_flight          INTEGER NOT NULL,
    in_flight_until_us INTEGER NOT NULL
) STRICT;

-- Housekeeping forgets who owes nothing.
CREATE INDEX source_attempts_by_debt ON source_attempts (spent_until_us);
