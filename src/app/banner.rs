//! What a person sees at the start: where things are, what was found, what to do next.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::live::Live;
use super::options::Options;
use crate::config::ECHO;

/// The start-up text.
pub(super) fn banner(address: SocketAddr, options: &Options, live: &Live, owner_key: Option<&str>) -> String {
    let base = format!("http://{address}");
    let mut out = format!("\nPortolan {} serves on {base}\n\n", env!("CARGO_PKG_VERSION"));
    let config = options.config.as_ref().map_or_else(|| "none; built-in defaults".to_owned(), |path| path.display().to_string());
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<12}{text}");
    };
    line("MCP", &format!("{base}/mcp          all servers as one; one by itself at /mcp/NAME"));
    line("OpenAI", &format!("{base}/v1           base URL for any OpenAI client"));
    line("Anthropic", &format!("{base}              base URL for any Anthropic client"));
    line("console", &format!("{base}/             `portolan open` logs a browser in"));
    line("config", &config);
    line("owner key", &live.auth.owner_file().display().to_string());
    let providers: Vec<String> = live.found.iter().map(|(name, from)| format!("{name} ({from})")).collect();
    line(
        "providers",
        &if providers.is_empty() { format!("none found; the built-in model {ECHO} answers without one") } else { providers.join(", ") },
    );
    let catalog = live.registry.catalog();
    let servers: Vec<String> = catalog.servers.keys().map(ToString::to_string).collect();
    line("servers", &if servers.is_empty() { "none yet".to_owned() } else { servers.join(", ") });
    if !catalog.toolsets.is_empty() {
        line("toolsets", &catalog.toolsets.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    if !address.ip().is_loopback() {
        line("access", "every caller needs a key: `portolan key create --grant mcp --grant models`");
        if let Some(key) = owner_key {
            line("", &format!("the owner key, shown this once: {key}"));
        }
    }
    out.push_str("\nTry, in another terminal:\n");
    let portolan = called();
    // What the command line assumes when it is told nothing.
    if address.port() != 8484 {
        let _ = writeln!(out, "  export PORTOLAN_URL=http://127.0.0.1:{}", address.port());
    }
    if let Some(dir) = options.data_dir.as_ref().and_then(|dir| std::path::absolute(dir).ok()) {
        let _ = writeln!(out, "  export PORTOLAN_DATA_DIR='{}'", dir.display());
    }
    if servers.is_empty() {
        let _ = writeln!(out, "  {portolan} server add demo -- portolan demo-server");
    }
    let _ = write!(out, "  {portolan} tool list\n  {portolan} open\n  {portolan} chat \"hello\"\n\n");
    out
}

/// How the command is called from a shell: by its name where that finds it, else by its path.
fn called() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("portolan").is_file());
    let own = || std::env::current_exe().ok().map(|path| path.display().to_string());
    if found { None } else { own() }.unwrap_or_else(|| "portolan".to_owned())
}
