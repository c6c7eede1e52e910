//! The gateway's own logins at upstream servers: log in, log out.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::recorded::recorded;
use super::tool::{Class, Error, Server, Tool};
use crate::domain::{Principal, ServerName, clip, is_scope};
use crate::journal::Entry;
use crate::upstream::Returned;

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::new::<Login, _, _>(
            "servers_login",
            Class::Weaken,
            "Begins to log the gateway in at a server by OAuth: the answer is the address where a person agrees in a browser.",
            login,
        ),
        Tool::new::<Server, _, _>(
            "servers_logout",
            Class::Weaken,
            "Forgets the gateway's login at a server: its tokens are not used any more.",
            logout,
        ),
    ]
}

/// A server to log in to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The server.
    #[serde(alias = "name")]
    server: String,
    /// The scopes to ask for; those that the configuration or the server names where none are given.
    #[serde(default)]
    #[schemars(inner(regex(pattern = SCOPE)))]
    scopes: Vec<String>,
}

/// What a scope is made of (RFC 6749 §3.3), for the schema.
pub(super) const SCOPE: &str = r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}$";

async fn login(parts: Arc<Parts>, principal: Principal, Login { server, scopes }: Login) -> Result<Value, Error> {
    if let Some(wrong) = scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(Error::Arguments(format!("`{}` is no scope", clip(wrong, 40))));
    }
    let catalog = parts.registry.catalog();
    let entry = catalog.server(&server)?;
    unblocked(&parts, &entry.spec.name)?;
    let begun = parts.credentials.begin(&entry.spec, &scopes, principal.id()).await?;
    Ok(json!({ "server": entry.spec.name, "authorize": begun.address.as_str(), "lasts_s": begun.lasts.as_secs() }))
}

async fn logout(parts: Arc<Parts>, _: Principal, Server { server }: Server) -> Result<Value, Error> {
    let catalog = parts.registry.catalog();
    let entry = catalog.server(&server)?;
    let name = entry.spec.name.clone();
    let there = parts.credentials.forget(&entry.spec).await?;
    if there {
        look_again(&parts, &name);
    }
    Ok(json!({ "server": name, "logged_out": there }))
}

/// Finishes a login with what an authorization server sent back: on record before it is done, under the name of who began it.
pub(super) async fn finish(parts: Arc<Parts>, returned: Returned) -> Result<ServerName, Error> {
    let known = parts.credentials.waiting(&returned)?;
    unblocked(&parts, &known.server)?;
    let entry = Entry::by("control", &known.by, &format!("servers_login {} finished", known.server));
    let done = recorded(&parts.journal, entry, async { Ok(parts.credentials.finish(returned).await?) }).await;
    if let Err(why) = done {
        tracing::warn!(server.name = %known.server, principal.id = %known.by, "the login at `{}` failed: {why}", known.server);
        return Err(why);
    }
    tracing::info!(server.name = %known.server, principal.id = %known.by, "the gateway is logged in at `{}`", known.server);
    look_again(&parts, &known.server);
    Ok(known.server)
}

/// Nobody logs in where nothing is to go.
fn unblocked(parts: &Parts, server: &ServerName) -> Result<(), Error> {
    parts.blocks.list().of_server(server.as_str()).map_or(Ok(()), |blocked| Err(Error::Blocked(blocked)))
}

/// Opens a server's connection anew and looks at it. What comes of it is shown with the server.
fn look_again(parts: &Arc<Parts>, server: &ServerName) {
    let (parts, name) = (parts.clone(), server.clone());
    tokio::spawn(async move {
        parts.upstreams.close(&name).await;
        let _ = parts.registry.refresh(name.as_str(), None).await;
    });
}
