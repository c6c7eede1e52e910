//! Expressions of the operator: questions in CEL about a caller and a request, answered with yes or no.
//!
//! There is one vocabulary for all who ask. An expression is compiled when the configuration is read, so that a
//! wrong one is an error of the file; it has no clock, no network and bounds on all it does, so that
//! it can be asked on every request. One that fails says no. To add a word, add it to `words.rs` and to `scope.rs`.

mod bounds;
mod expression;
mod kind;
mod scope;
mod words;

pub use expression::{Expression, Verdict};
pub use scope::{Asking, Scope};
