//! `models:`: names that callers use, and how the targets behind each are chosen.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::Error;
use super::value::{Span, Text};
use crate::domain::Selection;
use crate::expr::Expression;

/// Most extra attempts at one target; more would be an attack on a provider that is down.
const MAX_RETRIES: u32 = 5;
/// Largest weight, so that no sum of them is too large.
const MAX_WEIGHT: u32 = 1_000_000;

/// A model by name: where it is answered, and what is joined in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How the targets are ordered.
    #[serde(default)]
    pub strategy: Strategy,
    /// Who may answer; tried one after the other until one begins to.
    pub targets: Vec<Target>,
    /// Who may use it, in CEL; for others there is no such model.
    pub when: Option<When>,
    /// Extra attempts at each target before the next one, at most 5; by `limits.retries` where it is not said.
    pub retries: Option<u32>,
    /// Context sources put into every completion.
    #[serde(default)]
    pub context: Vec<Text>,
    /// Servers (`time`), toolsets, or tool globs (`github__get_*`) whose tools the gateway offers and runs itself; servers and
    /// globs perhaps at a release (`github@1`).
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub tools: Selection,
    /// Whether the gateway's tools are offered as strict functions, whose arguments the provider makes keep to the schema.
    #[serde(default)]
    pub strict_tools: bool,
    /// Where it stands in the file, counted from 0.
    #[serde(skip)]
    pub place: usize,
}

/// Reads the models with the order in which they are written: the first is the one to talk to.
pub(super) fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Model>, D::Error> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = BTreeMap<String, Model>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("models by name")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some((name, model)) = map.next_entry::<String, Model>()? {
                let place = all.len();
                all.insert(name, Model { place, ..model });
            }
            Ok(all)
        }
    }
    deserializer.deserialize_map(All)
}

/// How the targets of a model are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// As they are written.
    #[default]
    Fallback,
    /// The first by chance, as often as its weight says; the others by falling weight.
    Weighted,
    /// By price, the lowest first; those of unknown price last.
    Cheapest,
}

impl Strategy {
    /// As the file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
        }
    }
}

/// One provider's model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// A name under `providers:`.
    pub provider: Text,
    /// The provider's own name of the model.
    pub model: Text,
    /// How often it is the first one, in proportion to the others (`weighted`); 0 is only for when others do not answer.
    #[serde(default = "one")]
    pub weight: u32,
    /// For whom and what it may be used, in CEL.
    pub when: Option<When>,
    /// How long it may take until its answer begins.
    pub timeout: Option<Span>,
    /// What it costs; a built-in table knows the usual ones.
    pub price: Option<Price>,
}

/// What a model costs, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per million tokens that it reads.
    #[schemars(range(min = 0.0))]
    pub input: f64,
    /// Per million tokens that it writes.
    #[schemars(range(min = 0.0))]
    pub output: f64,
}

fn one() -> u32 {
    1
}

impl Target {
    /// A target that was not written in the file, but named by a caller.
    pub fn plain(provider: &str, model: &str) -> Self {
        Self { provider: provider.into(), model: model.into(), weight: 1, when: None, timeout: None, price: None }
    }
}

impl Model {
    /// What is wrong with a model by itself.
    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        let at = |rest: &str| format!("models.{name}.{rest}");
        if self.targets.is_empty() {
            return Err(Error::wrong(at("targets"), "needs at least one target"));
        }
        check_retries(self.retries.unwrap_or_default(), || at("retries"))?;
        for (number, target) in self.targets.iter().enumerate() {
            let at = |key: &str| at(&format!("targets[{number}].{key}"));
            if target.weight > MAX_WEIGHT {
                return Err(Error::wrong(at("weight"), format!("is larger than {MAX_WEIGHT}; only the proportion to the others counts")));
            }
            if target.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
                return Err(Error::wrong(at("timeout"), "must be longer than nothing; leave it out for no bound of its own"));
            }
            if let Some(price) = target.price
                && ![price.input, price.output].iter().all(|cost| cost.is_finite() && *cost >= 0.0)
            {
                return Err(Error::wrong(at("price"), "must be dollars per million tokens, 0 or more"));
            }
        }
        if self.strategy == Strategy::Weighted && self.targets.iter().all(|target| target.weight == 0) {
            return Err(Error::wrong(at("targets"), "have no weight at all; give at least one a `weight` above 0"));
        }
        Ok(())
    }
}

/// What is wrong with a number of retries.
pub(super) fn check_retries(retries: u32, at: impl FnOnce() -> String) -> Result<(), Error> {
    if retries > MAX_RETRIES {
        return Err(Error::wrong(at(), format!("may be at most {MAX_RETRIES}; more of them only multiply an outage")));
    }
    Ok(())
}

/// A question in CEL about caller and request, compiled as the file is read.
#[derive(Clone, Debug)]
pub struct When(Expression);

impl Deref for When {
    type Target = Expression;

    fn deref(&self) -> &Expression {
        &self.0
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Expression::compile(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for When {
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 4096, "description": "CEL over `caller` and `request`; what fails says no." })
    }
}
