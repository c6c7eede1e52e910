//! The code of a server that a package runner fetches: which version the runner itself would run, and how it is told to run that one.

mod npx;
mod package;
mod uvx;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use package::Package;

use super::error::Error;
use super::transport::Launch;
use crate::domain::{ServerSpec, Transport, clip};

/// The longest a runner may take to say which version it would run.
const PATIENCE: Duration = Duration::from_secs(60);

/// A published version of a package, and what its registry says that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Who fetches and runs it.
    pub runner: Runner,
    /// The package, by its name in its registry.
    pub package: String,
    /// The version that is run.
    pub version: String,
    /// What the registry says that it holds: Subresource Integrity of npm, or the SHA-256 of each of `PyPI`'s files.
    pub integrity: Vec<String>,
}

/// A program that fetches a package and runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// Of npm.
    Npx,
    /// Of uv, for `PyPI`.
    Uvx,
}

/// The command of a server that a runner fetches, and who does.
fn packaged(spec: &ServerSpec) -> Option<(Runner, Package, &[String])> {
    let Transport::Stdio { command, .. } = &spec.transport else { return None };
    let program = Path::new(command.first()?).file_name()?.to_str()?;
    let (runner, package) = match program {
        "npx" => (Runner::Npx, npx::package(command)?),
        "uvx" => (Runner::Uvx, uvx::package(command)?),
        _ => return None,
    };
    Some((runner, package, command))
}

impl Code {
    /// Which version the runner of a server's command would run now; none where the command is of no runner, or names no package of a
    /// registry.
    pub async fn resolve(spec: &ServerSpec) -> Option<Result<Self, String>> {
        let (runner, package, command) = packaged(spec)?;
        let Transport::Stdio { env, .. } = &spec.transport else { return None };
        // The one beside it, which reads the same settings.
        let beside = |name: &str| match command.first().map(Path::new).and_then(Path::parent) {
            Some(folder) if !folder.as_os_str().is_empty() => folder.join(name).display().to_string(),
            _ => name.to_owned(),
        };
        let ask = async |mut words: Vec<String>, said: &str| {
            if let Some(program) = words.first_mut() {
                *program = beside(program);
            }
            let launch = Launch { command: &words, env };
            let answer = tokio::time::timeout(PATIENCE, launch.output(said)).await.unwrap_or(Err(Error::Timeout(PATIENCE)));
            answer.map_err(|error| format!("`{}` does not say which version it would run: {error}", words.join(" ")))
        };
        let answer = match runner {
            Runner::Npx => ask(npx::question(&package), "").await.and_then(|said| npx::answer(&said)),
            Runner::Uvx => ask(uvx::question(), &uvx::requirement(&package)).await.and_then(|said| uvx::answer(&said)),
        };
        let told = answer.and_then(|(version, integrity)| {
            // It becomes part of a command.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_' | b'!');
            let fits = (1..=64).contains(&version.len()) && version.bytes().all(plain) && !version.starts_with('-');
            if fits { Ok((version, integrity)) } else { Err(format!("`{}` is no version", clip(&version, 80))) }
        });
        Some(told.map(|(version, integrity)| Self { runner, package: package.name, version, integrity }))
    }

    /// A server whose command runs this very version; none where the command is of another package or runner.
    pub fn run_by(&self, spec: &ServerSpec) -> Option<ServerSpec> {
        let (runner, package, command) = packaged(spec)?;
        if (runner, &package.name) != (self.runner, &self.package) {
            return None;
        }
        let Transport::Stdio { env, .. } = &spec.transport else { return None };
        let mut command = command.to_vec();
        if let Some(word) = command.get_mut(package.at) {
            *word = match runner {
                Runner::Npx => npx::pinned(&package, &self.version),
                Runner::Uvx => uvx::pinned(&package, &self.version),
            };
        }
        Some(ServerSpec { transport: Transport::Stdio { command, env: env.clone() }, ..spec.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn spec(command: &str) -> ServerSpec {
        let command = command.split(' ').map(str::to_owned).collect();
        ServerSpec { declared: true, ..ServerSpec::new("files".parse().unwrap(), Transport::Stdio { command, env: BTreeMap::new() }) }
    }

    #[test]
    fn a_command_of_a_runner_is_told_to_run_one_version_and_nothing_else_of_it_changes() {
        let pinned = |command: &str, package: &str| {
            let runner = if command.contains("uvx") { Runner::Uvx } else { Runner::Npx };
            let code = Code { runner, package: package.to_owned(), version: "1.2.3".to_owned(), integrity: Vec::new() };
            let Transport::Stdio { command, .. } = code.run_by(&spec(command))?.transport else { return None };
            Some(command.join(" "))
        };
        for (command, package, runs) in [
            ("npx -y @scope/server-files /data", "@scope/server-files", "npx -y @scope/server-files@1.2.3 /data"),
            ("/usr/bin/npx --yes server@^1 a@2", "server", "/usr/bin/npx --yes server@1.2.3 a@2"),
            ("npx -y --package=@a/b@latest cmd x", "@a/b", "npx -y --package=@a/b@1.2.3 cmd x"),
            ("npx -p a-b cmd", "a-b", "npx -p a-b@1.2.3 cmd"),
            ("uvx mcp-server-git --repository .", "mcp-server-git", "uvx mcp-server-git@1.2.3 --repository ."),
            ("uvx mcp-server-git@latest", "mcp-server-git", "uvx mcp-server-git@1.2.3"),
            ("uvx --python 3.12 --from my_pkg[x,y]>=1 cmd", "my_pkg", "uvx --python 3.12 --from my_pkg[x,y]==1.2.3 cmd"),
            ("uvx --from=pkg cmd", "pkg", "uvx --from=pkg==1.2.3 cmd"),
        ] {
            assert_eq!(pinned(command, package).as_deref(), Some(runs), "{command}");
        }
        assert_eq!(pinned("npx -y other", "server"), None, "a version is of one package");
        for unknown in [
            "npx -y github:a/b",
            "npx ./local",
            "npx -c cmd",
            "npx -p a -p b cmd",
            "npx -y https://x.example/a.tgz",
            "uvx --from git+https://x.example/a cmd",
            "uvx --with other pkg",
            "uvx ./local",
            "node server.js",
            "npx",
        ] {
            assert!(packaged(&spec(unknown)).is_none(), "{unknown}");
        }
    }
}
