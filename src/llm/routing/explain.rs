//! Why a model's name goes where it goes, told to people: the same questions as for a request, with nothing sent.

use serde::Serialize;

use super::balance::{self, Standing};
use super::health;
use super::route::{Facts, Found, Router, own};
use crate::config::{self, Model, Price, Strategy, When};
use crate::domain::Principal;
use crate::expr::{Scope, Verdict};
use crate::llm::target::Target;

/// How a name resolves for one caller and one kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The name.
    pub name: String,
    /// What it is: `named`, `provider/model`, `listed`, or `unknown`.
    pub is: &'static str,
    /// Whether a request with this name is answered.
    pub usable: bool,
    /// In a sentence.
    pub why: String,
    /// The model's own condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Asked>,
    /// How its targets are ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// Extra attempts at each target.
    pub retries: u32,
    /// Its targets, in the order they are tried; those that are left out come last.
    pub targets: Vec<Candidate>,
    /// Names that come near one that is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
}

/// A condition, and what it says.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// As it is written.
    pub expression: String,
    /// `yes`, `no`, or `failed`, which counts as no.
    pub verdict: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One target, and whether it is tried.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// `provider/model`.
    pub target: String,
    /// Whether it is tried.
    pub used: bool,
    /// In a sentence.
    pub why: String,
    /// Its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Asked>,
    /// Its weight, where targets are weighted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Dollars per million tokens, read and written; none when nobody knows.
    pub price: Option<Cost>,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// How long it is left out yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
    /// How long its answer may take to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A price, and whose word it is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Per million tokens read.
    pub input: f64,
    /// Per million tokens written.
    pub output: f64,
    /// `configuration`, or the built-in `table`.
    pub from: &'static str,
}

impl Asked {
    fn of(when: Option<&When>, scope: &Scope) -> Option<Self> {
        let when = when?;
        let (verdict, error) = match when.verdict(scope) {
            Verdict::Yes => ("yes", None),
            Verdict::No => ("no", None),
            Verdict::Failed(why) => ("failed", Some(why)),
        };
        Some(Self { expression: when.source().to_owned(), verdict, error })
    }

    fn is_no(asked: Option<&Self>) -> bool {
        asked.is_some_and(|asked| asked.verdict != "yes")
    }
}

impl Router {
    /// How a name resolves for a caller and a kind of request.
    pub async fn explain(&self, principal: &Principal, name: &str, facts: &Facts<'_>) -> Explanation {
        match self.find(principal, name).await {
            Some(Found::Named(model)) => self.explain_named(principal, name, model, facts),
            Some(Found::Written(target)) => {
                let why = format!("`{}` is a provider, and the rest is its own name of the model", target.provider());
                self.explain_one(name, "provider/model", why, &target)
            }
            Some(Found::Listed(target)) => {
                let why = format!("the provider `{}` is the first, by name, that lists this id", target.provider());
                self.explain_one(name, "listed", why, &target)
            }
            None => {
                let unknown = self.unknown(principal, name).await;
                let why = if !principal.grants().models {
                    "this caller may not call models; it lacks the grant `models`"
                } else if !principal.grants().model(name) {
                    "the globs of this caller's models do not match the name"
                } else if !self.sees_unnamed(principal) {
                    "it is not under `models:`, and this key sees only what stands there"
                } else {
                    "it is not under `models:`, does not begin with the name of a provider and a slash, and no provider lists it"
                };
                let suggestions = unknown.suggestions;
                let why = unknown.hint.unwrap_or_else(|| why.to_owned());
                Explanation {
                    name: unknown.model,
                    is: "unknown",
                    usable: false,
                    why,
                    when: None,
                    strategy: None,
                    retries: 0,
                    targets: Vec::new(),
                    suggestions,
                }
            }
        }
    }

    fn explain_one(&self, name: &str, is: &'static str, why: String, target: &Target) -> Explanation {
        let plain = config::Target::plain(target.provider(), target.model());
        let mut only = self.candidate(&plain, None, None);
        "it is the only one".clone_into(&mut only.why);
        let retries = self.retries();
        Explanation {
            name: name.to_owned(),
            is,
            usable: true,
            why,
            when: None,
            strategy: None,
            retries,
            targets: vec![only],
            suggestions: Vec::new(),
        }
    }

    fn explain_named(&self, principal: &Principal, name: &str, model: &Model, facts: &Facts<'_>) -> Explanation {
        let scope = facts.scope(principal, name);
        let when = Asked::of(model.when.as_ref(), &scope);
        let all: Vec<(&config::Target, Option<Asked>)> =
            model.targets.iter().map(|target| (target, Asked::of(target.when.as_ref(), &scope))).collect();
        let (fit, unfit): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, when)| !Asked::is_no(when.as_ref()));
        let standings: Vec<Standing> = fit.iter().map(|(target, _)| self.standing(target)).collect();
        let total: u64 = standings.iter().map(|standing| u64::from(standing.weight)).sum();
        // Without chance the heaviest one is first.
        let places = balance::order(model.strategy, &standings, |_| 0);
        let weighted = model.strategy == Strategy::Weighted;
        let weight = |target: &config::Target| weighted.then_some(target.weight);
        let ordered = places.into_iter().filter_map(|at| fit.get(at)).enumerate().map(|(place, (target, when))| {
            let mut candidate = self.candidate(target, when.clone(), weight(target));
            let order = match model.strategy {
                Strategy::Weighted if total > 0 && target.weight == 0 => "weight 0: only when the others do not answer".to_owned(),
                Strategy::Weighted if total > 0 => format!("first for {}% of requests", percent(target.weight, total)),
                Strategy::Cheapest if candidate.price.is_none() => "its price is not known, so it comes last; set `price`".to_owned(),
                Strategy::Cheapest if place == 0 => "the cheapest".to_owned(),
                Strategy::Cheapest => "costs more than those before it".to_owned(),
                Strategy::Fallback | Strategy::Weighted if place == 0 => "first as it is written".to_owned(),
                Strategy::Fallback | Strategy::Weighted => "when those before it do not answer".to_owned(),
            };
            candidate.why = if candidate.used { order } else { format!("{}; else: {order}", candidate.why) };
            candidate
        });
        let mut targets: Vec<Candidate> = ordered.collect();
        let open = !targets.is_empty() && targets.iter().all(|candidate| !candidate.used);
        if open {
            // As for a request: the one that opens soonest is asked all the same.
            if let Some(soonest) = targets.iter_mut().min_by_key(|candidate| candidate.opens_in_ms) {
                soonest.used = true;
                soonest.why = format!("all are left out, and this one for the shortest time: it is asked all the same; {}", soonest.why);
            }
        }
        let usable = !Asked::is_no(when.as_ref()) && !targets.is_empty();
        for (target, when) in unfit {
            let mut candidate = self.candidate(target, when, weight(target));
            (candidate.used, candidate.why) = (false, "its `when` says no".to_owned());
            targets.push(candidate);
        }
        if Asked::is_no(when.as_ref()) {
            for candidate in &mut targets {
                candidate.used = false;
            }
        }
        let why = match (&when, usable) {
            (_, true) => "it stands under `models:`",
            (when, false) if Asked::is_no(when.as_ref()) => "its `when` says no: for this caller and request there is no such model",
            (_, false) => "each of its targets has a `when` that says no: for this caller and request there is no such model",
        };
        let strategy = model.strategy.name();
        let retries = model.retries.unwrap_or_else(|| self.retries());
        let (name, why) = (name.to_owned(), why.to_owned());
        Explanation { name, is: "named", usable, why, when, strategy: Some(strategy), retries, targets, suggestions: Vec::new() }
    }

    fn candidate(&self, target: &config::Target, when: Option<Asked>, weight: Option<u32>) -> Candidate {
        let from = if target.price.is_some() { "configuration" } else { "table" };
        let price = self.price(target).map(|Price { input, output }| Cost { input, output, from });
        let own = own(target);
        let (breaker, left) = match self.health().standing(&own) {
            health::Standing::Closed => ("closed", None),
            health::Standing::HalfOpen => ("half-open", None),
            health::Standing::Open(left) => ("open", Some(left)),
        };
        let millis = |length: std::time::Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let why = left.map(|left| format!("it failed and is left out for {} ms", millis(left))).unwrap_or_default();
        Candidate {
            target: own.to_string(),
            used: left.is_none(),
            why,
            when,
            weight,
            price,
            breaker,
            opens_in_ms: left.map(millis),
            timeout_ms: own.timeout.map(millis),
        }
    }
}

/// A part of a whole in whole percents.
fn percent(part: u32, total: u64) -> u64 {
    (u64::from(part) * 100 + total / 2).checked_div(total).unwrap_or_default()
}
