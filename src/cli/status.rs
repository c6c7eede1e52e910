//! `portolan status`

use serde_json::{Value, json};

use super::client::{Client, Result};
use super::output::{as_json, list, print, text};

pub(super) async fn run(client: &Client) -> Result {
    let status = client.control("status_show", json!({})).await?;
    if client.json {
        as_json(&status);
        return Ok(());
    }
    let names = |key: &str| {
        let names: Vec<&str> = list(&status, key).iter().filter_map(Value::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    print(&format!("version    {}\nup         {} s\n", text(&status, "version"), text(&status, "uptime_s")));
    print(&format!("servers    {}\nproviders  {}\nheld       {}\n", text(&status, "servers"), names("providers"), names("held")));
    if !list(&status, "blocked").is_empty() {
        print(&format!("blocked    {}\n", names("blocked")));
    }
    for problem in list(&status, "problems") {
        let kinds = ["configuration", "server", "provider", "target"];
        let of = kinds.iter().find(|kind| problem.get(**kind).is_some()).unwrap_or(&"server");
        print(&format!("problem    {of} {}: {}\n", text(problem, of), text(problem, "error")));
    }
    Ok(())
}
