//! The gateway itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::Principal;

pub(super) fn tools() -> Vec<Tool> {
    vec![Tool::new::<Nothing, _, _>("status_show", Class::Read, "Shows what runs, what is held and what is wrong.", show)]
}

async fn show(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let catalog = parts.registry.catalog();
    let held: Vec<_> = catalog.servers.values().filter(|entry| entry.held.is_some()).map(|entry| &entry.spec.name).collect();
    let problems: Vec<_> = catalog
        .servers
        .values()
        .filter_map(|entry| Some(json!({ "server": entry.spec.name, "error": entry.problem.as_ref()?.to_string() })))
        .collect();
    let completions = parts.completions.load();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": parts.started.elapsed().as_secs(),
        "servers": catalog.servers.len(),
        "providers": completions.router().providers().names().collect::<Vec<_>>(),
        "held": held,
        "problems": problems,
    }))
}
