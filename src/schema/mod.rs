//! JSON Schema as the registry needs it. Pure: no I/O, no memory between calls but the compiled validators.

mod check;
mod compare;
mod digest;
mod lift;
mod project;
#[cfg(test)]
mod samples;
mod shape;
mod strict;
mod validate;

pub use check::{Bounds, check};
pub use compare::{Change, Fitting, Side, compare, fitting};
pub use digest::canonical;
pub use lift::lifted;
pub use project::{Seen, Views};
pub use shape::{hash_shape, names, schema_of, shape};
pub use strict::Strict;
pub use validate::{Misfit, Validators};
