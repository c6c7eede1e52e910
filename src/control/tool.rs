//! One control tool: its name, its class, its schema, and what it does.

use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::parts::Parts;
use crate::domain::Principal;
use crate::policy::Blocked;
use crate::upstream::LoginError;
use crate::{context, registry, store, upstream};

/// How far a tool reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It changes nothing.
    Read,
    /// It adds something that gives nobody more power.
    Add,
    /// It weakens a defence or takes something away: for the owner alone.
    Weaken,
}

/// Why a tool refused or failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the arguments do not fit: {0}")]
    Arguments(String),
    #[error("`{0}` is for the owner alone; use the owner key")]
    OwnerOnly(&'static str),
    #[error("`{0}` is for who has a key of this gateway; an access token ends when nobody could tell")]
    KeyOnly(&'static str),
    #[error("the address is not allowed: {0}")]
    Address(String),
    #[error("`{name}` was not added: {why}")]
    NotAdded { name: String, why: String },
    #[error("there is no {0} `{1}`")]
    Missing(&'static str, String),
    #[error("there is no valid key `{id}`{hint}")]
    NoKey { id: String, hint: String },
    #[error("nothing was done, for it could not be put on record: {0}")]
    Unwritable(store::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Context(#[from] context::Error),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("{0}")]
    Blocked(Blocked),
}

impl Error {
    /// A word for machines.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Arguments(_) => "invalid_arguments",
            Self::OwnerOnly(_) => "owner_only",
            Self::KeyOnly(_) => "key_only",
            Self::Unwritable(_) => "journal_unavailable",
            Self::Address(_) => "url_not_allowed",
            Self::Registry(registry::Error::Upstream(error)) if matches!(**error, upstream::Error::Unpackaged) => "not_packaged",
            Self::NotAdded { .. } | Self::Registry(registry::Error::Upstream(_)) => "server_unusable",
            Self::Missing(..)
            | Self::NoKey { .. }
            | Self::Registry(
                registry::Error::NoServer { .. }
                | registry::Error::NoRelease { .. }
                | registry::Error::NotApproved { .. }
                | registry::Error::NotOnRecord { .. },
            )
            | Self::Context(context::Error::Unknown { .. }) => "not_found",
            Self::Registry(registry::Error::Exists(_) | registry::Error::Toolset(_)) => "exists",
            Self::Registry(registry::Error::Declared(_)) => "declared",
            Self::Registry(registry::Error::Disabled(_)) => "disabled",
            Self::Registry(registry::Error::NothingHeld(_) | registry::Error::NoEarlier { .. }) => "nothing_held",
            Self::Registry(registry::Error::ChangedAgain(_)) => "changed_again",
            Self::Registry(registry::Error::Ended { .. }) => "release_ended",
            Self::Registry(registry::Error::Served { .. }) => "release_served",
            Self::Registry(registry::Error::Locked(_)) => "locked",
            Self::Registry(registry::Error::Stopping) => "stopping",
            Self::Registry(registry::Error::Store(error)) | Self::Store(error) => of_store(error),
            Self::Login(error) => of_login(error),
            Self::Blocked(_) | Self::Context(context::Error::Blocked(_)) => "blocked",
            Self::Context(_) => "context_failed",
        }
    }
}

/// A word for what is wrong with a login.
fn of_login(error: &LoginError) -> &'static str {
    match error {
        LoginError::NotHttp | LoginError::HasHeader => "no_login",
        LoginError::Unknown => "login_unknown",
        LoginError::Foreign => "login_foreign",
        LoginError::Refused(_) => "login_refused",
        LoginError::Failed(_) => "login_failed",
        LoginError::Store(error) => of_store(error),
    }
}

fn of_store(error: &store::Error) -> &'static str {
    match error {
        store::Error::Full(_) => "full",
        store::Error::Stopping => "stopping",
        store::Error::Exists => "exists",
        store::Error::Unavailable(_) | store::Error::Corrupt(_) => "store_unavailable",
    }
}

type Run = Box<dyn Fn(Arc<Parts>, Principal, Value) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync>;

/// One control tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) class: Class,
    description: &'static str,
    schema: Value,
    run: Run,
}

impl Tool {
    /// A tool whose arguments are `A`; unknown arguments are refused.
    pub(super) fn new<A, F, O>(name: &'static str, class: Class, description: &'static str, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        F: Fn(Arc<Parts>, Principal, A) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Value, Error>> + Send + 'static,
    {
        let mut schema = schemars::schema_for!(A).to_value();
        if let Value::Object(members) = &mut schema {
            members.remove("$schema");
            members.remove("title");
            members.entry("properties").or_insert_with(|| json!({}));
        }
        let run: Run = Box::new(move |parts, principal, arguments| match serde_json::from_value(arguments) {
            Ok(arguments) => run(parts, principal, arguments).boxed(),
            Err(error) => async move { Err(Error::Arguments(error.to_string())) }.boxed(),
        });
        Self { name, class, description, schema, run }
    }

    /// Runs it.
    pub(super) fn run(&self, parts: Arc<Parts>, principal: Principal, arguments: Value) -> BoxFuture<'static, Result<Value, Error>> {
        (self.run)(parts, principal, arguments)
    }

    /// What it is, for those who describe it in other words than MCP's.
    pub(super) fn operation(&self) -> Operation<'_> {
        Operation { name: self.name, description: self.description, schema: &self.schema, owner_only: self.class == Class::Weaken }
    }

    /// Its definition, as `tools/list` shows it.
    pub(super) fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": self.schema,
            "annotations": {
                "readOnlyHint": self.class == Class::Read,
                "destructiveHint": self.class == Class::Weaken,
            },
        })
    }
}

/// A control tool, for those who describe it in other words than MCP's.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'t> {
    /// Its name.
    pub name: &'t str,
    /// What it does.
    pub description: &'t str,
    /// The JSON Schema of its arguments.
    pub schema: &'t Value,
    /// Whether it is for the owner alone.
    pub owner_only: bool,
}

/// A whole number, however it is written: to JSON Schema `5.0` is one.
pub(super) fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    use serde::de::Error as _;
    let Some(number) = <Option<serde_json::Number> as serde::Deserialize>::deserialize(deserializer)? else { return Ok(None) };
    #[allow(clippy::cast_possible_truncation)] // Below 2^53 nothing is cut off.
    let of_float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64);
    let wrong = || D::Error::custom(format!("`{number}` is not a whole number that can be counted with"));
    number.as_i64().or_else(of_float).map(Some).ok_or_else(wrong)
}

/// No arguments.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A server's name.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// The server.
    #[serde(alias = "name")]
    pub(super) server: String,
}
