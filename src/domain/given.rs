//! JSON that is given to one caller, or to many.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::value::RawValue;

/// A text that was made for one caller, or is kept for all who are given the same.
#[derive(Clone, Debug)]
pub enum Given {
    /// For one.
    Own(Box<RawValue>),
    /// For many.
    Kept(Arc<RawValue>),
}

impl Deref for Given {
    type Target = RawValue;

    fn deref(&self) -> &RawValue {
        match self {
            Self::Own(text) => text,
            Self::Kept(text) => text,
        }
    }
}

impl From<Box<RawValue>> for Given {
    fn from(text: Box<RawValue>) -> Self {
        Self::Own(text)
    }
}
