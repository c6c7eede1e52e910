//! One circuit breaker: closed, open for a while, then one that tries.
//!
//! It is told what time it is, so a test needs no clock. A lock is held for a few instructions, never across an await.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// It also opens when more than three of five failed within this time, once there are this many outcomes.
const WINDOW: Duration = Duration::from_secs(30);
const LEAST: u32 = 20;
/// The longest it stays open, whatever it grew to or a provider asked for.
const LONGEST_GROWN: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(600);

/// When a breaker opens, and for how long at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) failures: u32,
    pub(super) open: Duration,
}

/// Whether one may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// As any other.
    Pass,
    /// As the only one, to see whether it answers again.
    Probe,
    /// Not before then.
    Wait(Instant),
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened(Duration),
    Closed,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    /// Until then, for the how manieth time in a row.
    Open(Instant, u32),
    /// One tries.
    Trying(u32),
}

/// One circuit breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Failures in a row.
    row: u32,
    since: Instant,
    answers: u32,
    failures: u32,
}

impl Breaker {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        Self { settings, state: Mutex::new(State { phase: Phase::Closed, row: 0, since: now, answers: 0, failures: 0 }) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it stands now.
    pub(super) fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    /// Asks to be let through.
    pub(super) fn enter(&self, now: Instant) -> Entry {
        self.with(|state| match state.phase {
            Phase::Closed => Entry::Pass,
            Phase::Open(until, _) if now < until => Entry::Wait(until),
            Phase::Open(_, times) => {
                state.phase = Phase::Trying(times);
                Entry::Probe
            }
            Phase::Trying(_) => Entry::Wait(now),
        })
    }

    /// It answered. `tried` says that the request was to find out; one that was under way before it opened says nothing new.
    pub(super) fn succeeded(&self, now: Instant, tried: bool) -> Change {
        self.with(|state| {
            state.count(now, false);
            match state.phase {
                Phase::Closed => {
                    state.row = 0;
                    Change::None
                }
                Phase::Open(..) | Phase::Trying(_) if tried => {
                    (state.row, state.answers, state.failures, state.phase) = (0, 0, 0, Phase::Closed);
                    Change::Closed
                }
                Phase::Open(..) | Phase::Trying(_) => Change::None,
            }
        })
    }

    /// It failed; `hold` is how long it asked to be left alone.
    pub(super) fn failed(&self, now: Instant, probe: bool, hold: Option<Duration>) -> Change {
        self.with(|state| {
            state.count(now, true);
            state.row = state.row.saturating_add(1);
            let often = state.answers >= LEAST && u64::from(state.failures) * 5 > u64::from(state.answers) * 3;
            match state.phase {
                Phase::Closed if hold.is_some() || often || state.row >= self.settings.failures => self.open(state, now, 1, hold),
                Phase::Trying(times) if probe => self.open(state, now, times.saturating_add(1), hold),
                Phase::Open(until, times) => {
                    // Those that were let through all the same, or were under way, say nothing new but this.
                    let asked = hold.map_or(until, |hold| now + hold.min(LONGEST));
                    state.phase = Phase::Open(until.max(asked), times);
                    Change::None
                }
                Phase::Closed | Phase::Trying(_) => Change::None,
            }
        })
    }

    /// Opens it at once.
    pub(super) fn trip(&self, now: Instant) -> Change {
        self.with(|state| match state.phase {
            Phase::Open(until, _) if now < until => Change::None,
            Phase::Closed => self.open(state, now, 1, None),
            Phase::Open(_, times) | Phase::Trying(times) => self.open(state, now, times.saturating_add(1), None),
        })
    }

    /// The one that tried came to no end; another may.
    pub(super) fn released(&self, now: Instant) {
        self.with(|state| {
            if let Phase::Trying(times) = state.phase {
                state.phase = Phase::Open(now, times);
            }
        });
    }

    fn open(&self, state: &mut State, now: Instant, times: u32, hold: Option<Duration>) -> Change {
        let grown = self.settings.open.saturating_mul(1 << (times - 1).min(16));
        let grown = grown.min(LONGEST_GROWN.max(self.settings.open));
        let length = hold.map_or(grown, |hold| if times == 1 && state.row < self.settings.failures { hold } else { hold.max(grown) });
        let length = length.min(LONGEST);
        state.phase = Phase::Open(now + length, times);
        Change::Opened(length)
    }
}

impl State {
    fn count(&mut self, now: Instant, failed: bool) {
        if now.duration_since(self.since) > WINDOW {
            (self.since, self.answers, self.failures) = (now, 0, 0);
        }
        self.answers = self.answers.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Instant) {
        let now = Instant::now();
        (Breaker::new(Settings { failures: 3, open: OPEN }, now), now)
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            assert_eq!(breaker.failed(now, false, None), Change::None);
            assert_eq!(breaker.failed(now, false, None), Change::None);
            assert_eq!(breaker.succeeded(now, false), Change::None);
        }
        breaker.failed(now, false, None);
        breaker.failed(now, false, None);
        assert_eq!(breaker.failed(now, false, None), Change::Opened(OPEN));
        assert_eq!(breaker.enter(now + SECOND), Entry::Wait(now + OPEN));
    }

    #[test]
    fn one_alone_tries_and_a_failure_doubles_the_time() {
        let (breaker, now) = breaker();
        breaker.trip(now);
        let later = now + OPEN;
        assert_eq!((breaker.enter(later), breaker.enter(later)), (Entry::Probe, Entry::Wait(later)));
        assert_eq!(breaker.failed(later, true, None), Change::Opened(OPEN * 2));
        let later = later + OPEN * 2;
        assert_eq!(breaker.enter(later), Entry::Probe);
        assert_eq!(breaker.succeeded(later, false), Change::None, "a straggler says nothing new");
        assert_eq!(breaker.succeeded(later, true), Change::Closed);
        assert_eq!(breaker.enter(later), Entry::Pass);
    }

    #[test]
    fn who_came_to_no_end_lets_another_try() {
        let (breaker, now) = breaker();
        breaker.trip(now);
        assert_eq!(breaker.enter(now + OPEN), Entry::Probe);
        breaker.released(now + OPEN);
        assert_eq!(breaker.enter(now + OPEN), Entry::Probe);
    }

    #[test]
    fn it_stays_open_as_long_as_was_asked_for_and_no_longer_than_is_sane() {
        let (breaker, now) = breaker();
        assert_eq!(breaker.failed(now, false, Some(SECOND * 30)), Change::Opened(SECOND * 30));
        breaker.failed(now, false, Some(SECOND * 40));
        assert_eq!(breaker.phase(), Phase::Open(now + SECOND * 40, 1));
        breaker.failed(now, false, Some(SECOND * 100_000));
        assert_eq!(breaker.phase(), Phase::Open(now + LONGEST, 1));
    }

    #[test]
    fn too_large_a_share_of_failures_opens_it() {
        let (breaker, now) = breaker();
        let mut opened = 0;
        for _ in 0..20 {
            opened += usize::from(breaker.failed(now, false, None) != Change::None);
            opened += usize::from(breaker.failed(now, false, None) != Change::None);
            breaker.succeeded(now, false);
        }
        assert!(opened > 0);
    }

    #[test]
    fn the_time_it_is_open_grows_to_an_end() {
        let (breaker, mut now) = breaker();
        breaker.trip(now);
        for _ in 0..40 {
            now += LONGEST;
            breaker.enter(now);
            breaker.failed(now, true, None);
        }
        assert!(matches!(breaker.phase(), Phase::Open(until, _) if until == now + LONGEST_GROWN));
    }
}
