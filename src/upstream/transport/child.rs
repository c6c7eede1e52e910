//! Starting a server's program: no shell, a small environment, a process group of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::net;
use crate::upstream::Error;
use crate::upstream::supervisor::SUPERVISE;

/// Variables a child inherits, by exact name; everything else, provider keys above all, stays here.
const INHERITED: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "UV_NATIVE_TLS",
    "SYSTEMROOT",
    "APPDATA",
    "LOCALAPPDATA",
];
/// Variables a child inherits, by prefix.
const INHERITED_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Most bytes of an answer of a program that is run to its end.
const MOST: u64 = 4 << 20;

/// How much of a child's standard error is kept, in bytes.
const STDERR_KEPT: usize = 64 << 10;

/// A program to start.
pub(in crate::upstream) struct Launch<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Variables beside the inherited ones.
    pub env: &'a BTreeMap<String, String>,
}

/// A started program and its streams.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: Stderr,
    /// Ends when all of standard error was read.
    pub(super) drained: JoinHandle<()>,
}

impl Launch<'_> {
    /// Starts the program under a supervisor that ends its whole group when we are gone.
    pub(super) fn start(&self) -> Result<Started, Error> {
        let (program, found) = self.program()?;
        let failed = |source| Error::Start { program: program.to_owned(), source };
        // On Linux this names the running program also after its file was replaced by an upgrade.
        let own = if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe().map_err(failed)? };
        let mut child = Command::new(own)
            .arg0("portolan")
            .arg(SUPERVISE)
            .arg(found)
            .args(self.command.get(1..).unwrap_or_default())
            .env_clear()
            .envs(inherited())
            .env(net::LOOP_VARIABLE, net::loop_name())
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(Error::Closed);
        };
        let (stderr, drained) = Stderr::drain(stderr);
        Ok(Started { child, stdin, stdout, stderr, drained })
    }
}

impl Launch<'_> {
    /// Runs the program to its end with a text on its standard input; what it writes is its answer.
    pub(in crate::upstream) async fn output(&self, said: &str) -> Result<String, Error> {
        let (program, found) = self.program()?;
        let failed = |source| Error::Start { program: program.to_owned(), source };
        let mut child = Command::new(found)
            .args(self.command.get(1..).unwrap_or_default())
            .env_clear()
            .envs(inherited())
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read has nothing to be told.
            let _ = stdin.write_all(said.as_bytes()).await;
        }
        let (mut answer, mut words) = (Vec::new(), Vec::new());
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            let (mut stdout, mut stderr) = (stdout.take(MOST), stderr.take(STDERR_KEPT as u64));
            let read = tokio::join!(stdout.read_to_end(&mut answer), stderr.read_to_end(&mut words));
            read.0.and(read.1).map_err(failed)?;
        }
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            return Err(Error::Exited { code: status.code(), stderr: String::from_utf8_lossy(&words).into_owned() });
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The program's own name, and where it lies.
    fn program(&self) -> Result<(&str, PathBuf), Error> {
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        let path = self.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        // The demo server must be found also where nobody has put us on the PATH.
        let ourselves = || if program == "portolan" { std::env::current_exe().ok() } else { None };
        let found = find(program, &path).or_else(ourselves).ok_or_else(|| Error::NoProgram(program.to_owned()))?;
        Ok((program, found))
    }
}

/// The variables that every child is given.
fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| INHERITED.contains(&name) || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    })
}

/// Where a program lies, as a shell would look for it.
fn find(program: &str, path: &OsString) -> Option<PathBuf> {
    let runnable = |file: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| runnable(file));
    }
    if program.is_empty() {
        return None;
    }
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| runnable(file))
}

/// The last of what a child wrote to standard error. It is always read, so that no flood can block the child.
#[derive(Clone, Default)]
pub(super) struct Stderr(Arc<Mutex<Vec<u8>>>);

impl Stderr {
    fn drain(mut stream: ChildStderr) -> (Self, JoinHandle<()>) {
        let kept = Self::default();
        let out = kept.clone();
        let drained = tokio::spawn(async move {
            let mut buffer = vec![0; STDERR_KEPT];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                out.keep(buffer.get(..read).unwrap_or_default());
                // Much at once means a flood: read it in few large pieces, so that it costs the child its time and not ours.
                if read >= 4 << 10 {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            }
        });
        (kept, drained)
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..excess);
    }

    /// What is kept, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
