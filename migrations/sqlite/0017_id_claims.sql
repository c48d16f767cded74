-- Claims about the user that a client has asked to find in the ID token itself (OpenID Connect Core section 5.5), by name.
ALTER TABLE authorization_codes ADD COLUMN id_claims TEXT;
