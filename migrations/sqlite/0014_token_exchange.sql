-- The services for which a client may exchange its users' tokens (RFC 8693). Space separated, as all lists; none: it may not.
ALTER TABLE clients ADD COLUMN exchange_audiences TEXT NOT NULL DEFAULT '';
