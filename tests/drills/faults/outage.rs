//! Postgres restarted in an orderly way, crashed, and frozen where it stands.

use std::time::Duration;

use super::field::{Field, on_postgres};
use crate::support::journal::Nodes;
use crate::support::{Brief, Outcome, Postgres, within};

const WORKS_AGAIN_WITHIN: Duration = Duration::from_secs(3);

pub async fn outage(brief: &Brief) -> Outcome<String> {
    let frozen_for = Duration::from_secs(brief.pick(30, 8));
    let rounds = brief.pick(3, 1);
    on_postgres(brief, async |field, postgres| {
        let mut worst = Duration::ZERO;
        for _ in 0..rounds {
            for mode in ["fast", "immediate"] {
                field.under(mode, Nodes::All, Nodes::None, async |_| postgres.restart(mode).await).await?;
                worst = worst.max(works_again(field).await?);
            }
        }
        let thawed = freeze(field, postgres, frozen_for).await?;
        Ok(format!(
            "{} restarts, half of them crashes, all nodes ready again after {} ms at most; frozen for {} s, ready after {} ms",
            rounds * 2,
            worst.as_millis(),
            frozen_for.as_secs(),
            thawed.as_millis()
        ))
    })
    .await
}

async fn freeze(field: &mut Field, postgres: &Postgres, frozen_for: Duration) -> Outcome<Duration> {
    let frozen = field.under("frozen", Nodes::All, Nodes::None, async |_| {
        let paused = postgres.pause()?;
        tokio::time::sleep(frozen_for).await;
        drop(paused);
        Ok(())
    });
    frozen.await?;
    works_again(field).await
}

/// Every node is ready.
pub async fn works_again(field: &Field) -> Outcome<Duration> {
    within(WORKS_AGAIN_WITHIN, async || {
        for node in &field.cluster.nodes {
            field.cluster.api.get(&node.address, "/health/ready").await?.expect(200)?;
        }
        Ok(())
    })
    .await
}
