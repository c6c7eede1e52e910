//! Which target answers a model's name.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use super::balance::{self, Standing};
use super::health::Health;
use super::prices;
use super::retry::Budgets;
use crate::config::{self, BUILT_IN, ECHO, Model, Price, When};
use crate::domain::{Principal, Selection, Usage, clip, nearest};
use crate::expr::{Asking, Scope};
use crate::llm::providers::Providers;
use crate::llm::request::Request;
use crate::llm::target::Target;

/// Where a request goes and what is joined in.
#[derive(Clone, Debug)]
pub struct Route {
    /// Tried in order.
    pub targets: Vec<Target>,
    /// Extra attempts at each of them.
    pub retries: u32,
    /// Context sources the operator bound.
    pub context: Vec<String>,
    /// Tools the operator bound; nothing when there are none.
    pub tools: Option<Selection>,
    /// Whether tools are offered as strict functions.
    pub strict_tools: bool,
}

/// No such model, or none this caller may use.
#[derive(Clone, Debug)]
pub struct Unknown {
    /// What was asked for.
    pub model: String,
    /// Names that come near, each of which this caller may use.
    pub suggestions: Vec<String>,
    /// What would have to be there, for callers who may use what is not declared.
    pub hint: Option<String>,
}

/// What is known of a request when its model's name is resolved.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// `chat`, `messages`, `responses` or `embeddings`.
    pub endpoint: &'static str,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
    /// The caller's own words.
    pub tags: &'a BTreeMap<String, String>,
    /// The request itself, where there is one: what begins alike is answered by the same target.
    pub request: Option<&'a Request>,
}

/// Turns model names into routes. Cheap to clone.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    models: BTreeMap<String, Model>,
    /// The targets of each named model in the order of the file: as they are called, and what their order is made of.
    targets: BTreeMap<String, Vec<(Target, Standing)>>,
    providers: Providers,
    sellers: Sellers,
    retries: u32,
    health: Health,
    budgets: Budgets,
}

impl Route {
    /// Lets a target that answered be tried first from now on: what it said, and what it cached, is its own.
    pub fn prefer(&mut self, target: &Target) {
        if let Some(at) = self.targets.iter().position(|one| one == target) {
            self.targets.get_mut(..=at).unwrap_or_default().rotate_right(1);
        }
    }
}

/// What a name stands for.
pub(super) enum Found<'r> {
    /// A model of the configuration.
    Named(&'r Model),
    /// A provider's model, called by both names.
    Written(Target),
    /// A provider's model, called by its own name alone.
    Listed(Target),
}

impl Router {
    /// Routes over the named models of the configuration and all providers. What is known of who fails begins anew.
    pub fn new<'a>(
        models: BTreeMap<String, Model>,
        declared: impl Iterator<Item = (&'a String, &'a config::Provider)>,
        providers: Providers,
        limits: &config::Limits,
    ) -> Self {
        let mut sellers: Sellers = declared.filter_map(|(name, provider)| Some((name.clone(), prices::seller(provider)?))).collect();
        sellers.insert(BUILT_IN.to_owned(), BUILT_IN);
        let made = |target: &config::Target| (own(target), standing(&sellers, target));
        let targets: BTreeMap<String, Vec<(Target, Standing)>> =
            models.iter().map(|(name, model)| (name.clone(), model.targets.iter().map(made).collect())).collect();
        let known = providers.names().map(str::to_owned).chain(targets.values().flatten().map(|(target, _)| target.to_string()));
        let health = Health::new(limits.breaker_failures.get(), limits.breaker_open.0, known);
        Self(Arc::new(Inner { models, targets, providers, sellers, retries: limits.retries, health, budgets: Budgets::default() }))
    }

    /// The providers behind the routes.
    pub fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// The named models.
    pub fn named(&self) -> &BTreeMap<String, Model> {
        &self.0.models
    }

    /// Who answers, and who does not.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// How many retries each provider is still given.
    pub fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    /// Extra attempts at each target, where a model says nothing of them.
    pub(super) fn retries(&self) -> u32 {
        self.0.retries
    }

    /// Resolves a name for a caller and a request: a named model; `provider/model`; a bare id that a provider lists.
    pub async fn resolve(&self, principal: &Principal, model: &str, facts: &Facts<'_>) -> Result<Route, Unknown> {
        let route = match self.find(principal, model).await {
            Some(Found::Named(named)) => self.route(principal, model, named, facts),
            Some(Found::Written(target) | Found::Listed(target)) => {
                Some(Route { targets: vec![target], retries: self.0.retries, context: Vec::new(), tools: None, strict_tools: false })
            }
            None => None,
        };
        match route {
            Some(route) => Ok(route),
            None => Err(Box::pin(self.unknown(principal, model)).await),
        }
    }

    /// Whose a model is, for a caller who may use it.
    pub async fn owner(&self, principal: &Principal, model: &str) -> Result<String, Unknown> {
        match self.find(principal, model).await {
            Some(Found::Named(named)) if shows(principal, model, named) => {
                Ok(named.targets.first().map_or_else(|| BUILT_IN.to_owned(), |target| target.provider.to_string()))
            }
            Some(Found::Written(target) | Found::Listed(target)) => Ok(target.provider().to_owned()),
            Some(Found::Named(_)) | None => Err(self.unknown(principal, model).await),
        }
    }

    /// What a name stands for, if this caller may use it.
    pub(super) async fn find(&self, principal: &Principal, model: &str) -> Option<Found<'_>> {
        if !principal.grants().model(model) {
            return None;
        }
        if let Some(named) = self.0.models.get(model) {
            return Some(Found::Named(named));
        }
        if !self.sees_unnamed(principal) {
            return None;
        }
        if let Some((provider, rest)) = model.split_once('/').filter(|(provider, _)| self.0.providers.has(provider)) {
            return Some(Found::Written(Target::new(provider, rest)));
        }
        // In a box: named models, which most are, need no room for what is asked of providers.
        Box::pin(self.listed(model)).await.map(Found::Listed)
    }

    /// The first provider, by name, that lists a model.
    async fn listed(&self, model: &str) -> Option<Target> {
        for provider in self.0.providers.names() {
            if self.0.providers.models(provider).await.iter().any(|id| id == model) {
                return Some(Target::new(provider, model));
            }
        }
        None
    }

    /// The route of a named model; none when it, or each of its targets, is not for this caller and request.
    fn route(&self, principal: &Principal, name: &str, model: &Model, facts: &Facts<'_>) -> Option<Route> {
        let asks = model.when.is_some() || model.targets.iter().any(|target| target.when.is_some());
        let scope = asks.then(|| facts.scope(principal, name));
        let holds = |when: &Option<When>, place: &dyn Fn() -> String| match (when, &scope) {
            (Some(when), Some(scope)) => when.holds(scope, place),
            _ => true,
        };
        if !holds(&model.when, &|| format!("models.{name}.when")) {
            return None;
        }
        let all = model.targets.iter().zip(self.0.targets.get(name)?).enumerate();
        let fit = all.filter(|(at, (target, _))| holds(&target.when, &|| format!("models.{name}.targets[{at}].when")));
        let (fit, standings): (Vec<&Target>, Vec<Standing>) = fit.map(|(_, (_, (target, standing)))| (target, *standing)).unzip();
        // A conversation stays where it began, for its beginning lies in that provider's prompt cache.
        let chance = |below: u64| match facts.request.and_then(Request::first_human_text) {
            Some(text) => hash(&(principal.id(), name, text)) % below.max(1),
            None => rand::random_range(0..below),
        };
        let places = balance::order(model.strategy, &standings, chance);
        let targets: Vec<Target> = places.into_iter().filter_map(|at| fit.get(at).copied().cloned()).collect();
        (!targets.is_empty()).then(|| Route {
            targets,
            retries: model.retries.unwrap_or(self.0.retries),
            context: model.context.iter().map(ToString::to_string).collect(),
            tools: (!model.tools.is_all()).then(|| model.tools.clone()),
            strict_tools: model.strict_tools,
        })
    }

    /// What a target costs, as far as anyone knows.
    pub(super) fn price(&self, target: &config::Target) -> Option<Price> {
        price(&self.0.sellers, target)
    }

    /// What an answer of a target cost, in billionths of a US dollar; none where no price is known.
    pub fn cost(&self, target: &str, usage: &Usage) -> Option<i64> {
        let own = || self.0.models.values().flat_map(|model| &model.targets).find(|own| is(own, target) && own.price.is_some())?.price;
        let (provider, model) = target.split_once('/')?;
        prices::cost(self.0.sellers.get(provider).copied(), model, own(), usage)
    }

    /// What the order of a target is made of.
    pub(super) fn standing(&self, target: &config::Target) -> Standing {
        standing(&self.0.sellers, target)
    }

    /// Once models are named, keys and tokens see only those; processes on this machine and the owner see all.
    pub(super) fn sees_unnamed(&self, principal: &Principal) -> bool {
        let keyed = !principal.is_owner() && principal.id() != Principal::local().id();
        self.0.models.is_empty() || !keyed || !principal.grants().model_names.is_all()
    }

    /// All models a caller may use: named ones first, then each provider's.
    pub async fn list(&self, principal: &Principal) -> Vec<(String, String)> {
        let mut named: Vec<(&String, &Model)> = self.0.models.iter().filter(|(name, model)| shows(principal, name, model)).collect();
        named.sort_by_key(|(_, model)| model.place);
        let mut all: Vec<(String, String)> = named.into_iter().map(|(name, _)| (name.clone(), "portolan".to_owned())).collect();
        if self.sees_unnamed(principal) {
            let names: Vec<&str> = self.0.providers.names().collect();
            let lists = futures::future::join_all(names.iter().map(|name| self.0.providers.models(name))).await;
            for (provider, list) in names.iter().zip(lists) {
                all.extend(list.iter().map(|id| (format!("{provider}/{id}"), (*provider).to_owned())));
            }
        }
        all.retain(|(name, _)| principal.grants().model(name));
        all
    }

    /// No such model, with names that come near.
    pub(super) async fn unknown(&self, principal: &Principal, model: &str) -> Unknown {
        let all = self.list(principal).await;
        // A name that is there and not for this request would be no help.
        let others = all.iter().map(|(name, _)| name.as_str()).filter(|name| *name != model);
        let mut suggestions = nearest(model, others);
        let missing = || model.split_once('/').filter(|(provider, _)| !self.0.providers.has(provider));
        let known = || missing().and_then(|(provider, _)| Some((provider, config::Provider::found_by(provider)?)));
        let hint = known().filter(|_| self.sees_unnamed(principal) && principal.grants().model(model)).map(|(provider, by)| {
            format!("there is no provider `{provider}`; {by} and restart, or, where the configuration has `providers:`, declare it there")
        });
        if suggestions.is_empty() && hint.is_none() && all.iter().any(|(name, _)| *name == ECHO) && model != ECHO {
            suggestions.push(ECHO.to_owned());
        }
        Unknown { model: clip(model, 120), suggestions, hint }
    }
}

/// Whether a caller is shown a named model: only one that is not for this caller, whatever the request, is hidden.
fn shows(principal: &Principal, name: &str, model: &Model) -> bool {
    let Some(when) = model.when.as_ref().filter(|when| !when.asks_of_request()) else { return true };
    let facts = Facts { endpoint: "", stream: false, tags: &BTreeMap::new(), request: None };
    when.holds(&facts.scope(principal, name), || format!("models.{name}.when"))
}

/// Whether a target of the configuration is called `provider/model`.
fn is(target: &config::Target, name: &str) -> bool {
    name.strip_prefix(&*target.provider).and_then(|rest| rest.strip_prefix('/')) == Some(&*target.model)
}

/// A target of the configuration, as it is called.
pub(super) fn own(target: &config::Target) -> Target {
    let mut own = Target::new(&target.provider, &target.model);
    own.timeout = target.timeout.map(|timeout| timeout.0);
    own
}

/// Who sells what a provider offers, by the provider's name.
type Sellers = BTreeMap<String, &'static str>;

fn price(sellers: &Sellers, target: &config::Target) -> Option<Price> {
    let known = || prices::of(sellers.get(&*target.provider)?, &target.model);
    target.price.or_else(known)
}

fn standing(sellers: &Sellers, target: &config::Target) -> Standing {
    Standing { weight: target.weight, cost: price(sellers, target).map(|price| price.input + price.output) }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Facts<'_> {
    /// What an expression is asked about.
    pub(super) fn scope(&self, principal: &Principal, model: &str) -> Scope {
        Scope::new(principal, &Asking { model, endpoint: self.endpoint, stream: self.stream, tags: self.tags })
    }
}
