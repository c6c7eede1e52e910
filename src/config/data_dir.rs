//! Where the gateway keeps its state, and where the command line finds the owner key.

use std::env;
use std::path::{Path, PathBuf};

/// The named directory, else `PORTOLAN_DATA_DIR`, else the platform's own place for data.
pub fn data_dir(named: Option<&Path>) -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME");
    let platform = || {
        if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Application Support/portolan"))
        } else {
            let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute()).or_else(|| home().map(|home| home.join(".local/share")));
            base.map(|base| base.join("portolan"))
        }
    };
    named.map(Path::to_owned).or_else(|| set("PORTOLAN_DATA_DIR")).or_else(platform)
}
