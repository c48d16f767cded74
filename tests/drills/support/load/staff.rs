//! Everyone else: services that fetch the key set, operators who rotate, administrators who disable, thieves, and whoever
//! shows tokens that should be dead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shift;
use super::client::Client;
use super::member::Person;
use crate::support::cluster::{ADMIN, PASSWORD};
use crate::support::journal::Ask;
use crate::support::ms;

/// Fetches the key set of one node all the time.
pub async fn service(client: Client, shift: Arc<Shift>, node: usize) {
    let nobody: Arc<str> = "a service".into();
    while !shift.is_over() {
        if client.roster.is_in(node) {
            client.ask_at(node, &nobody, Ask::KeySet).await;
        }
        let asleep = Instant::now();
        tokio::time::sleep(ms(40)).await;
        let late = asleep.elapsed().saturating_sub(ms(40));
        client.journal.open().lag.push(late.as_micros());
    }
}

fn administrator() -> Person {
    Person { email: ADMIN.into(), id: String::new(), password: PASSWORD.into(), sessions: Vec::new() }
}

/// Rotates as soon as the next key may sign, and looks at the keys.
pub async fn operator(mut client: Client, shift: Arc<Shift>) -> Vec<Person> {
    let mut operator = administrator();
    operator.log_in(&mut client).await;
    while !shift.is_over() && !operator.sessions.is_empty() {
        operator.refresh(&mut client, 0).await;
        let Some(access) = operator.sessions.first().map(|held| held.access.clone()) else { break };
        client.ask(&operator.email, Ask::Rotate(access.clone())).await;
        client.ask(&operator.email, Ask::Keys(access)).await;
        tokio::time::sleep(ms(500) + client.chance.up_to(Duration::from_secs(1))).await;
    }
    vec![operator]
}

/// Disables users who are logged in. They stay disabled, and nobody speaks for them afterwards.
pub async fn warden(mut client: Client, shift: Arc<Shift>) -> Vec<Person> {
    let mut warden = administrator();
    warden.log_in(&mut client).await;
    let mut number = 0;
    while !shift.is_over() && !warden.sessions.is_empty() {
        let Some(mut person) = Person::arrive(&mut client, format!("banned{number}@drill.test")).await else {
            break;
        };
        number += 1;
        person.log_in(&mut client).await;
        person.refresh(&mut client, 0).await;
        warden.refresh(&mut client, 0).await;
        let Some(admin) = warden.sessions.first().map(|held| held.access.clone()) else { break };
        let ask = Ask::Disable { admin, id: person.id.clone() };
        client.insist(&person.email, ask).await;
        let again = Ask::LogIn { password: Arc::clone(&person.password) };
        shift.graveyard.bury(&person.email, std::mem::take(&mut person.sessions));
        tokio::time::sleep(ms(200) + client.chance.up_to(ms(800))).await;
        client.ask(&person.email, again).await;
    }
    vec![warden]
}

/// Uses tokens that are used up; each costs a session its life.
pub async fn thief(mut client: Client, shift: Arc<Shift>) -> Vec<Person> {
    let Some(mut victim) = Person::arrive(&mut client, "victim@drill.test".to_owned()).await else {
        return Vec::new();
    };
    while !shift.is_over() {
        if victim.sessions.is_empty() && victim.log_in(&mut client).await.is_none() {
            break;
        }
        victim.refresh(&mut client, 0).await;
        let Some(used) = victim.sessions.first().and_then(|held| held.long_used().cloned()) else { continue };
        client.insist(&victim.email, Ask::Steal(used)).await;
        shift.graveyard.bury(&victim.email, std::mem::take(&mut victim.sessions));
        tokio::time::sleep(ms(200) + client.chance.up_to(ms(500))).await;
    }
    vec![victim]
}

/// Shows what should be dead to any node, over and over.
pub async fn watchman(mut client: Client, shift: Arc<Shift>) {
    while !shift.is_over() {
        tokio::time::sleep(ms(20) + client.chance.up_to(ms(40))).await;
        let Some((who, held)) = shift.graveyard.any(&mut client.chance) else { continue };
        let ask = match client.chance.below(3) {
            0 => Ask::Me(held.access),
            1 => Ask::Sessions(held.access),
            _ => Ask::Refresh(held.refresh),
        };
        client.ask(&who, ask).await;
    }
}
