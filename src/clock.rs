//! Time. Every rule takes `now`; this is the one place it comes from.
//!
//! The system clock follows the database's, by an offset measured at every poll, so nodes whose clocks drift apart still bind
//! agreeing times into their statements. Between two measurements it only counts on: a machine clock that is set meanwhile
//! moves nothing. Tests hold a manual clock and move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

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
    System(Running),
    Manual { unix_us: AtomicI64 },
}

/// Counts on from the last measurement.
#[derive(Debug)]
struct Running {
    since: Instant,
    /// The time when the count began, as last measured.
    began_us: AtomicI64,
    /// The same by the machine's own clock.
    machine_began_us: AtomicI64,
}

/// The machine's clock has been set, or the machine has slept, when it is this far from what was counted.
const JUMP: TimeDelta = TimeDelta::seconds(1);

impl Clock {
    /// The machine's clock, uncorrected until [`Clock::correct_by`] is called.
    pub fn system() -> Self {
        let began_us = machine_time().timestamp_micros();
        Self(Arc::new(Source::System(Running {
            since: Instant::now(),
            began_us: AtomicI64::new(began_us),
            machine_began_us: AtomicI64::new(began_us),
        })))
    }

    /// A clock that stands still until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Source::Manual { unix_us: AtomicI64::new(start.timestamp_micros()) }))
    }

    /// The present moment.
    pub fn now(&self) -> DateTime<Utc> {
        match &*self.0 {
            Source::System(running) => running.now(),
            Source::Manual { unix_us } => time(unix_us),
        }
    }

    /// The moment `after` from now, for the database to compare with its own clock. It does not follow a manual clock, so one of
    /// those never gets there.
    pub fn deadline(&self, after: Duration) -> DateTime<Utc> {
        match &*self.0 {
            Source::System(_) => self.now() + after,
            Source::Manual { .. } => NEVER,
        }
    }

    /// Takes the database's clock as the truth, or the machine's own where the database has none: `theirs` was read at about
    /// [`Clock::now`]. Returns how far the machine's own clock is off. A manual clock is nobody's to correct.
    pub fn correct_by(&self, theirs: Option<DateTime<Utc>>) -> TimeDelta {
        match &*self.0 {
            Source::System(running) => {
                let machine = machine_time();
                let truth = theirs.unwrap_or(machine);
                let counted = running.counted();
                running.began_us.store((truth - counted).timestamp_micros(), Ordering::Relaxed);
                running.machine_began_us.store((machine - counted).timestamp_micros(), Ordering::Relaxed);
                truth - machine
            }
            Source::Manual { .. } => TimeDelta::zero(),
        }
    }

    /// Whether the machine's clock has moved by more than what was counted since the last measurement: it was set, or the machine
    /// slept. Then the time must be measured before anything is done by it.
    pub fn has_jumped(&self) -> bool {
        match &*self.0 {
            Source::System(running) => {
                let expected = time(&running.machine_began_us) + running.counted();
                (machine_time() - expected).abs() > JUMP
            }
            Source::Manual { .. } => false,
        }
    }

    /// Moves a manual clock forward. Does nothing to the system clock.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual { unix_us } = &*self.0 {
            unix_us.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
        }
    }
}

impl Running {
    fn now(&self) -> DateTime<Utc> {
        (time(&self.began_us) + self.counted()).trunc_subsecs(6)
    }

    fn counted(&self) -> TimeDelta {
        TimeDelta::from_std(self.since.elapsed()).unwrap_or_default()
    }
}

fn time(unix_us: &AtomicI64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(unix_us.load(Ordering::Relaxed)).unwrap_or_default()
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
        let offset = clock.correct_by(Some(machine_time() + TimeDelta::seconds(30)));
        assert!((29_900..=30_000).contains(&offset.num_milliseconds()), "{offset}");
        let ahead = clock.now() - machine_time();
        assert!((29_900..=30_000).contains(&ahead.num_milliseconds()), "{ahead}");
    }

    #[test]
    fn a_machine_clock_that_is_set_moves_nothing_until_it_is_measured() {
        let clock = Clock::system();
        let before = clock.now();
        assert!(!clock.has_jumped());
        // As if the machine's clock had been an hour behind until now.
        let Source::System(running) = &*clock.0 else { panic!("a system clock") };
        let hour_us = TimeDelta::hours(1).num_microseconds().unwrap();
        for began_us in [&running.began_us, &running.machine_began_us] {
            began_us.fetch_sub(hour_us, Ordering::Relaxed);
        }
        assert!(clock.has_jumped());
        assert!((before - clock.now() - TimeDelta::hours(1)).abs() < TimeDelta::seconds(30));
        clock.correct_by(None);
        assert!(!clock.has_jumped());
        assert!((clock.now() - machine_time()).abs() < TimeDelta::seconds(30));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = DateTime::UNIX_EPOCH;
        let clock = Clock::manual(start);
        clock.correct_by(Some(start + TimeDelta::days(1)));
        assert_eq!(clock.now(), start);
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(clock.now(), start + TimeDelta::seconds(5));
    }
}
