//! `auth:`: who may call.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::{SecretText, Text};
use crate::domain::{Globs, Grants};

/// Who may call. Declaring a key closes the open loopback doors.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Keys declared here, by id, beside those made at run time.
    pub keys: BTreeMap<String, DeclaredKey>,
}

/// A key that the operator chose.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredKey {
    /// The secret that callers send; at least 16 characters.
    pub key: SecretText,
    /// Any of `mcp`, `models`, `registry`, `admin`.
    #[serde(default)]
    pub grants: Vec<Text>,
    /// Servers it may see, as globs; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub servers: Globs,
    /// Tools it may use, as globs over public names; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tools: Globs,
    /// Models it may call, as globs; all when empty.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub models: Globs,
    /// Tags that stay with the caller, for conditions and context sources.
    #[serde(default)]
    pub tags: BTreeMap<String, Text>,
}

impl Auth {
    pub(super) fn check(&self) -> Result<(), Error> {
        let mut known: HashMap<&str, &str> = HashMap::new();
        for (id, key) in &self.keys {
            // A caller can have the rights of one key alone, and nobody could say of which.
            if let Some(other) = known.insert(key.key.secret().reveal(), id) {
                return Err(Error::wrong(format!("auth.keys.{id}.key"), format!("is the key of `{other}` too; give each its own")));
            }
            key.grants(id)?;
            if key.key.secret().reveal().len() < 16 {
                return Err(Error::wrong(format!("auth.keys.{id}.key"), "is too short; use at least 16 characters"));
            }
        }
        Ok(())
    }
}

impl DeclaredKey {
    /// The grants this key stands for.
    pub fn grants(&self, id: &str) -> Result<Grants, Error> {
        let mut grants =
            Grants { servers: self.servers.clone(), tools: self.tools.clone(), model_names: self.models.clone(), ..Grants::default() };
        for name in &self.grants {
            if !grants.allow(name) {
                let why = format!("`{name}` is not a grant; use any of {}", Grants::NAMES.join(", "));
                return Err(Error::wrong(format!("auth.keys.{id}.grants"), why));
            }
        }
        Ok(grants)
    }
}
