//! How to start a gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

/// How to start a gateway.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file; the embedded defaults without one.
    pub config: Option<PathBuf>,
    /// Where to listen, instead of what the configuration says.
    pub listen: Option<SocketAddr>,
    /// Where state is kept, instead of the platform's data directory.
    pub data_dir: Option<PathBuf>,
}
