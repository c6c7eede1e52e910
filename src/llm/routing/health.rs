//! Who answers and who does not: a breaker for each target, and one for each provider's credential.
//!
//! A target that fails is left out for a while, so that nobody waits for it and it is not asked to death. What
//! is wrong with a request is never held against a target, or callers could close it for each other.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::breaker::{Breaker, Change, Entry, Phase, Settings};
use crate::llm::error::{Blame, Error};
use crate::llm::target::Target;

/// Most breakers that are kept. A provider that takes any name of a model takes those that callers make up.
const MOST: u64 = 2_048;

/// All breakers. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Of the providers and targets of the configuration, by provider, and by `provider/model`.
    known: HashMap<String, Arc<Breaker>>,
    /// Of those that callers name.
    others: Cache<String, Arc<Breaker>>,
}

/// How a target stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Closed,
    /// It is left out for so long.
    Open(Duration),
    /// One request tries whether it answers again, or the next one will.
    HalfOpen,
}

impl Health {
    /// Breakers that open after so many failures in a row, at first for so long; `known` are the names of the configuration.
    pub fn new(failures: u32, open: Duration, known: impl Iterator<Item = String>) -> Self {
        let settings = Settings { failures, open };
        let known = known.map(|name| (name, Arc::new(Breaker::new(settings, Instant::now())))).collect();
        let others = Cache::builder().max_capacity(MOST).time_to_idle(Duration::from_secs(3_600)).build();
        Self(Arc::new(Inner { settings, known, others }))
    }

    fn breaker(&self, name: &str) -> Arc<Breaker> {
        let make = || Arc::new(Breaker::new(self.0.settings, Instant::now()));
        self.found(name).unwrap_or_else(|| self.0.others.get_with(name.to_owned(), make))
    }

    fn found(&self, name: &str) -> Option<Arc<Breaker>> {
        self.0.known.get(name).cloned().or_else(|| self.0.others.get(name))
    }

    /// Asks to be let through to a target; the error is when it opens.
    pub fn enter(&self, target: &Target) -> Result<Permit, Instant> {
        let now = Instant::now();
        let mut permit = self.permit(target);
        for slot in [&mut permit.provider, &mut permit.target] {
            match slot.breaker.enter(now) {
                Entry::Pass => {}
                Entry::Probe => slot.probe = true,
                Entry::Wait(until) => return Err(until),
            }
        }
        Ok(permit)
    }

    /// Lets through all the same, for when there is nobody else to ask.
    pub fn force(&self, target: &Target) -> Permit {
        let mut permit = self.permit(target);
        (permit.target.forced, permit.provider.forced) = (true, true);
        permit
    }

    fn permit(&self, target: &Target) -> Permit {
        let slot = |name: &str| Slot { breaker: self.breaker(name), probe: false, forced: false };
        Permit { name: target.clone(), provider: slot(target.provider()), target: slot(target.name()) }
    }

    /// The targets, and providers, that are left out now, and for how long.
    pub fn left_out(&self) -> Vec<(String, Duration)> {
        let now = Instant::now();
        let open = |(name, breaker): (String, Arc<Breaker>)| match breaker.phase() {
            Phase::Open(until, _) if now < until => Some((name, until - now)),
            _ => None,
        };
        let known = self.0.known.iter().map(|(name, breaker)| (name.clone(), breaker.clone()));
        let others = self.0.others.iter().map(|(name, breaker)| (name.to_string(), breaker));
        let mut all: Vec<_> = known.chain(others).filter_map(open).collect();
        all.sort();
        all
    }

    /// How a target stands now.
    pub fn standing(&self, target: &Target) -> Standing {
        let now = Instant::now();
        let phases = [target.provider(), target.name()].map(|name| self.found(name).map(|breaker| breaker.phase()));
        let standings = phases.into_iter().flatten().map(|phase| match phase {
            Phase::Closed => Standing::Closed,
            Phase::Open(until, _) if now < until => Standing::Open(until - now),
            Phase::Open(..) | Phase::Trying(_) => Standing::HalfOpen,
        });
        standings.fold(Standing::Closed, |worst, next| match (worst, next) {
            (Standing::Open(one), Standing::Open(other)) => Standing::Open(one.max(other)),
            (Standing::Open(length), _) | (_, Standing::Open(length)) => Standing::Open(length),
            (Standing::Closed, next) => next,
            (worst, _) => worst,
        })
    }
}

struct Slot {
    breaker: Arc<Breaker>,
    /// Whether this is the one request that tries; it must tell how that went.
    probe: bool,
    /// Whether it was let through although the breaker was open.
    forced: bool,
}

/// The leave to ask a target once.
pub struct Permit {
    name: Target,
    provider: Slot,
    target: Slot,
}

impl Permit {
    /// Tells that it answered.
    pub fn answered(mut self) {
        let now = Instant::now();
        let tried = |slot: &Slot| slot.probe || slot.forced;
        let changes = [&self.target, &self.provider].map(|slot| slot.breaker.succeeded(now, tried(slot)));
        (self.target.probe, self.provider.probe) = (false, false);
        tell(&self.name, self.name.provider(), changes[0], &"");
        tell(&self.name.provider(), self.name.provider(), changes[1], &"");
    }

    /// Tells how it failed.
    pub fn failed(mut self, error: &Error) {
        let now = Instant::now();
        match error.blame() {
            Blame::Credential => {
                let change = self.provider.breaker.trip(now);
                self.provider.probe = false;
                tell(&self.name.provider(), self.name.provider(), change, &"it refuses the gateway's credential");
            }
            Blame::Target(hold) => {
                let change = self.target.breaker.failed(now, self.target.probe, hold);
                self.target.probe = false;
                tell(&self.name, self.name.provider(), change, error);
            }
            // It answered, if not as one would like: that closes a breaker which only tries.
            Blame::Request if self.target.probe || self.provider.probe => self.answered(),
            Blame::Request | Blame::Nobody => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = Instant::now();
        for slot in [&self.provider, &self.target].into_iter().filter(|slot| slot.probe) {
            slot.breaker.released(now);
        }
    }
}

/// Tells log and metrics of a breaker that opened or closed.
fn tell(name: &dyn Display, provider: &str, change: Change, why: &dyn Display) {
    match change {
        Change::None => {}
        Change::Opened(length) => {
            metrics::counter!("portolan_breaker_openings_total", "gen_ai_provider_name" => provider.to_owned()).increment(1);
            tracing::warn!(gen_ai.provider.name = %provider, "`{name}` is left out for {length:?}: {why}");
        }
        Change::Closed => tracing::warn!(gen_ai.provider.name = %provider, "`{name}` answers again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn targets() -> (Target, Target) {
        (Target::new("a", "one"), Target::new("a", "two"))
    }

    #[test]
    fn a_refused_credential_closes_all_models_of_its_provider_and_an_answer_opens_them() {
        let (one, two) = targets();
        let health = Health::new(2, LONG, std::iter::empty());
        health.permit(&one).failed(&Error::Credential(401));
        assert!(health.enter(&two).is_err() && health.enter(&Target::new("b", "one")).is_ok());
        let health = Health::new(2, Duration::ZERO, std::iter::empty());
        health.permit(&one).failed(&Error::Credential(401));
        assert_eq!(health.standing(&two), Standing::HalfOpen);
        health.enter(&two).unwrap_or_else(|_| panic!("one tries")).answered();
        assert_eq!(health.standing(&one), Standing::Closed);
    }

    #[test]
    fn a_failing_model_does_not_close_its_neighbour() {
        let (one, two) = targets();
        let health = Health::new(2, LONG, std::iter::empty());
        for _ in 0..2 {
            health.permit(&one).failed(&Error::Failed(500, None));
        }
        assert!(health.enter(&one).is_err() && health.enter(&two).is_ok());
        assert!(matches!(health.standing(&one), Standing::Open(_)));
    }

    #[test]
    fn a_caller_who_leaves_while_trying_takes_nobodys_turn() {
        let (one, _) = targets();
        let health = Health::new(1, Duration::ZERO, std::iter::empty());
        health.permit(&one).failed(&Error::Failed(500, None));
        let trying = health.enter(&one);
        assert!(trying.is_ok() && health.enter(&one).is_err());
        drop(trying);
        assert!(health.enter(&one).is_ok());
    }

    #[test]
    fn a_request_that_is_wrong_is_not_held_against_a_target_and_shows_that_it_is_there() {
        let (one, _) = targets();
        let refused = Error::Refused(400, crate::llm::error::Refusal::default());
        let health = Health::new(1, Duration::ZERO, std::iter::empty());
        health.permit(&one).failed(&refused);
        assert_eq!(health.standing(&one), Standing::Closed);
        health.permit(&one).failed(&Error::Unreachable);
        assert_eq!(health.standing(&one), Standing::HalfOpen);
        health.enter(&one).unwrap_or_else(|_| panic!("one tries")).failed(&refused);
        assert_eq!(health.standing(&one), Standing::Closed);
    }
}
