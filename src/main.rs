//! The command line: the gateway itself, and a client for it.

mod demo;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use portolan::cli::{self, Connection, Releases};
use portolan::{Curate, Options, SUPERVISE, supervise};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One gateway between AI agents, models and tools: LLM providers and MCP servers behind a versioned registry.
///
/// Without a command it serves. All commands but `serve`, `init`, `connect`, `check`, `config`, `registry verify`,
/// `registry curated`, `registry curate` and `demo-server` talk to a running gateway. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 gateway not reachable.
#[derive(Parser)]
#[command(name = "portolan", version)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Default)]
struct Serve {
    /// The configuration file [default: ./portolan.yaml if it is there, else built-in defaults]
    #[arg(long, env = "PORTOLAN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, instead of what the configuration says
    #[arg(long, env = "PORTOLAN_LISTEN", value_name = "ADDR", value_parser = portolan::listen_address)]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// What stands behind the command, else what stands before it.
    fn or(self, before: Self) -> Self {
        Self { config: self.config.or(before.config), listen: self.listen.or(before.listen) }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Start the gateway
    Serve(Serve),
    /// Read a configuration as a start would, and try its providers and servers
    Check {
        /// The configuration file [default: ./portolan.yaml if it is there, else built-in defaults]
        #[arg(long, env = "PORTOLAN_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Only read the file
        #[arg(long)]
        offline: bool,
    },
    /// About the configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// A small MCP server over standard streams, to try things with
    DemoServer {
        /// A file with the description of the tool `echo`, read at every list: to see what happens when it changes
        #[arg(long, value_name = "FILE")]
        words: Option<PathBuf>,
    },
    #[command(flatten)]
    Client(cli::Command),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of `portolan.yaml`
    Schema,
}

fn main() -> ExitCode {
    // Programs of servers run as the same user. Without this they could read the environment of whoever starts them, keys and all:
    // of the gateway, of `check`, and of the supervisors of each other.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == SUPERVISE) {
        return supervise(words);
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> ExitCode {
    let Arguments { connection, serve, command } = arguments;
    let outcome = match command {
        None => start(connection, serve).await,
        Some(Command::Serve(own)) => start(connection, own.or(serve)).await,
        Some(Command::Check { config, offline }) => return check(config.or(serve.config), offline, connection.json).await,
        Some(Command::Config { command: ConfigCommand::Schema }) => {
            cli::print(&format!("{:#}\n", portolan::config_schema()));
            Ok(())
        }
        Some(Command::DemoServer { words }) => demo::run(words).await,
        // These ask the servers of a configuration themselves.
        Some(Command::Client(cli::Command::Registry(Releases::Verify { file, config }))) => {
            return verify(config.or(serve.config), file, connection.json).await;
        }
        Some(Command::Client(cli::Command::Registry(Releases::Lock { live: true, file, config, .. }))) => {
            return lock(config.or(serve.config), file, connection.json).await;
        }
        Some(Command::Client(cli::Command::Registry(Releases::Curate { file, out, check, env, arguments }))) => {
            let wish = Curate { file, out, env: env.into_iter().collect(), arguments };
            return curate(wish, check, connection.json).await;
        }
        Some(Command::Client(command)) => return cli::run(&connection, command).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn start(connection: Connection, serve: Serve) -> anyhow::Result<()> {
    let config = portolan::find_config(serve.config)?;
    portolan::run(Options { config, listen: serve.listen, data_dir: connection.data_dir }).await
}

async fn check(config: Option<PathBuf>, offline: bool, json: bool) -> ExitCode {
    let found = portolan::find_config(config);
    let named = found.as_ref().is_ok_and(Option::is_some);
    let checked = match found {
        Ok(config) => portolan::check(config.as_deref(), offline).await,
        Err(error) => Err(error),
    };
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) if json => return cli::show_unreadable(&format!("{error:#}")),
        Err(error) => return failed(&error),
    };
    let rows: Vec<_> = checked.into_iter().map(|one| [one.kind.to_owned(), one.name, one.state.as_str().to_owned(), one.detail]).collect();
    cli::show_check(&rows, named, json)
}

async fn verify(config: Option<PathBuf>, file: Option<PathBuf>, json: bool) -> ExitCode {
    let outcome = async { portolan::verify(portolan::find_config(config)?.as_deref(), file).await };
    match outcome.await {
        Ok(outcome) => cli::show_verified(&serde_json::json!(outcome), "lock --live", json),
        Err(error) if json => cli::show_unreadable(&format!("{error:#}")),
        Err(error) => failed(&error),
    }
}

async fn lock(config: Option<PathBuf>, file: Option<PathBuf>, json: bool) -> ExitCode {
    let outcome = async { portolan::lock(portolan::find_config(config)?.as_deref(), file).await };
    match outcome.await {
        Ok(outcome) => cli::show_written(&serde_json::json!(outcome), outcome.text.as_deref(), json),
        Err(error) if json => cli::show_unreadable(&format!("{error:#}")),
        Err(error) => failed(&error),
    }
}

async fn curate(wish: Curate, check: bool, json: bool) -> ExitCode {
    match portolan::curate(wish).await {
        Ok(outcome) if check => cli::show_verified(&serde_json::json!(outcome), "curate", json),
        Ok(outcome) => cli::show_written(&serde_json::json!(outcome), outcome.text.as_deref(), json),
        Err(error) if json => cli::show_unreadable(&format!("{error:#}")),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("portolan: {error:#}");
    ExitCode::FAILURE
}
