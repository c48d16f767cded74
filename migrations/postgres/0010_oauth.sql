-- Applications and services that ask for tokens. Lists are space separated; lives are in seconds.
CREATE TABLE clients (
    id                        TEXT NOT NULL PRIMARY KEY,
    name                      TEXT NOT NULL,
    auth_method               TEXT NOT NULL,
    grant_types               TEXT NOT NULL,
    redirect_uris             TEXT NOT NULL,
    post_logout_redirect_uris TEXT NOT NULL,
    scopes                    TEXT NOT NULL,
    audiences                 TEXT NOT NULL,
    access_life_s             BIGINT,
    refresh_grace_s           BIGINT,
    require_pkce              BOOLEAN NOT NULL,
    require_consent           BOOLEAN NOT NULL,
    created_at                TIMESTAMPTZ NOT NULL
);

-- Digests of client secrets: 256 random bits each, so SHA-256 is enough. The old one goes on for a while
-- when a new one takes over.
CREATE TABLE client_secrets (
    digest     BYTEA NOT NULL PRIMARY KEY,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ
);
CREATE INDEX client_secrets_by_client ON client_secrets (client_id);

-- A session of a client: which browser session it came from, what was granted, and the sign-in that made it, of which there is
-- but one. NULL in sessions of /auth.
ALTER TABLE sessions ADD COLUMN parent_id UUID;
ALTER TABLE sessions ADD COLUMN scope TEXT;
ALTER TABLE sessions ADD COLUMN audience TEXT;
ALTER TABLE sessions ADD COLUMN flow_id UUID;
CREATE INDEX sessions_by_parent ON sessions (parent_id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX sessions_one_per_flow ON sessions (flow_id) WHERE flow_id IS NOT NULL;
-- A client that is deleted takes its sessions with it.
CREATE INDEX sessions_by_client ON sessions (client_id) WHERE scope IS NOT NULL;

-- Codes that were given out, by their digest, until the session they became could have ended by a second use.
CREATE TABLE authorization_codes (
    digest                BYTEA NOT NULL PRIMARY KEY,
    flow_id               UUID UNIQUE,
    client_id             TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    browser_id            UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    scope                 TEXT NOT NULL,
    audience              TEXT NOT NULL,
    redirect_uri          TEXT NOT NULL,
    redirect_uri_was_sent BOOLEAN NOT NULL,
    nonce                 TEXT,
    code_challenge        TEXT,
    session_id            UUID NOT NULL,
    created_at            TIMESTAMPTZ NOT NULL,
    expires_at            TIMESTAMPTZ NOT NULL,
    consumed_at           TIMESTAMPTZ
);
CREATE INDEX authorization_codes_by_browser ON authorization_codes (browser_id);
CREATE INDEX authorization_codes_by_client ON authorization_codes (client_id);
CREATE INDEX authorization_codes_by_expiry ON authorization_codes (expires_at);

-- What users have agreed to, by client.
CREATE TABLE consents (
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scope      TEXT NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_by_client ON consents (client_id);
