//! The flags that every command knows.

use std::path::PathBuf;

use clap::Args;

/// How the gateway is reached, and how results look.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// The gateway's address; stands before the command, for `server add` has a `--url` of its own
    #[arg(long = "url", id = "gateway", env = "PORTOLAN_URL", default_value = "http://127.0.0.1:8484", value_name = "URL")]
    pub url: String,
    /// Where the gateway keeps its state, and this command finds the owner key
    #[arg(long, global = true, env = "PORTOLAN_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub json: bool,
}
