//! The gateway from outside: every test starts the real binary and meets it over HTTP, over MCP and by
//! the command line. One file per door, one test per promise; `support/` is what they stand on.

// A test may stop at the first surprise; its helpers are part of it.
#![allow(clippy::needless_pass_by_value)] // What a test writes down with `json!` it hands over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod aggregates;
mod api;
mod architecture;
mod batches;
mod blocks;
mod bridges;
mod clients;
mod code;
mod completions;
mod console;
mod context;
mod context_sources;
mod curated;
mod dialects;
mod drift;
mod durability;
mod faults;
mod guard;
mod handles;
mod hostile;
mod hostile_mcp;
mod journal;
mod journeys;
mod keys;
mod late;
mod line;
mod locks;
mod logins;
mod mcp_sessions;
mod mcp_stateless;
mod memory;
mod net;
mod operators;
mod passage;
mod pins;
mod processes;
mod projection;
mod rates;
mod recorded;
mod registry;
mod responses;
mod resumption;
mod routing;
mod routing_faults;
mod schemas;
mod sdk;
mod secrets;
mod servers_api;
mod stand_ins;
mod start;
mod stdio;
mod stop;
mod support;
mod threats;
mod tokens;
mod tool_loop;
mod toolsets;
mod traces;
mod upstreams;
mod variants;
mod wire;
