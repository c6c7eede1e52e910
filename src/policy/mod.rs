//! What may be done now: the kill switch, and how much in a minute.
//!
//! A block names a server, a tool, a provider, a model, a key, a subject, or all. Whoever works for a caller holds its [`Act`] up to
//! the [`Blocks`]: before it begins, and while it goes on. So a block ends what is under way and refuses what comes.

mod act;
mod blocks;
mod list;
mod rates;
mod target;

pub use act::Act;
pub use blocks::Blocks;
pub use list::{Block, Blocked, List};
pub use rates::{Allowance, Exceeded, Left, Rates};
pub use target::{Named, Target};
