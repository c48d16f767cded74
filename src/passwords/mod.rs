//! Hashing passwords: Argon2id on threads of its own, so that nothing else ever waits behind a hash.
//!
//! A bounded queue and a bounded wait: past either the caller hears [`Busy`] and the client 503 with Retry-After. Each
//! thread keeps its memory block between hashes. No SQL and no HTTP. Called by the flows.

mod argon;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::passwords::{CandidatePassword, NewPassword, PasswordHash, PasswordRejected};
pub use argon::{HashCost, HashCostError};

/// The hashing threads are all busy and the queue is full, or the wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at the moment")]
pub struct Busy;

/// What a password check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Right. `rehashed` is the same password under today's cost, when the stored hash was cheaper.
    Right {
        rehashed: Option<PasswordHash>,
    },
    Wrong,
}

/// How hashing is sized.
#[derive(Clone, Copy, Debug)]
pub struct HasherOptions {
    pub cost: HashCost,
    pub threads: usize,
    pub max_queued: usize,
    /// The longest a check may take in all.
    pub queue_timeout: Duration,
}

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The hashing threads. They end when the last handle is dropped.
pub struct Hasher {
    jobs: Sender<Job>,
    slots: Arc<Semaphore>,
    cost: HashCost,
    wait: Duration,
    decoy: PasswordHash,
    /// A moving average of what a wrong password takes to be found wrong, in microseconds.
    typical_us: AtomicU64,
}

/// A place on a thread or in the queue. Taken before anything is written for the sake of a password, so that a flood is
/// turned away at no cost.
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Slot {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("chancery_password_hash_queue_depth").increment(1.0);
        Self(permit)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("chancery_password_hash_queue_depth").decrement(1.0);
    }
}

impl Hasher {
    /// Starts the threads.
    pub fn start(options: HasherOptions) -> std::io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..options.threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("hash-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self {
            jobs,
            slots: Arc::new(Semaphore::new(options.threads + options.max_queued)),
            cost: options.cost,
            wait: options.queue_timeout,
            decoy: options.cost.decoy(),
            typical_us: AtomicU64::new(0),
        })
    }

    /// A place for one piece of work, or the news that there is none.
    pub fn reserve(&self) -> Result<Slot, Busy> {
        Arc::clone(&self.slots).try_acquire_owned().map(Slot::new).map_err(|_| {
            metrics::counter!("chancery_password_hash_refused_total").increment(1);
            Busy
        })
    }

    /// Checks a chosen password by the rules, which are work enough for these threads too, and hashes it.
    pub async fn hash(
        &self,
        choose: impl FnOnce() -> Result<NewPassword, PasswordRejected> + Send + 'static,
    ) -> Result<Result<PasswordHash, PasswordRejected>, Busy> {
        let cost = self.cost;
        let slot = self.reserve()?;
        self.run(slot, move |memory| choose().map(|password| cost.hash(password.expose(), memory))).await
    }

    /// Checks a password against the stored hash, or, for a user who does not exist, against a decoy: the answer is
    /// then `Wrong` and took as long.
    pub async fn check(
        &self,
        slot: Slot,
        password: CandidatePassword,
        stored: Option<PasswordHash>,
    ) -> Result<Checked, Busy> {
        let cost = self.cost;
        let exists = stored.is_some();
        let against = stored.unwrap_or_else(|| self.decoy.clone());
        let check = move |memory: &mut Vec<Block>| match HashCost::verify(password.expose(), &against, memory)
        {
            true if exists => {
                let rehashed = cost.is_stronger_than(&against).then(|| cost.hash(password.expose(), memory));
                Checked::Right { rehashed }
            }
            _ => Checked::Wrong,
        };
        self.run(slot, check).await
    }

    /// Checks once against the decoy, so that the first refusal of all takes as long as the others.
    pub async fn warm_up(&self) {
        let started = Instant::now();
        if let (Ok(slot), Some(password)) = (self.reserve(), CandidatePassword::parse("decoy"))
            && self.check(slot, password, None).await.is_ok()
        {
            self.record_wrong(started.elapsed());
        }
    }

    /// About how long a wrong password takes at present: what a refusal without a check should take as well.
    pub fn typical_wrong(&self) -> Duration {
        Duration::from_micros(self.typical_us.load(Ordering::Relaxed))
    }

    /// One wrong password took this long, from the first look to the last write.
    pub fn record_wrong(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Two threads that note at once may lose one sample, which an average bears.
        let average = match self.typical_us.load(Ordering::Relaxed) {
            0 => took,
            before => (before.saturating_mul(7).saturating_add(took)) / 8,
        };
        self.typical_us.store(average, Ordering::Relaxed);
    }

    async fn run<T: Send + 'static>(
        &self,
        slot: Slot,
        job: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let asked = Instant::now();
        let job: Job = Box::new(move |memory| {
            // Whoever asked may have given up meanwhile; then the work is not worth doing.
            if !answer.is_closed() {
                metrics::histogram!("chancery_password_hash_wait_seconds")
                    .record(asked.elapsed().as_secs_f64());
                let _ = answer.send(job(memory));
            }
            drop(slot);
        });
        self.jobs.send(job).map_err(|_| Busy)?;
        match tokio::time::timeout(self.wait, answered).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("chancery_password_hash_refused_total").increment(1);
                Err(Busy)
            }
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("cost", &self.cost).finish_non_exhaustive()
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut memory = Vec::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut memory),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(queue: usize, wait: Duration) -> Hasher {
        let cost = HashCost::new(64, 1, 1).unwrap();
        Hasher::start(HasherOptions { cost, threads: 1, max_queued: queue, queue_timeout: wait }).unwrap()
    }

    async fn run<T: Send + 'static>(
        hasher: &Hasher,
        job: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        hasher.run(hasher.reserve()?, job).await
    }

    fn candidate(text: &str) -> CandidatePassword {
        CandidatePassword::parse(text).unwrap()
    }

    fn new_password(text: &str) -> NewPassword {
        NewPassword::parse(text, 8, &crate::domain::Email::parse("a@x.test").unwrap(), None).unwrap()
    }

    #[tokio::test]
    async fn right_is_right_and_wrong_is_wrong() {
        let hasher = hasher(8, Duration::from_secs(10));
        let hash = hasher.hash(|| Ok(new_password("correct horse"))).await.unwrap().unwrap();
        let check = |text, stored| hasher.check(hasher.reserve().unwrap(), candidate(text), stored);
        assert_eq!(check("correct horse", Some(hash.clone())).await, Ok(Checked::Right { rehashed: None }));
        assert_eq!(check("correct hors", Some(hash.clone())).await, Ok(Checked::Wrong));
        assert_eq!(check("correct horse\0", Some(hash)).await, Ok(Checked::Wrong));
        assert_eq!(check("correct horse", None).await, Ok(Checked::Wrong));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let hasher = hasher(1, Duration::from_secs(10));
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let blocking = run(&hasher, move |_| {
            let _ = started.send(());
            let _ = blocked.recv();
        });
        let waiting = async {
            running.await.unwrap();
            let queued = run(&hasher, |_| 7);
            let refused = async {
                tokio::task::yield_now().await;
                let refused = run(&hasher, |_| 8).await;
                release.send(()).unwrap();
                refused
            };
            tokio::join!(queued, refused)
        };
        let ((), (queued, refused)) = {
            let (blocking, waiting) = tokio::join!(blocking, waiting);
            (blocking.unwrap(), waiting)
        };
        assert_eq!(queued, Ok(7));
        assert_eq!(refused, Err(Busy));
        assert_eq!(run(&hasher, |_| 9).await, Ok(9));
    }

    #[tokio::test]
    async fn a_wait_that_is_too_long_is_given_up_and_its_work_not_done() {
        let hasher = hasher(8, Duration::from_millis(20));
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        assert_eq!(run(&hasher, move |_| blocked.recv().is_ok()).await, Err(Busy));
        let (done, was_done) = std::sync::mpsc::channel();
        assert_eq!(run(&hasher, move |_| done.send(()).unwrap()).await, Err(Busy));
        release.send(()).unwrap();
        // The sender was dropped unused: the abandoned job never ran.
        assert!(was_done.recv().is_err());
    }
}
