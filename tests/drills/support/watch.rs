//! Good clients beside bad ones: what they ask must be answered, and soon.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::cluster::PASSWORD;
use super::{Answer, Api, Cluster, Outcome, ensure, ms, quantile};

const PAUSE: Duration = Duration::from_millis(20);
/// Hashes cost something.
const PAUSE_OF_LOGINS: Duration = Duration::from_millis(200);

type Took = Arc<Mutex<BTreeMap<&'static str, Vec<u128>>>>;

/// Probes of one node, each on a connection of its own every time, until they are ended.
pub struct Watch {
    tasks: JoinSet<Outcome>,
    stop: Arc<AtomicBool>,
    took: Took,
}

impl Watch {
    /// `name` is an account of [`Cluster::newcomer`].
    pub async fn begin(cluster: &Cluster, name: &str) -> Outcome<Self> {
        let login = cluster.again(name).await?;
        let mut watch = Self { tasks: JoinSet::new(), stop: Arc::default(), took: Took::default() };
        let base = cluster.nodes[0].address.clone();
        for (what, path) in [("jwks", "/.well-known/jwks.json"), ("live", "/health/live")] {
            let (api, base) = (Api::of_strangers(), base.clone());
            let ask = move |()| {
                let (api, base) = (api.clone(), base.clone());
                async move { Ok((api.get(&base, path).await?, ())) }
            };
            watch.probe(what, PAUSE, ask, ());
        }
        let credentials = json!({ "email": format!("{name}@drill.test"), "password": PASSWORD });
        let (api, node) = (Api::of_strangers(), base.clone());
        let enter = move |()| {
            let (api, node, credentials) = (api.clone(), node.clone(), credentials.clone());
            async move { Ok((api.post(&node, "/auth/login", credentials).await?, ())) }
        };
        watch.probe("login", PAUSE_OF_LOGINS, enter, ());
        let api = Api::of_strangers();
        let refresh = move |token: String| {
            let (api, base) = (api.clone(), base.clone());
            async move {
                let answer = api.refresh(&base, &token).await?;
                let next = refresh_token(&answer.json());
                Ok((answer, next))
            }
        };
        watch.probe("refresh", PAUSE, refresh, refresh_token(&login));
        Ok(watch)
    }

    /// Asks again and again, each time with what came of the last.
    fn probe<T: Send + 'static, F>(
        &mut self,
        what: &'static str,
        pause: Duration,
        ask: impl Fn(T) -> F + Send + Sync + 'static,
        first: T,
    ) where
        F: Future<Output = Outcome<(Answer, T)>> + Send,
    {
        let (stop, took) = (Arc::clone(&self.stop), Arc::clone(&self.took));
        self.tasks.spawn(async move {
            let mut held = first;
            while !stop.load(Ordering::Relaxed) {
                let (answer, next) = ask(held).await?;
                ensure!(answer.status == 200, "{what} was answered {}: {}", answer.status, answer.text);
                held = next;
                took.lock().expect("whole").entry(what).or_default().push(answer.took.as_micros());
                tokio::time::sleep(pause).await;
            }
            Ok(())
        });
    }

    /// All of them were answered 200, and 99 of 100 in that time.
    pub async fn end(mut self, limit: Duration) -> Outcome<String> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        let mut took = std::mem::take(&mut *self.took.lock().expect("whole"));
        let mut told = Vec::new();
        for (what, took) in &mut took {
            let (most, asked) = (ms_of(quantile(took, 0.99)), took.len());
            ensure!(most <= limit, "{what} took {most:?} at the 99th percentile of {asked}");
            told.push(format!("{what} {}", most.as_millis()));
        }
        ensure!(told.len() == 4, "only {told:?} was asked");
        Ok(format!("p99 in ms: {}", told.join(", ")))
    }
}

fn ms_of(micros: u128) -> Duration {
    ms(u64::try_from(micros / 1000).unwrap_or(u64::MAX))
}

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().unwrap_or_default().to_owned()
}
