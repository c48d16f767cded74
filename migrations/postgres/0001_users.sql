-- One row per account. `email` is the canonical form (trimmed, NFKC, lower case, IDNA domain), so UNIQUE
-- holds for every way of writing one address. `roles` is space separated and sorted.
CREATE TABLE users (
    id                  UUID NOT NULL PRIMARY KEY,
    email               TEXT NOT NULL UNIQUE,
    email_verified      BOOLEAN NOT NULL,
    name                TEXT,
    password_hash       TEXT NOT NULL,
    password_changed_at TIMESTAMPTZ NOT NULL,
    roles               TEXT NOT NULL,
    status              TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at          TIMESTAMPTZ NOT NULL,
    last_login_at       TIMESTAMPTZ
);

-- Pages of the administrator's list.
CREATE INDEX users_by_age ON users (created_at, id);
