//! Time. Every rule takes `now`; this is the one place it comes from.
//!
//! The system clock is corrected by its measured offset to the database's clock, so nodes whose clocks drift apart
//! still bind agreeing times into their statements. Tests hold a manual clock and move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A shared clock with microsecond resolution, the finest both databases keep.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

/// The year 2099.
const NEVER: DateTime<Utc> = match DateTime::from_timestamp(4_102_444_799, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

#[derive(Debug)]
enum Source {
    System { offset_us: AtomicI64 },
    Manual { unix_us: AtomicI64 },
}

impl Clock {
    /// The machine's clock, uncorrected until [`Clock::correct_by`] is called.
    pub fn system() -> Self {
        Self(Arc::new(Source::System { offset_us: AtomicI64::new(0) }))
    }

    /// A clock that stands still until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Source::Manual { unix_us: AtomicI64::new(start.timestamp_micros()) }))
    }

    /// The present moment.
    pub fn now(&self) -> DateTime<Utc> {
        match &*self.0 {
            Source::System { offset_us } => {
                machine_time() + TimeDelta::microseconds(offset_us.load(Ordering::Relaxed))
            }
            Source::Manual { unix_us } => {
                DateTime::from_timestamp_micros(unix_us.load(Ordering::Relaxed)).unwrap_or_default()
            }
        }
    }

    /// The moment `after` from now, for the database to compare with its own clock. It does not follow a manual clock, so one of
    /// those never gets there.
    pub fn deadline(&self, after: Duration) -> DateTime<Utc> {
        match &*self.0 {
            Source::System { .. } => self.now() + after,
            Source::Manual { .. } => NEVER,
        }
    }

    /// Takes the database's clock as the truth: `theirs` was read at about [`Clock::now`]. Returns how far the
    /// machine's own clock is off. A manual clock is nobody's to correct.
    pub fn correct_by(&self, theirs: DateTime<Utc>) -> TimeDelta {
        match &*self.0 {
            Source::System { offset_us } => {
                let offset = theirs - machine_time();
                offset_us.store(offset.num_microseconds().unwrap_or(0), Ordering::Relaxed);
                offset
            }
            Source::Manual { .. } => TimeDelta::zero(),
        }
    }

    /// Moves a manual clock forward. Does nothing to the system clock.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual { unix_us } = &*self.0 {
            unix_us.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one home of the machine's clock")]
fn machine_time() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrected_clock_tells_the_databases_time() {
        let clock = Clock::system();
        let offset = clock.correct_by(machine_time() + TimeDelta::seconds(30));
        assert!((29_900..=30_000).contains(&offset.num_milliseconds()), "{offset}");
        let ahead = clock.now() - machine_time();
        assert!((29_900..=30_000).contains(&ahead.num_milliseconds()), "{ahead}");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = DateTime::UNIX_EPOCH;
        let clock = Clock::manual(start);
        clock.correct_by(start + TimeDelta::days(1));
        assert_eq!(clock.now(), start);
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(clock.now(), start + TimeDelta::seconds(5));
    }
}
