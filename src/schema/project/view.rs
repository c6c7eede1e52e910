//! One schema as some providers take it.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::value::RawValue;

use super::gemini::gemini;
use super::plain::plain;
use super::restore::Back;
use super::strict::strict;
use super::unfit::Unfit;
use crate::domain::{Flavour, Flavours, raw};

/// A schema in other words than its own.
#[derive(Clone, Debug)]
pub struct View {
    schema: Box<RawValue>,
    back: Option<Back>,
}

impl View {
    /// A schema as providers of all these flavours take it; none where it is what they take as it is.
    pub fn of(schema: &RawValue, flavours: Flavours) -> Result<Option<Self>, Unfit> {
        if flavours.take_all() {
            return Ok(None);
        }
        let mut own: Value = serde_json::from_str(schema.get()).map_err(|error| Unfit::new("", error.to_string()))?;
        let (mut view, names) = plain(schema, &own, flavours.strict(), flavours.has(Flavour::Anthropic))?;
        let mut added = BTreeSet::new();
        if flavours.strict() {
            (view, added) = strict(&view)?;
        }
        if flavours.has(Flavour::Gemini) {
            view = gemini(&view)?;
        } else if let Value::Object(words) = &mut own {
            // Nobody else minds which draft is named.
            words.shift_remove("$schema");
        }
        Ok((view != own).then(|| Self { schema: raw(&view), back: Back::new(&view, added, names) }))
    }

    /// The schema.
    pub fn schema(&self) -> &RawValue {
        &self.schema
    }

    /// Whether arguments that fit it may have to be put into the words of the original.
    pub fn goes_back(&self) -> bool {
        self.back.is_some()
    }

    /// Arguments in the words of the original; none where they are so already.
    pub fn restored(&self, arguments: &RawValue) -> Option<Box<RawValue>> {
        self.back.as_ref()?.restored(arguments)
    }

    /// About how much it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        let text = self.schema.get().len();
        if self.back.is_some() { 4 * text } else { text }
    }
}
