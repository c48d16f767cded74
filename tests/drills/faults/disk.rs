//! The embedded database on a disk that is full: nothing is issued, nothing is lost, and it works again when there is room.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::field::{Field, under_load};
use super::outage::works_again;
use crate::support::journal::Nodes;
use crate::support::{Brief, Database, Failure, Outcome, ensure, ms, within};

/// A file system of a few megabytes. It is gone when this is dropped.
struct SmallDisk {
    mounted: tempfile::TempDir,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.mounted.path()).status();
    }
}

impl SmallDisk {
    fn mount() -> Outcome<Self> {
        let mounted = tempfile::TempDir::with_prefix("chancery-disk-")?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "chancery-drill"]).arg(mounted.path());
        let status = mount.status()?;
        ensure!(status.success(), "a small disk cannot be mounted ({status}): this drill needs root");
        Ok(Self { mounted })
    }

    fn database(&self) -> PathBuf {
        self.mounted.path().join("chancery.db")
    }

    /// Takes all the room there is.
    fn fill(&self) -> Outcome<PathBuf> {
        let path = self.mounted.path().join("ballast");
        let mut ballast = fs::File::options().create(true).append(true).open(&path)?;
        // Smaller and smaller pieces, down to the last byte.
        for size in [1 << 20, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(path)
    }
}

pub async fn disk(brief: &Brief) -> Outcome<String> {
    let disk = SmallDisk::mount()?;
    let database = |_: &Path| Database::Sqlite(disk.database());
    under_load(brief, 1, database, async |field| {
        let rounds = brief.pick(3, 1);
        let mut worst = Duration::ZERO;
        for _ in 0..rounds {
            let full = field.under("disk full", Nodes::All, Nodes::None, async |field| {
                let ballast = disk.fill()?;
                let told = while_full(field, &disk).await;
                fs::remove_file(ballast)?;
                told
            });
            full.await?;
            worst = worst.max(works_again(field).await?);
            is_whole(&field.cluster.database).await?;
        }
        Ok(format!(
            "full {rounds} times, whole each time, ready {} ms after there was room",
            worst.as_millis()
        ))
    })
    .await
}

/// Writes fail politely; what needs none goes on.
async fn while_full(field: &Field, disk: &SmallDisk) -> Outcome {
    let (api, node) = (&field.cluster.api, &field.cluster.nodes[0].address);
    within(Duration::from_secs(5), async || {
        // What SQLite had allocated before is room, too.
        disk.fill()?;
        let ready = api.get(node, "/health/ready").await?;
        ensure!(ready.status == 503, "with a full disk readiness is {}", ready.status);
        Ok(())
    })
    .await?;
    for _ in 0..10 {
        disk.fill()?;
        api.jwks(node).await?.expect(200)?;
        api.get(node, "/health/live").await?.expect(200)?;
        let body = json!({ "email": "nobody@drill.test", "password": "a password for drills only" });
        let refused = api.post(node, "/auth/register", body).await?;
        let polite = refused.status == 503 && refused.retry_after.is_some();
        ensure!(polite, "with a full disk a registration is answered {}: {}", refused.status, refused.text);
        tokio::time::sleep(ms(200)).await;
    }
    Ok(())
}

async fn is_whole(database: &Database) -> Outcome {
    let whole = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    match database.number(whole.to_owned()).await? {
        1 => Ok(()),
        _ => Err(Failure::new("the database is not whole")),
    }
}
