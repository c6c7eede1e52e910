//! Which JSON Schema a provider takes for the arguments of functions.

use serde::Deserialize;

/// What a kind of provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Any schema.
    Any,
    /// What OpenAI takes, and with it those who speak like it.
    Openai,
    /// What Anthropic takes.
    Anthropic,
    /// What Gemini takes.
    Gemini,
}

/// What several providers take, one of which may answer a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flavours {
    /// A bit for each flavour but the one that takes all.
    bits: u8,
    strict: bool,
}

impl Flavours {
    /// Whether one of them takes this.
    pub fn has(self, flavour: Flavour) -> bool {
        self.bits & bit(flavour) != 0
    }

    /// Whether they take any schema.
    pub fn take_all(self) -> bool {
        self.bits == 0
    }

    /// Whether arguments must keep to the schema, as OpenAI's strict functions make them.
    pub fn strict(self) -> bool {
        self.strict
    }

    /// The same where arguments must, which only OpenAI and its like can see to.
    #[must_use]
    pub fn strictly(self) -> Self {
        Self { strict: self.bits == bit(Flavour::Openai), ..self }
    }

    /// The same where arguments need not.
    #[must_use]
    pub fn loosely(self) -> Self {
        Self { strict: false, ..self }
    }
}

fn bit(flavour: Flavour) -> u8 {
    match flavour {
        Flavour::Any => 0,
        Flavour::Openai => 1,
        Flavour::Anthropic => 2,
        Flavour::Gemini => 4,
    }
}

impl FromIterator<Flavour> for Flavours {
    fn from_iter<I: IntoIterator<Item = Flavour>>(all: I) -> Self {
        Self { bits: all.into_iter().fold(0, |bits, flavour| bits | bit(flavour)), strict: false }
    }
}
