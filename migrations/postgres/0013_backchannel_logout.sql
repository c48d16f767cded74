-- Where a client wants to be told that a session of its has ended.
ALTER TABLE clients ADD COLUMN backchannel_logout_uri TEXT;
ALTER TABLE clients ADD COLUMN backchannel_logout_session_required BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX clients_to_tell ON clients (id) WHERE backchannel_logout_uri IS NOT NULL;

-- Sessions whose clients have not been told yet that they have ended. Session and user may be gone by then, so neither is
-- referred to.
CREATE TABLE logout_notices (
    session_id UUID NOT NULL PRIMARY KEY,
    user_id    UUID NOT NULL,
    client_id  TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL
);
CREATE INDEX logout_notices_by_due ON logout_notices (due_at);
CREATE INDEX logout_notices_by_client ON logout_notices (client_id);
