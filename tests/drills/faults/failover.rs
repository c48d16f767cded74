//! The primary is gone, its streaming replica takes over, and whoever was answered 200 is still right.

use std::path::Path;
use std::time::{Duration, Instant};

use super::field::{Field, under_load_of};
use super::outage::works_again;
use crate::support::journal::Nodes;
use crate::support::pair::{Member, Signpost};
use crate::support::{Api, Brief, Cluster, Database, Outcome, ensure, within};

pub async fn failover(brief: &Brief) -> Outcome<String> {
    let mut primary = Member::primary()?;
    primary.tell("CREATE DATABASE chancery TEMPLATE template0").await?;
    let standby = Member::standby_of(&primary)?;
    primary.wait_for_replica().await?;
    let signpost = Signpost::to(primary.port).await?;
    let url = |port| format!("postgres://postgres:drill@127.0.0.1:{port}/chancery");
    let database = |_: &Path| Database::Postgres(url(signpost.port));
    let nowhere = async |_: &mut Cluster| Ok(None);
    under_load_of(brief, 3, database, nowhere, async |field| {
        let read_only = reads_only(field, &url(standby.port)).await?;
        let (down, up) = fail_over(field, &mut primary, &standby, &signpost).await?;
        Ok(format!(
            "{read_only}; the replica was promoted {} ms after the primary was killed, all nodes ready {} ms later",
            down.as_millis(),
            up.as_millis()
        ))
    })
    .await
}

/// A node that reaches only the replica says so, and issues nothing.
async fn reads_only(field: &Field, standby: &str) -> Outcome<String> {
    let program = field.cluster.program.clone().with("CHANCERY_DATABASE__URL", standby);
    let mut astray = program.spawn("astray", &["serve"], "")?;
    let told = within(Duration::from_secs(15), async || {
        let said = astray.said()?;
        let address =
            said.split_whitespace().find(|word| word.starts_with("http://") && !word.contains("auth."));
        if astray.ended()?.is_some() {
            return Ok(());
        }
        let Some(address) = address else {
            ensure!(false, "the node on the replica does not start");
            return Ok(());
        };
        let ready = Api::new().get(address, "/health/ready").await?;
        ensure!(ready.status == 503, "a node on a replica says it is ready: {}", ready.status);
        Ok(())
    })
    .await;
    told?;
    astray.kill()?;
    Ok("a node on the replica is not ready".to_owned())
}

async fn fail_over(
    field: &mut Field,
    primary: &mut Member,
    standby: &Member,
    signpost: &Signpost,
) -> Outcome<(Duration, Duration)> {
    let fault = field.under("failover", Nodes::All, Nodes::None, async |_| {
        let begun = Instant::now();
        primary.crash()?;
        standby.promote()?;
        signpost.turn_to(standby.port).await;
        Ok(begun.elapsed())
    });
    let down = fault.await?;
    Ok((down, works_again(field).await?))
}
