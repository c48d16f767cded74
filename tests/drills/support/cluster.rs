//! Nodes on one database, and an administrator.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{Api, Brief, Database, Failure, Node, Outcome, Program, ensure};

pub const ISSUER: &str = "https://auth.drill.test";
pub const AUDIENCE: &str = "chancery";
pub const PASSWORD: &str = "a password for drills only";
pub const ADMIN: &str = "admin@drill.test";
/// A master key as `id:base64`. Nothing outside of a drill's throwaway database is sealed with it.
pub const MASTER_KEY: &str = "drill:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

/// One Chancery of any number of nodes.
pub struct Cluster {
    pub api: Api,
    pub database: Database,
    pub program: Program,
    pub nodes: Vec<Node>,
    /// Holds the nodes' logs. Gone only when a drill has passed.
    folder: Option<TempDir>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(kept) = self.folder.take() {
            println!("  the nodes' logs are in {}", kept.keep().display());
        }
    }
}

impl Cluster {
    /// A folder and a program for a drill; no node yet.
    pub fn prepare(brief: &Brief, database: impl FnOnce(&Path) -> Database) -> Outcome<Self> {
        let folder = TempDir::with_prefix("chancery-drill-")?;
        let database = database(folder.path());
        let program = Program::new(&brief.binary, folder.path())
            .with("CHANCERY_DATABASE__URL", database.url())
            .with("CHANCERY_KEYS__MASTER_KEYS", MASTER_KEY)
            .with("CHANCERY_SERVER__ISSUER", ISSUER);
        Ok(Self { api: Api::new(), database, program, nodes: Vec::new(), folder: Some(folder) })
    }

    /// Sets something for all nodes started from now on.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.program = self.program.clone().with(name, value);
        self
    }

    pub async fn start(&mut self, count: usize) -> Outcome {
        for at in 0..count {
            self.start_one(&format!("node{at}"), &self.program.clone()).await?;
        }
        Ok(())
    }

    pub async fn start_one(&mut self, name: &str, program: &Program) -> Outcome {
        self.nodes.push(program.serve(&self.api, name).await?);
        Ok(())
    }

    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    pub fn folder(&self) -> &Path {
        &self.program.folder
    }

    /// Makes the administrator and logs them in.
    pub async fn admin(&self) -> Outcome<Admin> {
        let arguments = ["users", "create", ADMIN, "--admin", "--password-stdin"];
        self.program.run("users-create", &arguments, &format!("{PASSWORD}\n")).await?;
        Admin::log_in(&self.api, &self.nodes[0].address).await
    }

    /// Logs an account of [`Self::newcomer`] in again: its token response.
    pub async fn again(&self, name: &str) -> Outcome<Value> {
        let credentials = json!({ "email": format!("{name}@drill.test"), "password": PASSWORD });
        self.api.post(&self.nodes[0].address, "/auth/login", credentials).await?.expect(200)
    }

    /// Makes an account and logs it in: its token response.
    pub async fn newcomer(&self, name: &str) -> Outcome<Value> {
        let base = &self.nodes[0].address;
        let credentials = json!({ "email": format!("{name}@drill.test"), "password": PASSWORD });
        self.api.post(base, "/auth/register", credentials.clone()).await?.expect(201)?;
        self.api.post(base, "/auth/login", credentials).await?.expect(200)
    }

    /// Passes the outcome on; where it is bad, the logs stay for whoever looks into it.
    pub fn conclude<T>(mut self, outcome: Outcome<T>) -> Outcome<T> {
        if outcome.is_ok() {
            self.nodes.clear();
            self.folder = None;
        }
        outcome
    }
}

/// Somebody who may rotate. Access tokens are short-lived in drills, so every call is made with a new one.
pub struct Admin {
    api: Api,
    refresh_token: Mutex<String>,
}

impl Admin {
    pub async fn log_in(api: &Api, base: &str) -> Outcome<Self> {
        let credentials = json!({ "email": ADMIN, "password": PASSWORD });
        let login = api.post(base, "/auth/login", credentials).await?.expect(200)?;
        let refresh_token = login["refresh_token"].as_str().unwrap_or_default().to_owned();
        Ok(Self { api: api.clone(), refresh_token: Mutex::new(refresh_token) })
    }

    pub fn into_refresh_token(self) -> String {
        self.refresh_token.into_inner()
    }

    /// A fresh access token, from that node.
    pub async fn token(&self, base: &str) -> Outcome<String> {
        let mut held = self.refresh_token.lock().await;
        let tokens = self.api.refresh(base, &held).await?.expect(200)?;
        tokens["refresh_token"].as_str().unwrap_or_default().clone_into(&mut held);
        Ok(tokens["access_token"].as_str().unwrap_or_default().to_owned())
    }

    /// All keys as that node tells them, newest first.
    pub async fn keys(&self, base: &str) -> Outcome<Vec<Value>> {
        let token = self.token(base).await?;
        let list = self.api.get_as(&token, base, "/admin/keys").await?.expect(200)?;
        list["keys"].as_array().cloned().ok_or_else(|| Failure::new("/admin/keys has no keys"))
    }

    /// The one key of that status.
    pub async fn key(&self, base: &str, status: &str) -> Outcome<Value> {
        let mut keys = self.keys(base).await?;
        keys.retain(|key| key["status"] == status);
        ensure!(keys.len() == 1, "{base} tells of {} {status} keys", keys.len());
        Ok(keys.remove(0))
    }

    pub async fn rotate(&self, base: &str, wish: Value) -> Outcome<super::Answer> {
        let token = self.token(base).await?;
        self.api.post_as(&token, base, "/admin/keys/rotate", wish).await
    }

    pub async fn force(&self, base: &str) -> Outcome<Value> {
        self.rotate(base, json!({ "force": true, "reason": "drill" })).await?.expect(200)
    }
}

/// A time in an answer, in milliseconds since 1970.
pub fn moment(value: &Value) -> Outcome<i64> {
    let text = value.as_str().ok_or_else(|| Failure::new(format!("{value} is no time")))?;
    Ok(text.parse::<chrono::DateTime<chrono::Utc>>()?.timestamp_millis())
}

pub fn kid_of(key: &Value) -> String {
    key["kid"].as_str().unwrap_or_default().to_owned()
}
