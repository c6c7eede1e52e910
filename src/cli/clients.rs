//! The agent clients whose configuration we can write and read: where it lies, and what it looks like.
//!
//! To add one: a variant, and an arm in each of the functions below.

use std::env;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Value, json};

/// An agent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgentClient {
    /// Claude Code: `.mcp.json` of a project
    ClaudeCode,
    /// Claude Desktop, which starts `portolan stdio`
    ClaudeDesktop,
    /// Cursor
    Cursor,
    /// VS Code: `.vscode/mcp.json` of a project
    Vscode,
    /// Codex, in TOML
    Codex,
    /// Zed
    Zed,
    /// Gemini CLI
    GeminiCli,
    /// opencode
    Opencode,
}

/// How a client reaches the gateway.
pub(super) struct Reach<'r> {
    /// The gateway's own address.
    pub(super) gateway: &'r str,
    /// One server or toolset instead of all.
    pub(super) server: Option<&'r str>,
    /// The variable of the environment that holds a key.
    pub(super) key: Option<&'r str>,
}

impl Reach<'_> {
    fn url(&self) -> String {
        let gateway = self.gateway.trim_end_matches('/');
        self.server.map_or_else(|| format!("{gateway}/mcp"), |server| format!("{gateway}/mcp/{server}"))
    }
}

impl AgentClient {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Cursor => "Cursor",
            Self::Vscode => "VS Code",
            Self::Codex => "Codex",
            Self::Zed => "Zed",
            Self::GeminiCli => "Gemini CLI",
            Self::Opencode => "opencode",
        }
    }

    /// The file that is written.
    pub(super) fn file(self) -> Option<PathBuf> {
        let home = || set("HOME");
        let config = || set("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| home().map(|home| home.join(".config")));
        match self {
            Self::ClaudeCode => Some(".mcp.json".into()),
            Self::ClaudeDesktop if cfg!(target_os = "macos") => {
                home().map(|home| home.join("Library/Application Support/Claude/claude_desktop_config.json"))
            }
            Self::ClaudeDesktop => config().map(|config| config.join("Claude/claude_desktop_config.json")),
            Self::Cursor => home().map(|home| home.join(".cursor/mcp.json")),
            Self::Vscode => Some(".vscode/mcp.json".into()),
            Self::Codex => set("CODEX_HOME").or_else(|| home().map(|home| home.join(".codex"))).map(|dir| dir.join("config.toml")),
            Self::Zed => config().map(|config| config.join("zed/settings.json")),
            Self::GeminiCli => home().map(|home| home.join(".gemini/settings.json")),
            Self::Opencode => config().map(|config| config.join("opencode/opencode.json")),
        }
    }

    /// Where else a client keeps its servers, for those who read them.
    pub(super) fn files(self) -> Vec<PathBuf> {
        let home = set("HOME");
        let more = match self {
            Self::ClaudeCode => home.map(|home| home.join(".claude.json")),
            Self::Cursor => Some(".cursor/mcp.json".into()),
            Self::GeminiCli => Some(".gemini/settings.json".into()),
            Self::Opencode => Some("opencode.json".into()),
            _ => None,
        };
        self.file().into_iter().chain(more).collect()
    }

    /// The member of the file that holds its servers.
    pub(super) fn root(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::ClaudeDesktop | Self::Cursor | Self::GeminiCli => "mcpServers",
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            Self::Zed => "context_servers",
            Self::Opencode => "mcp",
        }
    }

    /// The entry of the gateway; an error says why it cannot be written so.
    pub(super) fn entry(self, reach: &Reach<'_>) -> Result<Value, String> {
        let url = reach.url();
        // Each has its own word for a variable.
        let bearer = |open: &str, close: &str| reach.key.map(|key| json!({ "Authorization": format!("Bearer {open}{key}{close}") }));
        let with = |mut entry: Value, headers: Option<Value>| {
            if let (Some(headers), Some(members)) = (headers, entry.as_object_mut()) {
                members.insert("headers".to_owned(), headers);
            }
            entry
        };
        Ok(match self {
            Self::ClaudeCode => with(json!({ "type": "http", "url": url }), bearer("${", "}")),
            Self::Cursor => with(json!({ "url": url }), bearer("${env:", "}")),
            Self::Vscode => with(json!({ "type": "http", "url": url }), bearer("${env:", "}")),
            Self::GeminiCli => with(json!({ "httpUrl": url }), bearer("$", "")),
            Self::Opencode => with(json!({ "type": "remote", "url": url, "enabled": true }), bearer("{env:", "}")),
            Self::Codex => match reach.key {
                Some(key) => json!({ "url": url, "bearer_token_env_var": key }),
                None => json!({ "url": url }),
            },
            Self::Zed | Self::ClaudeDesktop if reach.key.is_some() => {
                return Err(format!(
                    "{} reads no variables in its file, and a key must not stand in it; leave `--key-env` out",
                    self.name()
                ));
            }
            Self::Zed => json!({ "url": url }),
            Self::ClaudeDesktop => {
                let program = env::current_exe().map_or_else(|_| "portolan".to_owned(), |path| path.display().to_string());
                let arguments: Vec<&str> = ["stdio"].into_iter().chain(reach.server).collect();
                json!({ "command": program, "args": arguments, "env": { "PORTOLAN_URL": reach.gateway } })
            }
        })
    }
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
