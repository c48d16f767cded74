//! The database is set back to before two rotations: all nodes agree again within seconds, and go on.

use std::fs;
use std::sync::Arc;

use serde_json::Value;

use crate::support::api::kids;
use crate::support::cluster::kid_of;
use crate::support::history::{History, Verdict, part};
use crate::support::invariants::{all_agree, is_rotation, one_of_each};
use crate::support::issuing::Teller;
use crate::support::verifier::{decoding_keys, judge};
use crate::support::{Admin, Brief, Cluster, Database, Outcome, Postgres, ensure, now_ms, within};

const LEEWAY_S: i64 = 1;

pub async fn restore(brief: &Brief) -> Outcome<String> {
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let mut cluster = Cluster::prepare(brief, |_| database)?;
    let on_postgres =
        on_postgres(brief, &postgres, &mut cluster).await.map_err(|failure| failure.during("postgres"));
    let on_postgres = cluster.conclude(on_postgres)?;
    let mut cluster = Cluster::prepare(brief, Database::sqlite)?;
    let on_sqlite = on_sqlite(&mut cluster).await.map_err(|failure| failure.during("sqlite"));
    Ok(format!("{on_postgres}\n  {}", cluster.conclude(on_sqlite)?))
}

fn configure(cluster: &mut Cluster) {
    // The default poll: nobody is notified of a restored database, so polling alone must do.
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", "5s")
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s")
        .set("CHANCERY_TOKENS__LEEWAY", format!("{LEEWAY_S}s"));
}

/// While three nodes run.
async fn on_postgres(brief: &Brief, postgres: &Postgres, cluster: &mut Cluster) -> Outcome<String> {
    configure(cluster);
    cluster.start(3).await?;
    let nodes = cluster.addresses();
    let mut admin = cluster.admin().await?;
    let rounds = brief.pick(5, 1);
    let mut longest = 0;
    for round in 0..rounds {
        let saved = cluster.folder().join(format!("dump{round}.sql"));
        let before = kid_of(&admin.key(&nodes[0], "current").await?);
        postgres.dump(&cluster.database, &saved).await?;
        for node in nodes.iter().take(2) {
            admin.force(node).await?;
        }
        all_agree(&cluster.api, &admin, &nodes).await?;
        postgres.restore(&cluster.database, &saved).await?;
        // The administrator's session is set back too, and their refresh token is from the future.
        admin = Admin::log_in(&cluster.api, &nodes[round % 3]).await?;
        let took = within(crate::support::invariants::AGREE_WITHIN, async || {
            for node in &nodes {
                let set = kids(&cluster.api.jwks(node).await?.json());
                ensure!(set.first() == Some(&before), "{node} publishes {set:?}, and {before} signs again");
            }
            Ok(())
        })
        .await?;
        longest = longest.max(took.as_millis());
        all_agree(&cluster.api, &admin, &nodes).await?;
        goes_on(cluster, &admin, &nodes, &before, round).await?;
    }
    Ok(format!(
        "postgres: {rounds} restores under 3 running nodes; all agreed after at most {longest} ms, rotated and issued on"
    ))
}

/// Stopped, copied back, started.
async fn on_sqlite(cluster: &mut Cluster) -> Outcome<String> {
    configure(cluster);
    cluster.start(1).await?;
    let admin = cluster.admin().await?;
    let before = kid_of(&admin.key(&cluster.nodes[0].address, "current").await?);
    let Database::Sqlite(file) = cluster.database.clone() else { return Ok("no file".to_owned()) };
    let saved = cluster.folder().join("saved.db");
    stop(cluster).await?;
    fs::copy(&file, &saved)?;
    cluster.start(1).await?;
    for _ in 0..2 {
        admin.force(&cluster.nodes[0].address).await?;
    }
    stop(cluster).await?;
    for beside in ["-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(beside);
        ensure!(!fs::exists(&name)?, "a stopped server leaves {} behind", name.display());
    }
    fs::copy(&saved, &file)?;
    cluster.start(1).await?;
    let nodes = cluster.addresses();
    let admin = Admin::log_in(&cluster.api, &nodes[0]).await?;
    all_agree(&cluster.api, &admin, &nodes).await?;
    let current = kid_of(&admin.key(&nodes[0], "current").await?);
    ensure!(current == before, "{current} signs, and not {before}");
    goes_on(cluster, &admin, &nodes, &before, 0).await?;
    Ok("sqlite: stopped, copied back, started; rotated and issued on".to_owned())
}

async fn stop(cluster: &mut Cluster) -> Outcome {
    for node in cluster.nodes.drain(..) {
        node.stop().await?;
    }
    Ok(())
}

/// Tokens are given on every node and verify everywhere, before and after the next rotation, also those from before it.
async fn goes_on(cluster: &Cluster, admin: &Admin, nodes: &[String], before: &str, round: usize) -> Outcome {
    let history = Arc::new(History::default());
    let login: Value = cluster.newcomer(&format!("newcomer{round}")).await?;
    let kid = part(login["access_token"].as_str().unwrap_or_default(), 0)?["kid"].clone();
    ensure!(kid == before, "a token is signed with {kid}, and not with {before}");
    let mut teller = Teller::new(&cluster.api, &login);
    for _ in 0..2 {
        for node in nodes {
            teller.next(node, &history).await?;
        }
        is_rotation(&admin.force(&nodes[round % nodes.len()]).await?)?;
        all_agree(&cluster.api, admin, nodes).await?;
        one_of_each(&cluster.database).await?;
    }
    for node in nodes {
        let keys = decoding_keys(&cluster.api.jwks(node).await?.expect(200)?);
        for token in &history.open().tokens {
            let verdict = keys
                .get(&token.kid)
                .map_or(Verdict::UnknownKid, |key| judge(&token.text, key, now_ms(), LEEWAY_S));
            ensure!(
                verdict == Verdict::Accepted,
                "a token of {} is refused by the set of {node}: {verdict:?}",
                token.origin
            );
        }
    }
    Ok(())
}
