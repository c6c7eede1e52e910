//! Reading what a server offers, and leaving out what cannot be accepted.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::{Definition, Dropped, Kind, Manifest};
use super::scan;
use crate::domain::{Digest, RawObject, clip, raw};
use crate::protocol::{HeaderRules, RpcError};
use crate::schema::{self, Validators};
use crate::upstream::{Connection, Error};

/// The longest one page of a list may take.
const LISTING: Duration = Duration::from_secs(30);
/// Largest definition, in bytes.
const MAX_DEFINITION: usize = 512 << 10;

/// Reads all definitions over a connection.
pub(super) async fn read(connection: &Connection, validators: &Validators) -> Result<Manifest, Error> {
    let peer = connection.peer();
    let mut manifest =
        Manifest { definitions: Vec::new(), dropped: Vec::new(), info: scan::shown(&peer.info), capabilities: peer.capabilities.clone() };
    let lists = [
        (Kind::Tool, "tools", "tools/list", "tools", "name"),
        (Kind::Prompt, "prompts", "prompts/list", "prompts", "name"),
        (Kind::Template, "resources", "resources/templates/list", "resourceTemplates", "uriTemplate"),
    ];
    for (kind, capability, method, member, key) in lists {
        if !peer.has(capability) {
            continue;
        }
        let items = match connection.list(method, member, LISTING, None).await {
            Ok(items) => items,
            // Many servers declare resources and know no templates, and some declare what they have nothing of.
            Err(Error::Rpc(_)) if kind == Kind::Template => Vec::new(),
            Err(Error::Rpc(error)) if error.code == RpcError::METHOD_NOT_FOUND => Vec::new(),
            Err(error) => return Err(error),
        };
        take(kind, key, items, validators, &mut manifest);
    }
    if let Some(instructions) = &peer.instructions
        && let Ok(definition) = Definition::new(Kind::Instructions, "instructions".into(), raw(instructions))
    {
        manifest.definitions.push(definition);
    }
    Ok(manifest)
}

fn take(kind: Kind, key: &str, items: Vec<Box<RawValue>>, validators: &Validators, manifest: &mut Manifest) {
    let mut names = HashSet::new();
    for item in items {
        let name = RawObject::parse(item.get()).ok().and_then(|object| object.string(key)).unwrap_or_default();
        let verdict = accept(kind, &name, &item, validators).and_then(|()| {
            if names.insert(name.clone()) { Ok(()) } else { Err("stands in the list twice; the first one is used".to_owned()) }
        });
        let definition = verdict.and_then(|()| Definition::new(kind, name.clone(), item).map_err(|error| error.to_string()));
        match definition {
            Ok(definition) => manifest.definitions.push(definition),
            Err(reason) => manifest.dropped.push(Dropped { kind, name: clip(&name, 120), reason: clip(&reason, 400) }),
        }
    }
}

fn accept(kind: Kind, name: &str, body: &RawValue, validators: &Validators) -> Result<(), String> {
    // The whole item, unknown members included: it is walked and digested later on.
    serde_json::from_str::<schema::Strict>(body.get()).map_err(|error| error.to_string())?;
    let object = RawObject::parse(body.get()).map_err(|error| error.to_string())?;
    if name.is_empty() {
        return Err("has no name".into());
    }
    if name.len() > 512 || (kind == Kind::Tool && name.len() > 128) {
        return Err("has a name that is too long".into());
    }
    if body.get().len() > MAX_DEFINITION {
        return Err(format!("is larger than {MAX_DEFINITION} bytes"));
    }
    if kind == Kind::Tool {
        let input = object.get("inputSchema").ok_or("has no `inputSchema`")?;
        sound("inputSchema", input, validators)?;
        let value: Value = serde_json::from_str(input.get()).map_err(|error| error.to_string())?;
        HeaderRules::of(&value)?;
        if let Some(output) = object.get("outputSchema") {
            sound("outputSchema", output, validators)?;
        }
    }
    Ok(())
}

fn sound(what: &str, schema: &RawValue, validators: &Validators) -> Result<(), String> {
    validators.judge(schema_digest(schema), schema.get()).map_err(|unsound| format!("its `{what}` {unsound}"))
}

/// The address under which a schema's compiled validator is kept.
pub(super) fn schema_digest(schema: &RawValue) -> Digest {
    Digest::of("portolan/schema", schema.get().as_bytes())
}
