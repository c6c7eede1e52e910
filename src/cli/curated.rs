//! `portolan registry curated`: the servers whose manifests ship with the binary. No gateway runs.

use serde_json::{Value, json};

use super::output::{as_json, print, table};
use crate::curated::{Curated, Package};

/// Lists all of them.
pub(super) fn show(json: bool) {
    let mut all: Vec<&Curated> = Curated::all().iter().collect();
    all.sort_by_key(|one| one.server.short());
    if json {
        let listed: Vec<Value> = all.iter().copied().map(told).collect();
        as_json(&json!({ "curated": listed }));
        return;
    }
    let row = |one: &Curated| {
        let package = one.server.package().map(|package| format!("{} {}", package.identifier, package.version)).unwrap_or_default();
        let needs = one.server.package().map(Package::needs).unwrap_or_default().join(" ");
        vec![one.server.short().to_owned(), package, one.tools().len().to_string(), needs, one.server.description.clone()]
    };
    table(&["NAME", "PACKAGE", "TOOLS", "NEEDS", "DESCRIPTION"], all.iter().copied().map(row));
    if let Some(one) = all.first() {
        print(&format!("\nAdd one: {}\n", one.how(one.server.short())));
    }
}

fn told(one: &Curated) -> Value {
    let package = one.server.package().ok();
    json!({
        "name": one.server.short(), "id": one.id(), "description": one.server.description, "version": one.server.version,
        "runner": package.and_then(Package::runner), "package": package.map(|package| &package.identifier),
        "needs": package.map(Package::needs), "tools": one.tools(), "add": one.how(one.server.short()),
        "upstream_server_json": one.upstream(),
    })
}
