//! The command line as a client: it speaks MCP to the control server and uses nothing else of the
//! gateway. One file per noun; to add a command, add it to its noun's file.

mod access;
mod chat;
mod client;
mod clients;
mod connect;
mod connection;
mod context;
mod curated;
mod file;
mod init;
mod journal;
mod key;
mod login;
mod model;
mod open;
mod output;
mod registry;
mod server;
mod sides;
mod status;
mod stdio;
mod takeover;
mod tool;

use std::process::ExitCode;

use clap::Subcommand;

pub use connection::Connection;
pub use output::{print, show_check, show_unreadable};
pub use registry::{Command as Releases, show_verified, show_written};

use client::Client;

/// The commands that talk to a running gateway, or prepare to.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write a first configuration, with the servers that an agent client knows
    Init(init::Init),
    /// Show or write the configuration of an agent client
    Connect(connect::Connect),
    /// MCP servers: add, login, logout, list, show, refresh, enable, disable, remove
    #[command(subcommand)]
    Server(server::Command),
    /// Tools as a client sees them: list, search, show, call
    #[command(subcommand)]
    Tool(tool::Command),
    /// Releases of definitions: releases, diff, approve, reject; and the servers that can be added by name: curated
    #[command(subcommand)]
    Registry(registry::Command),
    /// Context sources: list, preview
    #[command(subcommand)]
    Context(context::Command),
    /// Models: list, explain
    #[command(subcommand)]
    Model(model::Command),
    /// Talk to a model in the terminal
    Chat(chat::Chat),
    /// API keys: create, list, revoke
    #[command(subcommand)]
    Key(key::Command),
    /// The kill switch: end what something does, and refuse it from now on
    Block(access::Block),
    /// Lift a block
    Unblock {
        /// As `portolan blocks` shows it
        target: String,
    },
    /// What is blocked, by whom and why
    Blocks,
    /// Who asked for what, and what came of it
    Journal(journal::Journal),
    /// Answers, tokens and cost, added up
    Usage(journal::Usage),
    /// The console in the browser, by a link that logs in once
    Open(open::Open),
    /// What runs, what is held, what is wrong
    Status,
    /// MCP over standard streams, for clients that know nothing else
    Stdio {
        /// One server or toolset instead of all
        server: Option<String>,
    },
}

/// Runs one command.
pub async fn run(connection: &Connection, command: Command) -> ExitCode {
    let outcome = match (command, Client::new(connection)) {
        // These need no gateway.
        (Command::Init(init), _) => init::run(connection, &init),
        (Command::Connect(connect), _) => connect::run(connection, &connect),
        (Command::Registry(registry::Command::Curated), _) => {
            curated::show(connection.json);
            Ok(())
        }
        (_, Err(error)) => Err(error),
        (Command::Server(command), Ok(client)) => server::run(&client, command).await,
        (Command::Tool(command), Ok(client)) => tool::run(&client, command).await,
        (Command::Registry(command), Ok(client)) => registry::run(&client, command).await,
        (Command::Context(command), Ok(client)) => context::run(&client, command).await,
        (Command::Model(command), Ok(client)) => model::run(&client, command).await,
        (Command::Chat(chat), Ok(client)) => chat::run(&client, chat).await,
        (Command::Key(command), Ok(client)) => key::run(&client, command).await,
        (Command::Block(block), Ok(client)) => access::block(&client, block).await,
        (Command::Unblock { target }, Ok(client)) => access::unblock(&client, target).await,
        (Command::Blocks, Ok(client)) => access::show(&client).await,
        (Command::Journal(wish), Ok(client)) => journal::journal(&client, wish).await,
        (Command::Usage(wish), Ok(client)) => journal::usage(&client, wish).await,
        (Command::Open(open), Ok(client)) => open::run(&client, &open).await,
        (Command::Status, Ok(client)) => status::run(&client).await,
        (Command::Stdio { server }, Ok(client)) => stdio::run(client, server).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, client::Error::Told) {
                output::complain(&error, connection.json);
            }
            error.exit_code()
        }
    }
}
