//! JSON Schema as the registry needs it. Pure: no I/O, no memory between calls but the compiled validators.

mod check;
mod compare;
mod digest;
mod lift;
mod strict;
mod validate;

pub use check::{Bounds, check};
pub use compare::{Change, Side, compare};
pub use digest::canonical;
pub use lift::lifted;
pub use strict::Strict;
pub use validate::{Misfit, Validators};
