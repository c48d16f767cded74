//! A newer release has brought the schema forward while nodes of this one are still running.

use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use super::field::{Field, under_load};
use super::outage::works_again;
use crate::support::journal::Nodes;
use crate::support::{Brief, Database, Outcome, Postgres, ensure, ms};

/// As a later release would expand the schema: new columns, a new table, a new index, and its line in the list.
const EXPAND: &str = "
    ALTER TABLE users ADD COLUMN later TEXT;
    ALTER TABLE sessions ADD COLUMN later BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE signing_keys ADD COLUMN later TEXT;
    ALTER TABLE audit ADD COLUMN later TEXT;
    ALTER TABLE login_attempts ADD COLUMN later BIGINT NOT NULL DEFAULT 0;
    CREATE TABLE later (id UUID NOT NULL PRIMARY KEY, user_id UUID REFERENCES users (id));
    CREATE INDEX later_users ON users (later);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', TRUE, '\\x00', 0)";

pub async fn upgrade(brief: &Brief) -> Outcome<String> {
    let database = Postgres::from_environment()?.create_database().await?;
    let url = database.url();
    let database = |_: &Path| -> Database { database };
    under_load(brief, 3, database, async |field| {
        tokio::time::sleep(ms(1000)).await;
        let mut newer = PgConnection::connect(&url).await?;
        let mut tx = newer.begin().await?;
        tx.execute(EXPAND).await?;
        tx.commit().await?;
        // The running nodes notice nothing: no fault is open while they go on.
        tokio::time::sleep(brief.pick(ms(10_000), ms(4000))).await;
        let refused = an_old_node_does_not_start(field).await?;
        // One by one the nodes are replaced, as in a rolling upgrade. The release that knows the new schema is not written yet,
        // so for its start the line is taken out of the list and put back.
        let mut longest = Duration::ZERO;
        for node in 0..3 {
            let window = field.journal.begin("node replaced", Nodes::Only(node), Nodes::Only(node));
            let old = field.cluster.nodes.remove(node);
            let name = format!("{}-newer", old.name);
            old.stop().await?;
            newer.execute("DELETE FROM _sqlx_migrations WHERE version = 9999").await?;
            longest = longest.max(field.revive(node, &name).await?);
            newer
                .execute(
                    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'later', TRUE, '\\x00', 0)",
                )
                .await?;
            field.journal.end(window);
        }
        works_again(field).await?;
        Ok(format!(
            "the schema grew under 3 running nodes; {refused}; each replaced, ready in {} ms at most",
            longest.as_millis()
        ))
    })
    .await
}

async fn an_old_node_does_not_start(field: &Field) -> Outcome<String> {
    let mut old = field.cluster.program.spawn("too-old", &["serve"], "")?;
    let status = old.end(Duration::from_secs(20)).await?;
    let told = old.log()?;
    ensure!(
        !status.success() && told.contains("newer Chancery"),
        "an old node on a newer schema: {status}: {told}"
    );
    Ok("an old one does not start on it".to_owned())
}
