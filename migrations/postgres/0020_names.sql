-- Tables, columns and audit events get the names of their field. The only migration that does not work beside the release
-- before (0.1.0): its statements name what is renamed here, so a node of 0.1.0 that still runs fails on them and issues no
-- token.
--
-- The order is the one in which most transactions of 0.1.0 lock these tables. Where a transaction of 0.1.0 locks them the other
-- way round, the database ends one of the two; a migration that was ended has changed nothing and can be run again.

ALTER TABLE source_attempts RENAME TO network_attempts;
ALTER INDEX source_attempts_pkey RENAME TO network_attempts_pkey;
ALTER INDEX source_attempts_by_debt RENAME TO network_attempts_by_debt;

ALTER TABLE used_tokens RENAME TO replay_guard;
ALTER INDEX used_tokens_pkey RENAME TO replay_guard_pkey;
ALTER INDEX used_tokens_by_expiry RENAME TO replay_guard_by_expiry;

ALTER TABLE sessions RENAME COLUMN replays TO reuse_count;

ALTER TABLE logout_notices RENAME TO backchannel_logouts;
ALTER INDEX logout_notices_pkey RENAME TO backchannel_logouts_pkey;
ALTER INDEX logout_notices_by_due RENAME TO backchannel_logouts_by_due;
ALTER INDEX logout_notices_by_client RENAME TO backchannel_logouts_by_client;

ALTER TABLE clients RENAME COLUMN access_life_s TO access_token_ttl_s;

ALTER TABLE signing_keys RENAME COLUMN sealed_private TO encrypted_private_key;
ALTER TABLE signing_keys_epoch RENAME TO signing_keys_version;
ALTER INDEX signing_keys_epoch_pkey RENAME TO signing_keys_version_pkey;
ALTER TABLE signing_keys_version RENAME CONSTRAINT signing_keys_epoch_id_check TO signing_keys_version_id_check;
ALTER TABLE signing_keys_version RENAME COLUMN epoch TO version;

ALTER TABLE audit RENAME COLUMN abundant TO unauthenticated;
ALTER INDEX audit_abundant RENAME TO audit_unauthenticated;

-- The only time that rows of audit change: alarms and filters know the new names only.
ALTER TABLE audit DISABLE TRIGGER audit_append_only;
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
ALTER TABLE audit ENABLE TRIGGER audit_append_only;
