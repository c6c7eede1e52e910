//! Which target answers: what a name stands for, in which order targets are tried, and which are left out.
//!
//! A route is found in `route.rs`; `balance.rs` puts its targets in order; `health.rs` and `breaker.rs` leave
//! out those that fail; `retry.rs` says when to ask again. To add a strategy: one arm in `balance.rs`.

mod balance;
mod breaker;
mod explain;
mod health;
mod prices;
mod retry;
mod route;

pub use explain::Explanation;
pub use health::Permit;
pub use retry::pause;
pub use route::{Facts, Route, Router, Unknown};

pub(in crate::llm) use retry::asked;
