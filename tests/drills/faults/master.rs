//! A node comes back with another master key, or with none: it refuses, says which key it cannot open, and writes nothing, while
//! the others go on.

use std::time::Duration;

use super::field::{Field, on_postgres};
use crate::support::journal::Nodes;
use crate::support::{Brief, Outcome, Program, ensure};

const OTHER_MASTER_KEY: &str = "drill:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const RENAMED_MASTER_KEY: &str = "other:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const REFUSES_WITHIN: Duration = Duration::from_secs(10);

pub async fn master(brief: &Brief) -> Outcome<String> {
    let rounds = brief.pick(3, 1);
    on_postgres(brief, async |field, _| {
        for round in 0..rounds {
            let victim = round % 3;
            field.under("another master key", Nodes::None, Nodes::Only(victim), async |field| {
                let name = field.kill(victim)?;
                refuses(field, &with_key(field, OTHER_MASTER_KEY), "other", &["signing key", "cannot be opened"]).await?;
                refuses(field, &with_key(field, RENAMED_MASTER_KEY), "renamed", &["drill"]).await?;
                refuses(field, &without_key(field), "missing", &["master"]).await?;
                let foreign = "SELECT count(*) FROM signing_keys WHERE master_key_id <> 'drill'".to_owned();
                let written = field.cluster.database.number(foreign).await?;
                ensure!(written == 0, "{written} keys were sealed under another master key");
                field.revive(victim, &name).await
            })
            .await?;
        }
        Ok(format!("{rounds} times a node with another key of the same name, of another name, and with none: refused, nothing written"))
    })
    .await
}

fn with_key(field: &Field, key: &str) -> Program {
    field.cluster.program.clone().with("CHANCERY_KEYS__MASTER_KEYS", key)
}

/// A file that is not there.
fn without_key(field: &Field) -> Program {
    let file = field.cluster.folder().join("no-such-file");
    let program = field.cluster.program.clone().with("CHANCERY_KEYS__MASTER_KEYS", "");
    program.with("CHANCERY_KEYS__MASTER_KEY_FILE", file.display())
}

async fn refuses(field: &Field, program: &Program, name: &str, says: &[&str]) -> Outcome {
    let mut running = program.spawn(&format!("wrong-{name}"), &["serve"], "")?;
    let status = running.end(REFUSES_WITHIN).await?;
    let told = running.tail();
    ensure!(!status.success(), "with the {name} master key the node started");
    let lower = told.to_lowercase();
    for word in says {
        ensure!(
            lower.contains(&word.to_lowercase()),
            "with the {name} master key it says nothing of {word:?}: {told}"
        );
    }
    ensure!(!field.cluster.folder().join("no-such-file").exists(), "a master key was made");
    Ok(())
}
