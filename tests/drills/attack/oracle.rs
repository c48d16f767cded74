//! Whether answers tell accounts apart: by what they say, which fails, and by how long they take, which is reported.

use std::collections::BTreeMap;
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::cluster::PASSWORD;
use crate::support::{Brief, Cluster, Database, Outcome, Postgres, ensure, quantile};

/// After so many failures nothing is checked any more; more than there are samples of a wrong password.
const STOPPED_AFTER: usize = 300;
/// What a difference of medians should stay below (requirement 38): either will do.
const NOTABLE_SHARE: f64 = 0.05;
const NOTABLE_US: f64 = 2000.0;

pub async fn oracle(brief: &Brief) -> Outcome<String> {
    let sqlite = Cluster::prepare(brief, Database::sqlite)?;
    let mut told = vec![format!("SQLite: {}", one_database(brief, sqlite).await?)];
    let postgres = Postgres::from_environment()?;
    let database = postgres.create_database().await?;
    let cluster = Cluster::prepare(brief, |_| database)?;
    told.push(format!("Postgres: {}", one_database(brief, cluster).await?));
    Ok(told.join("\n  "))
}

async fn one_database(brief: &Brief, mut cluster: Cluster) -> Outcome<String> {
    let outcome = run(brief, &mut cluster).await;
    cluster.conclude(outcome)
}

async fn run(brief: &Brief, cluster: &mut Cluster) -> Outcome<String> {
    cluster
        .set("CHANCERY_PASSWORDS__MEMORY_KIB", "19456")
        .set("CHANCERY_PASSWORDS__ITERATIONS", "2")
        .set("CHANCERY_LOGIN__MAX_FAILURES_PER_NETWORK", "0")
        .set("CHANCERY_LOGIN__MAX_BACKOFF", "0s")
        .set("CHANCERY_LOGIN__LOCKOUT_THRESHOLD", STOPPED_AFTER);
    cluster.start(1).await?;
    prepare_accounts(cluster).await?;
    let samples = brief.pick(200, 40);

    let mut logins = Samples::default();
    let cases = ["wrong", "unknown", "disabled", "stopped"];
    for round in 0..samples {
        for at in 0..cases.len() {
            // Each case follows each other one equally often.
            let case = cases[(at + round) % cases.len()];
            let name = if case == "unknown" { format!("nobody{round}") } else { case.to_owned() };
            let body = json!({ "email": format!("{name}@drill.test"), "password": "a wrong password" });
            logins.ask(cluster, "/auth/login", case, body).await?;
        }
    }
    let mut registrations = Samples::default();
    let cases = ["free", "taken"];
    for round in 0..samples {
        for at in 0..cases.len() {
            let case = cases[(at + round) % cases.len()];
            let name = if case == "free" { format!("new{round}") } else { "taken".to_owned() };
            let body = json!({ "email": format!("{name}@drill.test"), "password": PASSWORD });
            registrations.ask(cluster, "/auth/register", case, body).await?;
        }
    }
    Ok(format!("login {}; register {}", logins.report("wrong")?, registrations.report("free")?))
}

async fn prepare_accounts(cluster: &Cluster) -> Outcome {
    let node = &cluster.addresses()[0];
    for name in ["wrong", "disabled", "stopped", "taken"] {
        cluster.newcomer(name).await?;
    }
    let admin = cluster.admin().await?;
    let token = admin.token(node).await?;
    let users = cluster.api.get_as(&token, node, "/admin/users").await?.expect(200)?;
    let all = users["users"].as_array().into_iter().flatten();
    let disabled = all.filter(|user| user["email"] == "disabled@drill.test").map(|user| &user["id"]);
    for id in disabled.filter_map(Value::as_str) {
        let (path, body) = (format!("/admin/users/{id}"), json!({ "status": "disabled" }));
        cluster.api.call(Method::PATCH, node, &path, Some(&token), Some(&body)).await?.expect(200)?;
    }
    for _ in 0..STOPPED_AFTER {
        let body = json!({ "email": "stopped@drill.test", "password": "a wrong password" });
        cluster.api.post(node, "/auth/login", body).await?;
    }
    Ok(())
}

/// Answers and how long they took, by case.
#[derive(Default)]
struct Samples {
    took: BTreeMap<&'static str, Vec<u128>>,
    shapes: BTreeMap<&'static str, String>,
}

impl Samples {
    async fn ask(&mut self, cluster: &Cluster, path: &str, case: &'static str, body: Value) -> Outcome {
        let node = &cluster.addresses()[0];
        let asked = Instant::now();
        let answer = cluster.api.post(node, path, body).await?;
        self.took.entry(case).or_default().push(asked.elapsed().as_micros());
        let mut told = answer.json();
        // What differs between any two answers to one request.
        for own in ["request_id", "id", "email", "created_at"] {
            if let Some(member) = told.get_mut(own) {
                *member = Value::Null;
            }
        }
        let shape = format!("{} {told}", answer.status);
        let first = self.shapes.entry(case).or_insert_with(|| shape.clone());
        ensure!(*first == shape, "{case} is answered in two ways: {first} and {shape}");
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn report(&mut self, against: &str) -> Outcome<String> {
        let mut shapes: Vec<&String> = self.shapes.values().collect();
        shapes.dedup();
        ensure!(shapes.len() == 1, "answers differ: {:?}", self.shapes);
        let medians: BTreeMap<&str, f64> =
            self.took.iter_mut().map(|(case, took)| (*case, quantile(took, 0.5) as f64)).collect();
        let base = medians[against];
        let told = medians.iter().map(|(case, median)| {
            let (ratio, difference) = (median / base, (median - base).abs());
            let is_notable = difference > NOTABLE_US && (ratio - 1.0).abs() > NOTABLE_SHARE;
            let mark = if is_notable { " NOTABLE" } else { "" };
            format!("{case} {:.2} ms ({ratio:.3}){mark}", median / 1000.0)
        });
        Ok(told.collect::<Vec<_>>().join(", "))
    }
}
