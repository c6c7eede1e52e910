//! Portolan: one gateway between AI agents, models and tools.
//!
//! The modules stand in reading order, from the ground up; `docs/ARCHITECTURE.md` says why. A folder
//! may use the floors below it, never one above or beside it.

// Ground.
mod domain;

mod expr;

mod curated;

mod config;

mod trace;

// Floor 1: out into the network.
mod net;

// Floor 2: engines that know nothing of each other.
mod llm;
mod schema;
mod store;

// Floor 3: who calls, what is on record, what may be done now, and how peers talk.
mod auth;
mod journal;
mod policy;
mod protocol;

// Floors 4 to 7: servers, trust, one road to every tool, context.
mod upstream;

mod registry;

mod federation;

mod context;

// Floor 8: what the doors ask.
mod completion;
mod control;

// Floor 9: the wire.
mod http;

// On top.
mod app;
mod telemetry;

// A client like any other.
pub mod cli;

pub use app::{Checked, Curate, Gateway, Options, Verification, check, curate, find_config, lock, run, verify};
pub use config::listen_address;
pub use upstream::{SUPERVISE, supervise};

/// The JSON Schema of the configuration file, as `schemas/portolan.schema.json` holds it.
pub fn config_schema() -> serde_json::Value {
    config::Config::schema()
}
