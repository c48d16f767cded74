//! What the drills share.

pub mod api;
pub mod chance;
pub mod checker;
pub mod cluster;
pub mod failure;
pub mod forge;
pub mod history;
pub mod invariants;
pub mod issuing;
pub mod journal;
pub mod load;
pub mod node;
pub mod pair;
pub mod postgres;
pub mod raw;
pub mod story;
pub mod verifier;
pub mod watch;
pub mod wire;

pub use api::{Answer, Api};
pub use chance::Chance;
pub use cluster::{Admin, Cluster};
pub(crate) use failure::ensure;
pub use failure::{Failure, Outcome};
pub use node::{Node, Program};
pub use postgres::{Database, Postgres};

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What every drill is given.
#[derive(Clone, Debug)]
pub struct Brief {
    pub seed: u64,
    /// A short form: fewer rounds, shorter waits, the same checks.
    pub quick: bool,
    /// The server's program.
    pub binary: PathBuf,
}

impl Brief {
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Random choices that follow from the seed, other ones for each purpose.
    pub fn chance(&self, purpose: &str) -> Chance {
        Chance::new(self.seed, purpose)
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now_ms() -> i64 {
    chancery::clock::Clock::system().now().timestamp_millis()
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Asks again until it is so. The last answer says what was missing.
pub async fn within(limit: Duration, mut probe: impl AsyncFnMut() -> Outcome) -> Outcome<Duration> {
    let begun = Instant::now();
    loop {
        match probe().await {
            Ok(()) => return Ok(begun.elapsed()),
            Err(failure) if begun.elapsed() > limit => {
                return Err(Failure::new(format!("still so after {limit:?}: {failure}")));
            }
            Err(_) => tokio::time::sleep(ms(20)).await,
        }
    }
}

/// The value below which `share` of them are; 0 of none.
pub fn quantile(values: &mut [u128], share: f64) -> u128 {
    values.sort_unstable();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(0)
}
