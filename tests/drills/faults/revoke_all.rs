//! The database is set back and `chancery revoke-all` run: every earlier token is refused on every node, and new logins work.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::kids;
use crate::support::cluster::{PASSWORD, kid_of};
use crate::support::invariants::{all_agree, one_of_each};
use crate::support::{Admin, Brief, Cluster, Database, Outcome, Postgres, ensure, within};

const PEOPLE: usize = 6;
/// A node that has missed every notice polls within that time.
const DEAD_WITHIN: Duration = Duration::from_secs(5);
const OTHER_PASSWORD: &str = "another password for drills";

pub async fn revoke_all(brief: &Brief) -> Outcome<String> {
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

/// Everything that was ever given or published.
#[derive(Default)]
struct Past {
    access: Vec<String>,
    refresh: Vec<String>,
    kids: BTreeSet<String>,
}

impl Past {
    fn gave(&mut self, tokens: &Value) {
        for (held, name) in [(&mut self.access, "access_token"), (&mut self.refresh, "refresh_token")] {
            held.extend(tokens[name].as_str().map(str::to_owned));
        }
    }

    async fn published(&mut self, cluster: &Cluster) -> Outcome {
        for node in &cluster.nodes {
            let set = cluster.api.jwks(&node.address).await?.expect(200)?;
            self.kids.extend(kids(&set));
        }
        Ok(())
    }
}

fn configure(cluster: &mut Cluster) {
    // Whatever is refused afterwards is refused because of revoke-all, and not because it has expired.
    cluster
        .set("CHANCERY_KEYS__REFRESH_INTERVAL", "4s")
        .set("CHANCERY_KEYS__JWKS_MAX_AGE", "1s")
        .set("CHANCERY_KEYS__VERIFIER_CACHE_TTL", "0s")
        .set("CHANCERY_TOKENS__ACCESS_TOKEN_TTL", "10m");
}

async fn on_postgres(brief: &Brief, postgres: &Postgres, cluster: &mut Cluster) -> Outcome<String> {
    configure(cluster);
    cluster.start(3).await?;
    let mut admin = cluster.admin().await?;
    let (rounds, mut longest) = (brief.pick(3, 1), 0);
    let mut past = Past::default();
    for round in 0..rounds {
        let people = arrive(cluster, &mut past, round).await?;
        let saved = cluster.folder().join(format!("dump{round}.sql"));
        postgres.dump(&cluster.database, &saved).await?;
        live_on(cluster, &admin, &mut past, &people, round).await?;
        postgres.restore(&cluster.database, &saved).await?;
        draw(cluster, round).await?;
        longest = longest.max(nothing_is_left(cluster, &past).await?.as_millis());
        admin = goes_on(cluster, round).await?;
    }
    Ok(format!(
        "postgres: {rounds} times set back under 3 running nodes and revoked; {} access and {} refresh tokens refused on every node \
         after at most {longest} ms, {} kids gone",
        past.access.len(),
        past.refresh.len(),
        past.kids.len()
    ))
}

/// Stopped, copied back, revoked, started.
async fn on_sqlite(cluster: &mut Cluster) -> Outcome<String> {
    configure(cluster);
    cluster.start(1).await?;
    let admin = cluster.admin().await?;
    let mut past = Past::default();
    let people = arrive(cluster, &mut past, 0).await?;
    let Database::Sqlite(file) = cluster.database.clone() else { return Ok("no file".to_owned()) };
    let saved = cluster.folder().join("saved.db");
    stop(cluster).await?;
    fs::copy(&file, &saved)?;
    cluster.start(1).await?;
    live_on(cluster, &admin, &mut past, &people, 0).await?;
    stop(cluster).await?;
    fs::copy(&saved, &file)?;
    draw(cluster, 0).await?;
    cluster.start(1).await?;
    nothing_is_left(cluster, &past).await?;
    goes_on(cluster, 0).await?;
    Ok(format!(
        "sqlite: stopped, copied back, revoked, started; {} access and {} refresh tokens refused, {} kids gone",
        past.access.len(),
        past.refresh.len(),
        past.kids.len()
    ))
}

async fn stop(cluster: &mut Cluster) -> Outcome {
    for node in cluster.nodes.drain(..) {
        node.stop().await?;
    }
    Ok(())
}

fn name(round: usize, number: usize) -> String {
    format!("person{round}-{number}")
}

/// People with a session each, whom the backup knows.
async fn arrive(cluster: &Cluster, past: &mut Past, round: usize) -> Outcome<Vec<Value>> {
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let tokens = cluster.newcomer(&name(round, number)).await?;
        past.gave(&tokens);
        people.push(tokens);
    }
    past.published(cluster).await?;
    Ok(people)
}

/// What the backup does not know: logouts, refreshes, another password, a rotation and a revocation, each on any node.
async fn live_on(
    cluster: &Cluster,
    admin: &Admin,
    past: &mut Past,
    people: &[Value],
    round: usize,
) -> Outcome {
    let (api, nodes) = (&cluster.api, cluster.addresses());
    for (number, person) in people.iter().enumerate() {
        let node = &nodes[number % nodes.len()];
        let access = person["access_token"].as_str().unwrap_or_default();
        match number % 3 {
            0 => drop(api.post_as(access, node, "/auth/logout", json!({})).await?.expect(204)?),
            1 => {
                let refresh = person["refresh_token"].as_str().unwrap_or_default();
                past.gave(&api.refresh(node, refresh).await?.expect(200)?);
            }
            _ => {
                let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
                api.post_as(access, node, "/auth/password", body).await?.expect(204)?;
            }
        }
    }
    admin.force(&nodes[0]).await?;
    past.published(cluster).await?;
    past.gave(&cluster.newcomer(&format!("latecomer{round}")).await?);
    let current = kid_of(&admin.key(&nodes[0], "current").await?);
    let token = admin.token(&nodes[0]).await?;
    let path = format!("/admin/keys/{current}/revoke");
    let wish = json!({ "reason": "drill" });
    api.call(Method::POST, &nodes[0], &path, Some(&token), Some(&wish)).await?.expect(200)?;
    past.published(cluster).await?;
    past.access.push(token);
    Ok(())
}

async fn draw(cluster: &Cluster, round: usize) -> Outcome {
    let reason = format!("drill {round}: set back");
    let told =
        cluster.program.run(&format!("revoke-all{round}"), &["revoke-all", "--reason", &reason], "").await?;
    ensure!(told.starts_with("Ended "), "revoke-all prints {told}");
    Ok(())
}

/// No node takes anything that was given before, or publishes a key that was published before.
async fn nothing_is_left(cluster: &Cluster, past: &Past) -> Outcome<Duration> {
    within(DEAD_WITHIN, async || {
        for node in &cluster.nodes {
            let (api, base) = (&cluster.api, &node.address);
            let set = kids(&api.jwks(base).await?.expect(200)?);
            ensure!(set.len() == 2, "{} publishes {set:?}", node.name);
            let old = set.iter().find(|kid| past.kids.contains(*kid));
            ensure!(old.is_none(), "{} publishes {old:?}, which was published before", node.name);
            for token in &past.access {
                api.get_as(token, base, "/auth/me").await?.expect(401)?;
            }
            for token in &past.refresh {
                api.refresh(base, token).await?.expect(401)?;
            }
        }
        Ok(())
    })
    .await
}

/// Everybody logs in again, with the password that the backup knows, and every node takes what any other gave.
async fn goes_on(cluster: &Cluster, round: usize) -> Outcome<Admin> {
    let (api, nodes) = (&cluster.api, cluster.addresses());
    for number in 0..PEOPLE {
        let body = json!({ "email": format!("{}@drill.test", name(round, number)), "password": PASSWORD });
        let node = &nodes[number % nodes.len()];
        let mut tokens = api.post(node, "/auth/login", body).await?.expect(200)?;
        for other in &nodes {
            let refresh = tokens["refresh_token"].as_str().unwrap_or_default().to_owned();
            tokens = api.refresh(other, &refresh).await?.expect(200)?;
            let access = tokens["access_token"].as_str().unwrap_or_default();
            for node in &nodes {
                api.get_as(access, node, "/auth/me").await?.expect(200)?;
            }
        }
    }
    let admin = Admin::log_in(api, &nodes[0]).await?;
    all_agree(api, &admin, &nodes).await?;
    one_of_each(&cluster.database).await?;
    Ok(admin)
}
