-- Events that anybody can cause without proving anything are marked, so that housekeeping can keep them to a number and
-- nobody can fill the table. The others go only when their time is over.
ALTER TABLE audit ADD COLUMN abundant BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX audit_abundant ON audit (at) WHERE abundant;
-- What happened to a key, a user, a session.
CREATE INDEX audit_by_subject ON audit (subject, at);

-- A line that is written stays as it is; only its time can take it away.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of audit are only ever appended';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();

-- Sessions that were ended are removed a day later.
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
