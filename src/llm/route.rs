//! Which target answers a model's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::providers::Providers;
use super::target::Target;
use crate::config::{BUILT_IN, Model};
use crate::domain::{Globs, Principal, clip, nearest};

/// Where a request goes and what is joined in.
#[derive(Clone, Debug)]
pub struct Route {
    /// Tried in order.
    pub targets: Vec<Target>,
    /// Context sources the operator bound.
    pub context: Vec<String>,
    /// Tools the operator bound; nothing when there are none.
    pub tools: Option<Globs>,
}

/// No such model, or none this caller may use.
#[derive(Clone, Debug)]
pub struct Unknown {
    /// What was asked for.
    pub model: String,
    /// Names that come near.
    pub suggestions: Vec<String>,
}

/// Turns model names into routes. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    models: Arc<BTreeMap<String, Model>>,
    providers: Providers,
}

impl Router {
    /// Routes over the named models of the configuration and all providers.
    pub fn new(models: BTreeMap<String, Model>, providers: Providers) -> Self {
        Self { models: Arc::new(models), providers }
    }

    /// The providers behind the routes.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The named models.
    pub fn named(&self) -> &BTreeMap<String, Model> {
        &self.models
    }

    /// Resolves a name: a named model; `provider/model`; a bare id that a provider lists.
    pub async fn resolve(&self, principal: &Principal, model: &str) -> Result<Route, Unknown> {
        if principal.grants().model(model) {
            if let Some(named) = self.models.get(model) {
                let target =
                    |target: &crate::config::Target| Target { provider: target.provider.to_string(), model: target.model.to_string() };
                return Ok(Route {
                    targets: named.targets.iter().map(target).collect(),
                    context: named.context.iter().map(ToString::to_string).collect(),
                    tools: (!named.tools.is_all()).then(|| named.tools.clone()),
                });
            }
            if self.sees_unnamed(principal) {
                if let Some((provider, rest)) = model.split_once('/').filter(|(provider, _)| self.providers.has(provider)) {
                    return Ok(Route::to(provider, rest));
                }
                for provider in self.providers.names() {
                    if self.providers.models(provider).await.iter().any(|id| id == model) {
                        return Ok(Route::to(provider, model));
                    }
                }
            }
        }
        Err(Unknown { model: clip(model, 120), suggestions: self.near(principal, model).await })
    }

    /// Once models are named, keys see only those; processes on this machine and the owner see all.
    fn sees_unnamed(&self, principal: &Principal) -> bool {
        let keyed = principal.id().starts_with("key:");
        self.models.is_empty() || !keyed || !principal.grants().model_names.is_all()
    }

    /// All models a caller may use: named ones first, then each provider's.
    pub async fn list(&self, principal: &Principal) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = self.models.keys().map(|name| (name.clone(), "portolan".to_owned())).collect();
        if self.sees_unnamed(principal) {
            let names: Vec<&str> = self.providers.names().collect();
            let lists = futures::future::join_all(names.iter().map(|name| self.providers.models(name))).await;
            for (provider, list) in names.iter().zip(lists) {
                all.extend(list.iter().map(|id| (format!("{provider}/{id}"), (*provider).to_owned())));
            }
        }
        all.retain(|(name, _)| principal.grants().model(name));
        all
    }

    async fn near(&self, principal: &Principal, model: &str) -> Vec<String> {
        let all = self.list(principal).await;
        let mut names = nearest(model, all.iter().map(|(name, _)| name.as_str()));
        if names.is_empty() && self.sees_unnamed(principal) {
            names.push(format!("{BUILT_IN}/echo"));
        }
        names
    }
}

impl Route {
    fn to(provider: &str, model: &str) -> Self {
        let targets = vec![Target { provider: provider.to_owned(), model: model.to_owned() }];
        Self { targets, context: Vec::new(), tools: None }
    }
}
