//! The blocks at one moment.

use super::act::Act;
use super::target::{Kind, Target};
use crate::domain::Principal;

/// A block: what of, by whom, since when, and why.
#[derive(Clone, Debug)]
pub struct Block {
    /// What is blocked.
    pub target: Target,
    /// Who blocked it.
    pub by: String,
    /// Since when, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why, in their words.
    pub reason: String,
}

/// Something is blocked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", say(.0))]
pub struct Blocked(pub(super) Target);

fn say(target: &Target) -> String {
    match target.kind {
        Kind::All => "the operator has blocked this gateway for now".to_owned(),
        Kind::Server => format!("the operator has blocked the server `{}`", target.name),
        Kind::Tool => format!("the operator has blocked the tool `{}`", target.name),
        Kind::Provider => format!("the operator has blocked the provider `{}`", target.name),
        Kind::Model => format!("the operator has blocked the model `{}`", target.name),
        Kind::Key => "the operator has blocked this key".to_owned(),
        Kind::Subject => "the operator has blocked this subject's tokens".to_owned(),
    }
}

/// The blocks at one moment. There are few, so each is looked at.
#[derive(Clone, Debug, Default)]
pub struct List(pub(super) Vec<Block>);

impl List {
    /// All of them, in the order of what they are of.
    pub fn all(&self) -> &[Block] {
        &self.0
    }

    fn find(&self, is_of: impl Fn(&Target) -> bool) -> Option<Blocked> {
        self.0.iter().map(|block| &block.target).find(|target| is_of(target)).cloned().map(Blocked)
    }

    /// Why an act may not be.
    pub fn of(&self, act: &Act<'_>) -> Option<Blocked> {
        self.find(|target| {
            let name = Some(target.name.as_str());
            match target.kind {
                Kind::All => true,
                Kind::Server => act.server == name,
                Kind::Tool => act.tool == name,
                Kind::Provider => act.target.is_some_and(|own| provider_of(own) == target.name),
                Kind::Model => act.model == name || act.target == name,
                Kind::Key | Kind::Subject => is_of(target, act.principal),
            }
        })
    }

    /// Why a caller may do nothing at all, not even administer.
    pub fn of_caller(&self, principal: &Principal) -> Option<Blocked> {
        self.find(|target| is_of(target, principal))
    }

    /// Why nobody sees a server.
    pub fn of_server(&self, server: &str) -> Option<Blocked> {
        self.find(|target| target.kind == Kind::All || (target.kind == Kind::Server && target.name == server))
    }

    /// Why nobody sees a tool of this public name, as far as it is not its server that is blocked.
    pub fn of_tool(&self, public: &str) -> Option<Blocked> {
        self.find(|target| target.kind == Kind::Tool && target.name == public)
    }

    /// Why nobody is answered by a named model: its name is blocked, or all its targets (`provider/model`) are.
    pub fn of_named(&self, name: &str, targets: impl Iterator<Item = String>) -> Option<Blocked> {
        let mut open = false;
        let blocked = targets.map(|target| self.of_model(&target)).inspect(|blocked| open |= blocked.is_none()).last().flatten();
        self.of_model(name).or(blocked.filter(|_| !open))
    }

    /// Why nobody sees a model of this name.
    pub fn of_model(&self, model: &str) -> Option<Blocked> {
        self.find(|target| match target.kind {
            Kind::All => true,
            Kind::Provider => provider_of(model) == target.name && model.len() > target.name.len(),
            Kind::Model => target.name == model,
            _ => false,
        })
    }
}

/// The provider of `provider/model`.
fn provider_of(target: &str) -> &str {
    target.split('/').next().unwrap_or_default()
}

/// Whether a block of a key or a subject is of this caller.
fn is_of(target: &Target, principal: &Principal) -> bool {
    let whole = |prefix: &str| principal.id().strip_prefix(prefix) == Some(&target.name);
    match target.kind {
        Kind::Key => whole("key:"),
        Kind::Subject => principal.is_of_token() && (principal.subject() == Some(&target.name) || whole("subject:")),
        _ => false,
    }
}
