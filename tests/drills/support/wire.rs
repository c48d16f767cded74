//! A wire between a node and Postgres that can be cut, stalled, lost track of, and made to swallow one question or answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Database, Failure, Outcome};

const CHUNK: usize = 16 * 1024;

/// What the wire does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Carries,
    /// Connections stay open and nothing comes through.
    Stalls,
    /// Connections are reset, and new ones too.
    Cut,
}

/// What is lost of one exchange; then its connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The database never hears of it.
    Question,
    /// The database has done it, and nobody is told.
    Answer,
}

/// Which message it is, from the one with the needle on.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many messages later: a statement's text goes ahead of its values.
    Later(usize),
    /// The first that has this text as well.
    With(&'static str),
}

struct Trap {
    needle: &'static str,
    until: Until,
    lost: Lost,
}

struct State {
    mood: watch::Sender<Mood>,
    /// Connections made before it grew are forgotten: they stay open, and nothing answers.
    epoch: AtomicU64,
    trap: Mutex<Option<Trap>>,
    sprung: AtomicU64,
}

pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        self.state.mood.send_replace(Mood::Cut);
    }
}

impl Wire {
    pub async fn to(database: &Database) -> Outcome<Self> {
        let url = reqwest::Url::parse(&database.url())?;
        let host = url.host_str().ok_or_else(|| Failure::new("a database URL without a host"))?;
        let target = format!("{host}:{}", url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            mood: watch::Sender::new(Mood::Carries),
            epoch: AtomicU64::new(0),
            trap: Mutex::new(None),
            sprung: AtomicU64::new(0),
        });
        let carried = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.clone(), Arc::clone(&carried)));
            }
        });
        Ok(Self { address, state, task })
    }

    /// The database's URL by way of the wire.
    pub fn url(&self, database: &Database) -> Outcome<String> {
        let mut url = reqwest::Url::parse(&database.url())?;
        let is_set =
            url.set_host(Some("127.0.0.1")).is_ok() && url.set_port(Some(self.address.port())).is_ok();
        is_set.then(|| url.into()).ok_or_else(|| Failure::new("a strange database URL"))
    }

    pub fn is(&self, mood: Mood) {
        self.state.mood.send_replace(mood);
    }

    /// As when a host or a firewall in between forgets: what is open hears nothing any more, new connections work.
    pub fn forget_connections(&self) {
        self.state.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Loses an exchange on the next connection that this text comes over.
    pub fn lose(&self, needle: &'static str, until: Until, lost: Lost) {
        *self.state.trap.lock().expect("whole") = Some(Trap { needle, until, lost });
    }

    /// How often something was lost so.
    pub fn sprung(&self) -> u64 {
        self.state.sprung.load(Ordering::SeqCst)
    }
}

impl State {
    /// What becomes of a message, if it is the one to be lost. `armed` is what is awaited on this connection.
    fn springs(&self, message: &[u8], armed: &mut Option<(Until, Lost)>) -> Option<Lost> {
        let has = |text: &str| message.windows(text.len()).any(|window| window == text.as_bytes());
        *armed = match *armed {
            Some((Until::Later(more), lost)) => Some((Until::Later(more.saturating_sub(1)), lost)),
            Some(awaited) => Some(awaited),
            None => {
                let mut trap = self.trap.lock().expect("whole");
                trap.take_if(|trap| has(trap.needle)).map(|trap| (trap.until, trap.lost))
            }
        };
        let (until, lost) = (*armed)?;
        let is_it = match until {
            Until::Later(more) => more == 0,
            Until::With(text) => has(text),
        };
        if !is_it {
            return None;
        }
        self.sprung.fetch_add(1, Ordering::SeqCst);
        Some(lost)
    }
}

async fn carry(mut near: TcpStream, target: String, state: Arc<State>) {
    let born = state.epoch.load(Ordering::SeqCst);
    let mut mood = state.mood.subscribe();
    if *mood.borrow_and_update() == Mood::Cut {
        let _ = near.set_zero_linger();
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let cut = async {
        let _ = mood.wait_for(|mood| *mood == Mood::Cut).await;
    };
    tokio::select! {
        () = exchange(&mut near, &mut far, &state, born) => {}
        () = cut => {}
    }
    let _ = near.set_zero_linger();
}

/// Carries messages until one is to be lost or a side has gone.
async fn exchange(near: &mut TcpStream, far: &mut TcpStream, state: &State, born: u64) {
    let (mut asked, mut told) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut armed, mut swallows) = (None, false);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                open(state, born).await;
                match state.springs(&asked[..length], &mut armed) {
                    Some(Lost::Question) => return,
                    Some(Lost::Answer) => swallows = true,
                    None => {}
                }
                if far.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = far.read(&mut told) => {
                let Ok(length @ 1..) = read else { return };
                open(state, born).await;
                if swallows || near.write_all(&told[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Returns while the wire carries this connection; for one that is forgotten, never.
async fn open(state: &State, born: u64) {
    if state.epoch.load(Ordering::SeqCst) > born {
        std::future::pending::<()>().await;
    }
    let _ = state.mood.subscribe().wait_for(|mood| *mood == Mood::Carries).await;
    if state.epoch.load(Ordering::SeqCst) > born {
        std::future::pending::<()>().await;
    }
}
