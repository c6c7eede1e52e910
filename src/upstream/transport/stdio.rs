//! A child that speaks JSON-RPC lines (specification: basic/transports/stdio).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::child::{Launch, Started, Stderr};
use super::lines::{Line, MAX_LINE, id_in, next_line};
use super::pending::{Arrival, Pending, Stream, cancelled, every_change};
use crate::domain::{clip, one_line};
use crate::protocol::{Era, Incoming, Level, Outgoing, Params};
use crate::upstream::connection::Wire;
use crate::upstream::patience::within;
use crate::upstream::{Call, Change, Error, Listener};

/// Messages that may wait for a child that reads slowly.
const QUEUE: usize = 64;

/// How a child ended: its exit code, unless a signal did it.
#[derive(Clone, Copy)]
struct Ended(Option<i32>);

/// A running child.
pub(in crate::upstream) struct Stdio {
    lines: mpsc::Sender<String>,
    /// Cancelled when its standard input is to be closed, whoever still waits for an answer.
    closing: CancellationToken,
    pending: Arc<Pending>,
    next_id: AtomicU64,
    stderr: Stderr,
    /// The resources that are followed.
    followed: watch::Sender<BTreeSet<String>>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Stdio {
    /// Starts the program and the tasks that read and write its streams.
    pub(in crate::upstream) fn start(
        launch: &Launch<'_>,
        pending: Pending,
        changed: impl Fn(Change) + Send + 'static,
    ) -> Result<Self, Error> {
        let Started { child, stdin, stdout, stderr, drained } = launch.start()?;
        let (lines, queue) = mpsc::channel(QUEUE);
        let pending = Arc::new(pending);
        let (end, ended) = watch::channel(None);
        let closing = CancellationToken::new();
        let input = write(stdin, queue);
        let closed = closing.clone();
        tokio::spawn(async move { closed.run_until_cancelled(input).await });
        let reader = tokio::spawn(read(stdout, pending.clone(), lines.downgrade(), changed));
        tokio::spawn(reap(child, [reader, drained], pending.clone(), stderr.clone(), end));
        Ok(Self { lines, closing, pending, next_id: AtomicU64::new(1), stderr, followed: watch::Sender::default(), ended })
    }

    /// Has a stateless server tell of changes until it ends: of all its lists, and of the resources that are followed.
    pub(in crate::upstream) async fn listen(self: Arc<Self>) {
        let forever = Duration::from_secs(365 * 24 * 3600);
        let mut followed = self.followed.subscribe();
        let mut listening: Option<AbortOnDropHandle<()>> = None;
        loop {
            let wanted = followed.borrow_and_update().clone();
            let params = every_change(wanted.iter().map(String::as_str));
            let this = Arc::downgrade(&self);
            // What listened so far ends when this one has begun, so that nothing is missed between them.
            let newer = tokio::spawn(async move {
                if let Some(this) = this.upgrade() {
                    let _ = this.call(Era::Modern, Call::new("subscriptions/listen", &params, forever)).await;
                }
            });
            tokio::task::yield_now().await;
            listening.replace(AbortOnDropHandle::new(newer));
            let mut ended = self.ended.clone();
            tokio::select! {
                changed = followed.changed() => if changed.is_err() { return },
                _ = ended.wait_for(Option::is_some) => return,
            }
        }
    }

    fn exited(&self, code: Option<i32>) -> Error {
        Error::Exited { code, stderr: self.stderr.text() }
    }
}

#[async_trait]
impl Wire for Stdio {
    async fn call(&self, era: Era, call: Call<'_>) -> Result<Box<RawValue>, Error> {
        if let Some(Ended(code)) = *self.ended.borrow() {
            return Err(self.exited(code));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = one_line(Outgoing::request(id, call.method, &call.dressed(era, id)));
        if self.closing.is_cancelled() {
            return Err(Error::Closed);
        }
        let listener = call.listener;
        let answer = self.pending.add(id, call.method, listener.clone());
        let greeting = call.method == "initialize";
        let cancel = CancelOnDrop { id, greeting, pending: self.pending.clone(), lines: self.lines.clone() };
        let timeout = call.timeout;
        let sent = self.lines.send(line);
        let outcome = within(timeout, listener.as_ref().map(Listener::pauses), async {
            sent.await.map_err(|_| Error::Closed)?;
            answer.await.unwrap_or(Err(Error::Closed))
        });
        let outcome = outcome.await.unwrap_or(Err(Error::Timeout(timeout)));
        drop(cancel);
        outcome
    }

    async fn notify(&self, method: &str) -> Result<(), Error> {
        self.lines.send(Outgoing::notification(method, &Params::default())).await.map_err(|_| Error::Closed)
    }

    fn raise(&self, level: Level) -> bool {
        self.pending.raise(level)
    }

    async fn follow(&self, uris: BTreeSet<String>) {
        self.followed.send_replace(uris.clone());
        self.pending.stands(&uris).await;
    }

    fn broken(&self) -> Option<Error> {
        let ended = *self.ended.borrow();
        match ended {
            Some(Ended(code)) => Some(self.exited(code)),
            None => self.closing.is_cancelled().then_some(Error::Closed),
        }
    }

    async fn ended(&self) {
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(Option::is_some).await;
    }

    fn stderr(&self) -> Option<String> {
        Some(self.stderr.text())
    }

    async fn close(&self) {
        self.closing.cancel();
        self.pending.fail_all(|| Error::Interrupted);
        let mut ended = self.ended.clone();
        // The supervisor ends the group within four seconds of its input closing.
        let _ = tokio::time::timeout(Duration::from_secs(6), ended.wait_for(Option::is_some)).await;
    }
}

/// Tells the server when nobody waits for an answer any more.
struct CancelOnDrop {
    id: u64,
    /// `initialize` cannot be cancelled (2025-11-25 §basic/utilities/cancellation).
    greeting: bool,
    pending: Arc<Pending>,
    lines: mpsc::Sender<String>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.pending.forget(self.id) && !self.greeting {
            let _ = self.lines.try_send(Outgoing::notification("notifications/cancelled", &cancelled(self.id)));
        }
    }
}

async fn write(mut stdin: ChildStdin, mut queue: mpsc::Receiver<String>) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read(stdout: ChildStdout, pending: Arc<Pending>, lines: mpsc::WeakSender<String>, changed: impl Fn(Change)) {
    let mut reader = BufReader::with_capacity(64 << 10, stdout);
    while let Ok(Some(line)) = next_line(&mut reader, MAX_LINE).await {
        let text = match line {
            Line::Text(text) => text,
            Line::TooLong(head, tail) => {
                if let Some(id) = id_in(&head).or_else(|| id_in(&tail)) {
                    pending.fail(id, Error::TooLarge);
                }
                continue;
            }
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        for message in Incoming::parse_all(&text) {
            match message.map(|message| pending.arrive(message, Stream::All)) {
                Ok(Arrival::Done) => {}
                Ok(Arrival::Changed(change)) => changed(change),
                Ok(Arrival::Reply(reply)) => {
                    if let Some(lines) = lines.upgrade() {
                        let _ = lines.try_send(reply);
                    }
                }
                Ok(Arrival::Asked(inquiry)) => {
                    let (pending, lines) = (pending.clone(), lines.clone());
                    tokio::spawn(async move {
                        let id = inquiry.id.clone();
                        let reply = inquiry.reply().await;
                        pending.answered(&id);
                        if let (Some(reply), Some(lines)) = (reply, lines.upgrade()) {
                            let _ = lines.send(one_line(reply)).await;
                        }
                    });
                }
                Err(unreadable) => {
                    debug!(line = %clip(&String::from_utf8_lossy(&text), 200), "a line that is no message: {}", unreadable.error.message);
                }
            }
        }
    }
}

/// Waits for the child's end, and then for the last of what it had written to either stream.
async fn reap(mut child: Child, readers: [JoinHandle<()>; 2], pending: Arc<Pending>, stderr: Stderr, end: watch::Sender<Option<Ended>>) {
    let code = child.wait().await.ok().and_then(|status| status.code());
    let _ = tokio::time::timeout(Duration::from_millis(500), join_all(readers)).await;
    end.send_replace(Some(Ended(code)));
    pending.fail_all(|| Error::Exited { code, stderr: stderr.text() });
}
