//! Portolan: one gateway between AI agents, models and tools.
//!
//! The modules in reading order, from the ground up, are the map of the house; `docs/ARCHITECTURE.md`
//! says why it stands so. A folder may use the floors below it, never one above or beside it.

mod domain;

mod config;

mod net;
mod protocol;
mod schema;

mod store;
mod upstream;
mod registry;
mod federation;
mod auth;
mod llm;
mod completion;
mod context;
