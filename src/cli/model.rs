//! `portolan model …`

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Client, Error, Result};
use super::context::parted;
use super::output::{as_json, is, list, print, table, text};
use crate::domain::printable;

/// What can be done with models.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All models that can be called
    #[command(visible_alias = "ls")]
    List,
    /// How a name resolves: its conditions, and its targets in the order they are tried; exit code 1 when it would not be answered
    Explain {
        /// The name, as a caller writes it
        name: String,
        /// A tag of the request, `request.tags.KEY`; may be given several times
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
        /// The id of the key that calls; without it, the one this command uses
        #[arg(long, value_name = "ID")]
        key: Option<String>,
        /// Where the request comes in
        #[arg(long, value_enum, default_value = "chat")]
        endpoint: Endpoint,
        /// The answer is wanted as a stream
        #[arg(long)]
        stream: bool,
    },
}

/// Where a request comes in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/embeddings`
    Embeddings,
}

pub(super) async fn run(client: &Client, command: Command) -> Result {
    match command {
        Command::List => show_list(client).await,
        Command::Explain { name, tags, key, endpoint, stream } => {
            let tags = tags.iter().map(|tag| parted(tag)).collect::<Result<Map<_, _>>>()?;
            let endpoint = format!("{endpoint:?}").to_lowercase();
            let asked = json!({ "name": name, "tags": tags, "key": key, "endpoint": endpoint, "stream": stream });
            let told = client.control("models_explain", asked).await?;
            if client.json {
                as_json(&told);
            } else {
                show(&told);
            }
            if is(&told, "usable") {
                return Ok(());
            }
            Err(Error::Told)
        }
    }
}

async fn show_list(client: &Client) -> Result {
    let models = client.control("models_list", json!({})).await?;
    if client.json {
        as_json(&models);
        return Ok(());
    }
    let names = |model: &Value, key: &str| list(model, key).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let row = |model: &Value| {
        let answered = if model.get("blocked").is_some_and(Value::is_string) {
            "(blocked)".to_owned()
        } else if model.get("targets").is_some() {
            names(model, "targets")
        } else {
            text(model, "provider")
        };
        // One target needs no strategy.
        let strategy = if list(model, "targets").len() > 1 { text(model, "strategy") } else { String::new() };
        vec![text(model, "name"), answered, strategy, names(model, "context"), names(model, "tools")]
    };
    table(&["MODEL", "ANSWERED BY", "STRATEGY", "CONTEXT", "TOOLS"], list(&models, "models").iter().map(row));
    Ok(())
}

/// Prints an explanation for people.
fn show(told: &Value) {
    let outcome = if is(told, "usable") { "is answered" } else { "is NOT answered" };
    let mut lines = vec![format!("`{}` {outcome} for {}: {}", text(told, "name"), text(told, "caller"), text(told, "why"))];
    if let Some(when) = told.get("when") {
        lines.push(format!("when      {}: {}", text(when, "expression"), verdict(Some(when))));
    }
    if told.get("strategy").is_some() {
        lines.push(format!("strategy  {}", text(told, "strategy")));
    }
    if !list(told, "targets").is_empty() {
        lines.push(format!("retries   {} at each target", text(told, "retries")));
    }
    lines.extend(list(told, "warnings").iter().filter_map(Value::as_str).map(|warning| format!("warning   {warning}")));
    let near: Vec<&str> = list(told, "suggestions").iter().filter_map(Value::as_str).collect();
    if !near.is_empty() {
        lines.push(format!("did you mean {}?", near.join(", ")));
    }
    print(&format!("{}\n", printable(&lines.join("\n"))));
    if list(told, "targets").is_empty() {
        return;
    }
    print("\n");
    let row = |target: &Value| {
        let cost = |key: &str| target.get("price").and_then(|price| price.get(key)).and_then(Value::as_f64);
        let price = match (cost("input"), cost("output")) {
            (Some(input), Some(output)) => format!("{input} / {output}"),
            _ => "unknown".to_owned(),
        };
        let used = if is(target, "used") { "yes" } else { "no" };
        let breaker = text(target, "breaker");
        vec![
            text(target, "target"),
            used.to_owned(),
            price,
            text(target, "weight"),
            breaker,
            verdict(target.get("when")),
            text(target, "why"),
        ]
    };
    let head = ["TARGET", "TRIED", "$ PER MTOK IN / OUT", "WEIGHT", "BREAKER", "WHEN", "WHY"];
    table(&head, list(told, "targets").iter().map(row));
}

/// What a condition says, in a few words.
fn verdict(when: Option<&Value>) -> String {
    let Some(when) = when else { return "-".to_owned() };
    match when.get("error").and_then(Value::as_str) {
        Some(why) => format!("no, it fails: {why}"),
        None => text(when, "verdict"),
    }
}
