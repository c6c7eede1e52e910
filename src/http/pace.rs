//! How slow a peer may be: the head of a request must follow its first byte soon, and what we send must be taken.
//!
//! hyper has one timer for both the wait between two requests and the arrival of a head; a slow head
//! must end sooner than an idle connection, so heads are timed here.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How slow a peer may be.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// The longest the head of a request may take from its first byte on.
    pub(super) head: Duration,
    /// The longest a peer may take nothing of what is sent to it.
    pub(super) stall: Duration,
}

/// Where a connection stands: odd while a request is being answered, counted up with each step.
#[derive(Clone, Default)]
pub(super) struct Phase(Arc<AtomicU64>);

impl Phase {
    /// A request's head has arrived, or its answer has begun.
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose peer must keep pace.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    phase: Phase,
    /// In which phase bytes of a head arrived first, and when.
    head: Option<(u64, Instant)>,
    head_timer: Option<Pin<Box<Sleep>>>,
    stall_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace, phase: Phase) -> Self {
        Self { stream, pace, phase, head: None, head_timer: None, stall_timer: None }
    }

    /// An error once a head has taken too long.
    fn poll_head(&mut self, cx: &mut Context<'_>, arrived: bool) -> Poll<io::Error> {
        let phase = self.phase.now();
        let answering = phase % 2 == 1;
        if answering || self.head.is_some_and(|(of, _)| of != phase) {
            self.head = None;
            self.head_timer = None;
        }
        if answering {
            return Poll::Pending;
        }
        if arrived {
            self.head.get_or_insert_with(|| (phase, Instant::now()));
            return Poll::Pending;
        }
        let Some((_, since)) = self.head else { return Poll::Pending };
        let timer = self.head_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + self.pace.head)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the head of a request took too long"))
    }

    /// What a write came to, or an error once the peer has taken nothing for too long.
    fn poll_stall(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall_timer = None;
            return written;
        }
        let timer = self.stall_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.pace.stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing any more")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() && buffer.filled().len() == before {
            return read;
        }
        match this.poll_head(cx, read.is_ready()) {
            Poll::Ready(late) => Poll::Ready(Err(late)),
            Poll::Pending => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.poll_stall(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.poll_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;

    const HEAD: Duration = Duration::from_millis(300);
    const STALL: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_millis(600);

    fn pair(buffer: usize) -> (DuplexStream, Paced<DuplexStream>, Phase) {
        let (peer, ours) = duplex(buffer);
        let phase = Phase::default();
        (peer, Paced::new(ours, Pace { head: HEAD, stall: STALL }, phase.clone()), phase)
    }

    #[tokio::test]
    async fn a_head_in_drops_is_cut_off_and_an_idle_connection_is_not() {
        let (mut peer, mut paced, _) = pair(64);
        let start = Instant::now();
        let drops = tokio::spawn(async move {
            sleep(LONG).await;
            while peer.write_all(b"x").await.is_ok() {
                sleep(HEAD / 10).await;
            }
        });
        let mut byte = [0; 1];
        let late = loop {
            if let Err(late) = paced.read_exact(&mut byte).await {
                break late;
            }
        };
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= LONG + HEAD);
        drops.abort();
    }

    #[tokio::test]
    async fn a_body_may_take_its_time_and_the_next_head_is_timed_anew() {
        let (mut peer, mut paced, phase) = pair(64);
        let mut byte = [0; 1];
        peer.write_all(b"h").await.unwrap();
        paced.read_exact(&mut byte).await.unwrap();
        phase.step();
        let rest = tokio::spawn(async move {
            for byte in [b"b", b"n"] {
                sleep(LONG).await;
                peer.write_all(byte).await.unwrap();
            }
            sleep(LONG * 10).await;
        });
        paced.read_exact(&mut byte).await.unwrap();
        phase.step();
        paced.read_exact(&mut byte).await.unwrap();
        assert_eq!(paced.read_exact(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        rest.abort();
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_any_more_is_let_go() {
        let (mut peer, mut paced, _) = pair(4);
        let slow = tokio::spawn(async move {
            let mut bytes = [0; 4];
            sleep(STALL / 2).await;
            peer.read_exact(&mut bytes).await.unwrap();
            sleep(STALL * 10).await;
        });
        let start = Instant::now();
        assert_eq!(paced.write_all(&[0; 16]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= STALL / 2 + STALL);
        slow.abort();
    }
}
