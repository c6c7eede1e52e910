//! `portolan model …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::output::{as_json, list, table, text};

/// What can be done with models.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All models that can be called
    #[command(visible_alias = "ls")]
    List,
}

pub(super) async fn run(client: &Client, Command::List: Command) -> Result {
    let models = client.control("models_list", json!({})).await?;
    if client.json {
        as_json(&models);
        return Ok(());
    }
    let names = |model: &Value, key: &str| list(model, key).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let row = |model: &Value| {
        let answered = if model.get("targets").is_some() { names(model, "targets") } else { text(model, "provider") };
        vec![text(model, "name"), answered, names(model, "context"), names(model, "tools")]
    };
    table(&["MODEL", "ANSWERED BY", "CONTEXT", "TOOLS"], list(&models, "models").iter().map(row));
    Ok(())
}
