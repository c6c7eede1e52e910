//! The small process between the gateway and a server's program.
//!
//! The gateway starts itself again with [`SUPERVISE`]; that process starts the program in a process
//! group of its own, copies its standard input, and ends the whole group when its own input closes:
//! on an orderly close as well as when the gateway was killed and could do nothing any more.

use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, getppid, kill_process_group};

/// The word that makes the binary a supervisor.
pub const SUPERVISE: &str = "__supervise";

enum Happened {
    InputClosed,
    Exited(std::process::ExitStatus),
}

/// Runs a program until it ends or our input closes; the result is its exit code.
pub fn supervise(mut command: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let Some(program) = command.next() else { return ExitCode::from(2) };
    let parent = getppid();
    let started = Command::new(&program).args(command).stdin(Stdio::piped()).process_group(0).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{} could not be started: {error}", program.to_string_lossy());
            return ExitCode::from(127);
        }
    };
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (out, happened) = mpsc::channel();
    let closed = out.clone();
    thread::spawn(move || {
        // Also seen while the copying below is held up by a program that does not read.
        let stdin = std::io::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
        while poll(&mut watched, None).is_err() {}
        let _ = closed.send(Happened::InputClosed);
    });
    if let Some(mut input) = child.stdin.take() {
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            let mut stdin = std::io::stdin().lock();
            while let Ok(read @ 1..) = stdin.read(&mut buffer) {
                // A program that closed its input may still be at work: keep watching ours.
                let _ = input.write_all(buffer.get(..read).unwrap_or_default()).and_then(|()| input.flush());
            }
        });
    }
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = out.send(Happened::Exited(status));
        }
    });
    let status = match happened.recv() {
        Ok(Happened::Exited(status)) => Some(status),
        Ok(Happened::InputClosed) => {
            // A killed parent closes its pipes a moment before we are handed to another one.
            thread::sleep(Duration::from_millis(50));
            // Whoever asked in an orderly way waits for us; nobody waits once the gateway is dead.
            let grace = Duration::from_millis(if getppid() == parent { 2_000 } else { 400 });
            [Signal::TERM, Signal::KILL].into_iter().find_map(|signal| match happened.recv_timeout(grace) {
                Ok(Happened::Exited(status)) => Some(status),
                _ => {
                    end(group, signal);
                    None
                }
            })
        }
        Err(_) => None,
    };
    // What the program started and left behind goes with it.
    end(group, Signal::KILL);
    match status {
        Some(status) => {
            ExitCode::from(status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        None => ExitCode::from(137),
    }
}

fn end(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}
