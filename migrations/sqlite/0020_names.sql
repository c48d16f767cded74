-- Tables, columns and audit events get the names of their field. The only migration that does not work beside the release
-- before (0.1.0): its statements name what is renamed here, so a node of 0.1.0 that still runs fails on them and issues no
-- token.
--
-- The order is the one in which most transactions of 0.1.0 lock these tables. Where a transaction of 0.1.0 locks them the other
-- way round, the database ends one of the two; a migration that was ended has changed nothing and can be run again.

ALTER TABLE source_attempts RENAME TO network_attempts;
DROP INDEX source_attempts_by_debt;
CREATE INDEX network_attempts_by_debt ON network_attempts (spent_until_us);

ALTER TABLE used_tokens RENAME TO replay_guard;
DROP INDEX used_tokens_by_expiry;
CREATE INDEX replay_guard_by_expiry ON replay_guard (expires_at);

ALTER TABLE sessions RENAME COLUMN replays TO reuse_count;

ALTER TABLE logout_notices RENAME TO backchannel_logouts;
DROP INDEX logout_notices_by_due;
DROP INDEX logout_notices_by_client;
CREATE INDEX backchannel_logouts_by_due ON backchannel_logouts (due_at);
CREATE INDEX backchannel_logouts_by_client ON backchannel_logouts (client_id);

ALTER TABLE clients RENAME COLUMN access_life_s TO access_token_ttl_s;

ALTER TABLE signing_keys RENAME COLUMN sealed_private TO encrypted_private_key;
ALTER TABLE signing_keys_epoch RENAME TO signing_keys_version;
ALTER TABLE signing_keys_version RENAME COLUMN epoch TO version;

DROP INDEX audit_abundant;
ALTER TABLE audit RENAME COLUMN abundant TO unauthenticated;
CREATE INDEX audit_unauthenticated ON audit (at) WHERE unauthenticated;

-- The only time that rows of audit change: alarms and filters know the new names only.
DROP TRIGGER audit_append_only;
UPDATE audit SET event = CASE event
    WHEN 'fenced' THEN 'all_sessions_revoked'
    WHEN 'login_stopped' THEN 'account_locked'
    WHEN 'sign_up_repeated' THEN 'registration_duplicate'
    WHEN 'client_session_begun' THEN 'session_started'
    WHEN 'code_reused' THEN 'authorization_code_reused'
    WHEN 'key_mended' THEN 'key_repaired'
    WHEN 'user_code_refused' THEN 'user_code_rejected'
    END
WHERE event IN ('fenced', 'login_stopped', 'sign_up_repeated', 'client_session_begun', 'code_reused', 'key_mended',
                'user_code_refused');
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'rows of audit are only ever appended');
END;
