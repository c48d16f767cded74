-- Tokens that are bound to a key of the client's (RFC 9449): the key's thumbprint, of a code and of a public client's session. NULL
-- where they are bound to none.
ALTER TABLE authorization_codes ADD COLUMN dpop_jkt TEXT;
ALTER TABLE sessions ADD COLUMN dpop_jkt TEXT;

-- Whether the client gets no others. A node from before this column registers clients that do.
ALTER TABLE clients ADD COLUMN dpop_bound_access_tokens INTEGER NOT NULL DEFAULT 0;
