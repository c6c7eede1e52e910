//! All providers of a configuration, by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::chat::Manner;
use super::dialect::Dialect;
use super::error::Error;
use super::lists::Lists;
use super::provider::{Endpoint, Provider, Reply};
use super::request::Request;
use super::send::Remote;
use super::target::Target;
use super::translate::translate;
use super::{anthropic, echo, openai, seals};
use crate::config::{self, BUILT_IN};
use crate::domain::Flavour;
use crate::net::Net;
use crate::trace::Span;

/// All providers of a configuration. Cheap to clone.
#[derive(Clone)]
pub struct Providers(Arc<Inner>);

struct Inner {
    all: BTreeMap<String, Box<dyn Provider>>,
    /// Which schemas of tools each takes; the built-in one takes any.
    flavours: BTreeMap<String, Flavour>,
    lists: Lists,
}

impl Providers {
    /// The built-in provider and those of the configuration.
    pub fn new<'a>(net: &Net, declared: impl Iterator<Item = (&'a String, &'a config::Provider)> + Clone, idle: Duration) -> Self {
        let lists = Lists::new(net, declared.clone());
        let mut all: BTreeMap<String, Box<dyn Provider>> = BTreeMap::new();
        all.insert(BUILT_IN.to_owned(), Box::new(echo::Echo));
        let flavours = declared.clone().map(|(name, provider)| (name.clone(), provider.flavour())).collect();
        for (name, provider) in declared {
            let remote = Remote::new(net, name, provider, idle);
            let provider: Box<dyn Provider> = match provider.kind {
                config::Kind::Openai => Box::new(openai::OpenAi { remote, itself: true }),
                config::Kind::OpenaiCompatible => Box::new(openai::OpenAi { remote, itself: false }),
                config::Kind::Anthropic => Box::new(anthropic::Anthropic(remote)),
            };
            all.insert(name.clone(), provider);
        }
        Self(Arc::new(Inner { all, flavours, lists }))
    }

    /// The names of all providers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.all.keys().map(String::as_str)
    }

    /// Whether there is a provider of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.all.contains_key(name)
    }

    /// Sends a request to a target, in its dialect, and returns what it answers, or begins to answer. The span is of this attempt.
    pub async fn send(&self, target: &Target, endpoint: Endpoint, request: &Request, span: &mut Span) -> Result<Reply, Error> {
        let provider = self.0.all.get(target.provider()).ok_or_else(|| Error::Missing(target.provider().to_owned()))?;
        let dialect = provider.speaks(request.dialect(), request.relayed());
        if endpoint == Endpoint::Embeddings || dialect == request.dialect() {
            // Others may know them, as a gateway in front of who sealed them does.
            let bare = if provider.is_openai() { seals::without(request).map_err(Error::Unfit)? } else { None };
            let body = provider.send(target.model(), endpoint, bare.as_ref().unwrap_or(request), span).await?;
            return Ok(Reply { dialect: request.dialect(), lost: Vec::new(), body });
        }
        if endpoint == Endpoint::CountTokens {
            return Err(Error::NotOffered(target.provider().to_owned()));
        }
        let manner = Manner { openai: provider.is_openai() };
        let (translated, lost) = translate(request, dialect, target.model(), manner).map_err(Error::Unfit)?;
        let body = provider.send(target.model(), endpoint, &translated, span).await?;
        Ok(Reply { dialect, lost, body })
    }

    /// Whether a target takes and gives a dialect as it is.
    pub fn passes(&self, target: &Target, dialect: Dialect) -> bool {
        self.0.all.get(target.provider()).is_some_and(|provider| provider.speaks(dialect, true) == dialect)
    }

    /// Which schemas of tools a target takes.
    pub fn flavour(&self, target: &Target) -> Flavour {
        self.0.flavours.get(target.provider()).copied().unwrap_or(Flavour::Any)
    }

    /// The models a provider lists, without its own prefix; kept for five minutes, empty when it does not answer.
    pub async fn models(&self, name: &str) -> Arc<Vec<String>> {
        match self.0.all.get(name) {
            Some(provider) => self.0.lists.get(name, provider.as_ref()).await.unwrap_or_default(),
            None => Arc::default(),
        }
    }

    /// The same for operators, who are told why there are none.
    pub async fn listed(&self, name: &str) -> Result<Arc<Vec<String>>, String> {
        let Some(provider) = self.0.all.get(name) else { return Err("there is no such provider".to_owned()) };
        match self.0.lists.get(name, provider.as_ref()).await {
            Ok(models) if models.is_empty() => Err("answers, but lists no models".to_owned()),
            Ok(models) => Ok(models),
            Err(error) => Err(self.0.lists.why(name, &error).await),
        }
    }
}
