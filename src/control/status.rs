//! The gateway itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::parts::Parts;
use super::tool::{Class, Error, Nothing, Tool};
use crate::domain::{Principal, printable};
use crate::registry::Entry;
use crate::upstream::State;

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Nothing, _, _>("status_show", Class::Read, "Shows what runs, what is held and what is wrong.", show),
        Tool::new::<Nothing, _, _>(
            "console_open",
            Class::Add,
            "Makes a link by which a browser logs in to the console once, as the caller.",
            open,
        ),
    ]
}

async fn open(parts: Arc<Parts>, principal: Principal, _: Nothing) -> Result<Value, Error> {
    let (link, waits) = parts.auth.invite(&principal).ok_or(Error::KeyOnly("console_open"))?;
    Ok(json!({ "link": link, "lasts_s": waits.as_secs() }))
}

async fn show(parts: Arc<Parts>, _: Principal, _: Nothing) -> Result<Value, Error> {
    let catalog = parts.registry.catalog();
    let held: Vec<_> = catalog.servers.values().filter(|entry| entry.held_count().is_some()).map(|entry| &entry.spec.name).collect();
    let servers = catalog.servers.values();
    let problem = |entry: &Entry| match parts.upstreams.state(&entry.spec.name) {
        State::Failed(error) if entry.enabled => Some(error.to_string()),
        _ => entry.problem.as_ref().map(ToString::to_string),
    };
    let mut problems: Vec<Value> =
        servers.filter_map(|entry| Some(json!({ "server": entry.spec.name, "error": printable(&problem(entry)?) }))).collect();
    if let Some(why) = &*parts.refused.load() {
        problems.push(json!({ "configuration": "the changed file", "error": format!("it is not in use, and the one before it stays: {}", printable(why)) }));
    }
    let completions = parts.completions.load_full();
    let router = completions.router();
    let names: Vec<&str> = router.providers().names().collect();
    let lists = futures::future::join_all(names.iter().map(|name| router.providers().listed(name))).await;
    let sick = names.iter().zip(lists).filter_map(|(name, listed)| Some((name, listed.err()?)));
    problems.extend(sick.map(|(name, why)| json!({ "provider": name, "error": printable(&why) })));
    let left_out = router.health().left_out();
    problems.extend(left_out.into_iter().map(|(target, left)| {
        let seconds = left.as_secs().max(1);
        json!({ "target": target, "error": format!("it failed and is left out for {seconds} s more"), "left_out_s": seconds })
    }));
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": parts.started.elapsed().as_secs(),
        "servers": catalog.servers.len(),
        "providers": names,
        "held": held,
        "blocked": parts.blocks.list().all().iter().map(|block| block.target.to_string()).collect::<Vec<_>>(),
        "problems": problems,
    }))
}
