//! Strangers in the database hold locks: on one user's rows, on all sessions, on the keys. Whoever needs them is told to come
//! back, and nobody is logged out for having waited.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::field::{Field, on_postgres};
use super::outage::works_again;
use crate::support::journal::{Ask, Nodes};
use crate::support::load::Held;
use crate::support::{Brief, Failure, Outcome, ensure};

pub async fn locks(brief: &Brief) -> Outcome<String> {
    // Longer than the grace, which must not count against whoever could not be answered.
    let on_one = Duration::from_secs(brief.pick(25, 17));
    let on_all = Duration::from_secs(brief.pick(12, 5));
    on_postgres(brief, async |field, _| {
        let waited = one_user(field, on_one).await?;
        let mut worst = Duration::ZERO;
        for (what, lock) in [
            ("all sessions", "SELECT id FROM sessions ORDER BY id FOR UPDATE"),
            ("all users", "SELECT id FROM users ORDER BY id FOR UPDATE"),
            ("the sessions table", "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"),
            ("the keys", "LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE"),
        ] {
            hold(field, what, &[lock], on_all, async |_| Ok(())).await?;
            worst = worst.max(works_again(field).await?);
        }
        Ok(format!(
            "one user's rows held for {} s ({waited} times told to come back), then all sessions, all users, a table and the \
             keys for {} s each; all nodes ready {} ms after at most",
            on_one.as_secs(),
            on_all.as_secs(),
            worst.as_millis()
        ))
    })
    .await
}

/// Their refreshes wait for the lock. The first of them is carried out when it is released, long after its caller was told to
/// come back; the caller's next try must not pass for theft.
async fn one_user(field: &mut Field, long: Duration) -> Outcome<usize> {
    let mut person = field.person("locked", 3).await?;
    let rows = "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = 'locked@drill.test' \
                FOR UPDATE OF s, u";
    let email = Arc::clone(&person.email);
    let (refreshed, login) = hold(field, "one user", &[rows], long, async |field| {
        let asked = person.sessions.iter().map(|held| {
            let (mut client, who, ask) =
                (field.load.client("locked"), &email, Ask::Refresh(held.refresh.clone()));
            async move { client.insist(who, ask).await }
        });
        let mut client = field.load.client("locked");
        let login = client.insist(&email, Ask::LogIn { password: Arc::clone(&person.password) });
        let (refreshed, login) = tokio::join!(join_all(asked), login);
        ensure!(login.status == 200, "the locked user's login was answered {}", login.status);
        Ok((refreshed, login.gave))
    })
    .await?;
    for (held, heard) in person.sessions.iter_mut().zip(refreshed) {
        let gave =
            heard.gave.ok_or_else(|| Failure::new("a refresh that waited for the lock was refused"))?;
        held.advance(gave);
    }
    person.sessions.extend(login.map(Held::new));
    let pages = field.journal.open();
    let told = pages.entries.iter().filter(|entry| *entry.who == *email && entry.status() == 503).count();
    drop(pages);
    ensure!(told > 0, "nobody had to wait: nothing was locked");
    field.load.adopt(person);
    Ok(told)
}

/// Holds locks for so long, and does something meanwhile.
async fn hold<T>(
    field: &mut Field,
    what: &str,
    locks: &[&str],
    long: Duration,
    meanwhile: impl AsyncFnOnce(&mut Field) -> Outcome<T>,
) -> Outcome<T> {
    let mut stranger = field.cluster.database.intruder().await?;
    let journal = Arc::clone(&field.journal);
    let window = journal.begin(format!("locked: {what}"), Nodes::All, Nodes::None);
    stranger.execute("BEGIN").await?;
    for lock in locks {
        stranger.execute(AssertSqlSafe((*lock).to_owned())).await?;
    }
    let held = async {
        tokio::time::sleep(long).await;
        let released = stranger.execute("ROLLBACK").await;
        journal.end(window);
        released?;
        stranger.close().await?;
        Ok::<_, Failure>(())
    };
    let (held, done) = tokio::join!(held, meanwhile(field));
    held.and(done).map_err(|failure| failure.during(what))
}
