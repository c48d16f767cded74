//! 64 logins, 64 refreshes and 16 changes of the password of one user at once, while an administrator changes them too.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;

use super::field::{Field, on_postgres, under_load};
use crate::support::cluster::{ADMIN, PASSWORD};
use crate::support::journal::{Ask, Nodes};
use crate::support::load::{Client, Heard, Held, Person, new_password};
use crate::support::{Brief, Database, Failure, Outcome, ensure};

const AT_ONCE: usize = 64;
const CHANGES: usize = 16;

pub async fn contention(brief: &Brief) -> Outcome<String> {
    let rounds = brief.pick(6, 2);
    let on_postgres = on_postgres(brief, async |field, _| crowd(field, rounds).await).await;
    let on_postgres = on_postgres.map_err(|failure| failure.during("postgres"))?;
    let sqlite: fn(&Path) -> Database = Database::sqlite;
    let on_sqlite = under_load(brief, 1, sqlite, async |field| crowd(field, rounds).await).await;
    let on_sqlite = on_sqlite.map_err(|failure| failure.during("sqlite"))?;
    Ok(format!("postgres: {on_postgres}\n  sqlite: {on_sqlite}"))
}

async fn crowd(field: &mut Field, rounds: usize) -> Outcome<String> {
    let mut person = field.person("crowd", 1).await?;
    let mut admin =
        Person { email: ADMIN.into(), id: String::new(), password: PASSWORD.into(), sessions: Vec::new() };
    let mut client = field.load.client("crowd");
    let (mut logins, mut refreshes, mut turned_away) = (0, 0, 0);
    for round in 0..rounds {
        admin.log_in(&mut client).await.ok_or_else(|| Failure::new("the administrator cannot log in"))?;
        // So many passwords at once may be too many for the hashers, and then one is told to come back.
        let window = field.journal.begin(format!("crowd {round}"), Nodes::All, Nodes::None);
        let ask = |_| Ask::LogIn { password: Arc::clone(&person.password) };
        let heard = at_once(field, &person, &admin, (0..AT_ONCE).map(ask).collect()).await;
        turned_away += heard.iter().filter(|heard| heard.status == 503).count();
        let sessions = heard.into_iter().filter_map(|heard| heard.gave).collect::<Vec<_>>();
        logins += sessions.len();
        ensure!(sessions.len() >= AT_ONCE / 4, "{} of {AT_ONCE} right logins succeeded", sessions.len());
        person.sessions.extend(sessions.into_iter().map(Held::new));

        let asked = person.sessions.iter().map(|held| Ask::Refresh(held.refresh.clone())).collect();
        let heard = at_once(field, &person, &admin, asked).await;
        for (held, heard) in person.sessions.iter_mut().zip(heard) {
            turned_away += usize::from(heard.status == 503);
            if let Some(gave) = heard.gave {
                held.advance(gave);
                refreshes += 1;
            }
        }
        change_at_once(field, &mut client, &mut person, &admin).await?;
        field.journal.end(window);
    }
    field.load.adopt(person);
    field.load.adopt(admin);
    Ok(format!(
        "{rounds} times {AT_ONCE} of each at once: {logins} logins and {refreshes} refreshes, {turned_away} told to come back; \
         of {CHANGES} changes by one password always one"
    ))
}

/// All of them, over all nodes, with an administrator in between.
async fn at_once(field: &Field, person: &Person, admin: &Person, asks: Vec<Ask>) -> Vec<Heard> {
    let client = field.load.client("at once");
    let access = admin.sessions.last().map(|held| held.access.clone());
    let rename = access.map(|admin| Ask::Rename { admin, id: person.id.clone() });
    let nodes = field.cluster.nodes.len();
    let updates = (0..8).filter_map(|at| Some(client.ask_at(at % nodes, &person.email, rename.clone()?)));
    let asked = asks.into_iter().enumerate().map(|(at, ask)| client.ask_at(at % nodes, &person.email, ask));
    let (_, heard) = tokio::join!(join_all(updates), join_all(asked));
    heard
}

async fn change_at_once(field: &Field, client: &mut Client, person: &mut Person, admin: &Person) -> Outcome {
    let wishes: Vec<(usize, Arc<str>)> =
        (0..CHANGES.min(person.sessions.len())).map(|at| (at, new_password())).collect();
    let ask = |(at, new): &(usize, Arc<str>)| Ask::ChangePassword {
        access: person.sessions[*at].access.clone(),
        old: Arc::clone(&person.password),
        new: Arc::clone(new),
    };
    let heard = at_once(field, person, admin, wishes.iter().map(ask).collect()).await;
    let done: Vec<&(usize, Arc<str>)> =
        wishes.iter().zip(&heard).filter(|(_, heard)| heard.status == 204).map(|(wish, _)| wish).collect();
    let told: Vec<u16> = heard.iter().map(|heard| heard.status).collect();
    ensure!(
        done.len() == 1,
        "of {} changes by one password, {} were done: {told:?}",
        wishes.len(),
        done.len()
    );
    let (kept, new) = done[0].clone();
    person.password = new;
    let kept = person.sessions.swap_remove(kept);
    let gone = std::mem::replace(&mut person.sessions, vec![kept]);
    field.load.graveyard().bury(&person.email, gone);
    person.refresh(client, 0).await;
    Ok(())
}
