//! `models:`: names that callers use.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Text;
use crate::domain::Globs;

/// A model by name: where it is answered, and what is joined in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Tried in this order until one begins to answer.
    pub targets: Vec<Target>,
    /// Context sources put into every completion.
    #[serde(default)]
    pub context: Vec<Text>,
    /// Servers (`time`) or tool globs (`github__get_*`) whose tools the gateway offers and runs itself.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tools: Globs,
}

/// One provider's model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// A name under `providers:`.
    pub provider: Text,
    /// The provider's own name of the model.
    pub model: Text,
}
