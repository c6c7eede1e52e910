//! Connections: accepted, bounded, and drained.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::every;
use super::pace::{Pace, Paced, Phase};
use super::state::State;

/// The longest a connection may be idle between two requests: longer than most clients keep theirs,
/// so that they do not send into one that is just being closed.
const IDLE: Duration = Duration::from_secs(75);
/// How slow a peer may be: slow enough for a bad line, too fast for those who only want to hold connections.
const PACE: Pace = Pace { head: Duration::from_secs(5), stall: Duration::from_secs(30) };
/// How long connections are still accepted once the gateway is told to stop.
const LINGER: Duration = Duration::from_secs(1);
/// Most connections at one time.
const CONNECTIONS: usize = 20_000;
/// Most connections that wait to be accepted; the system may allow fewer.
const WAITING: u32 = 4_096;
/// Most headers of a request.
const HEADERS: usize = 100;
/// Largest head of a request, in bytes.
const HEAD_SIZE: usize = 64 << 10;

/// Listens on an address. Many clients that come at once wait to be accepted; whom the usual queue of 128 has no room
/// for would try again only after a second.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As after a restart, when connections of the one before are still being closed.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves until `stop`, then drains: readiness goes first, requests in flight may finish within the
/// settings' grace, streams that only wait are ended.
pub async fn serve(listener: TcpListener, router: Router, state: State, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD_SIZE).max_headers(HEADERS).keep_alive(true);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async || {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let phase = Phase::default();
                let stream = TokioIo::new(Paced::new(stream, PACE, phase.clone()));
                let (state, router) = (state.clone(), router.clone());
                let service = service_fn(move |request| {
                    phase.step();
                    let (state, router, phase) = (state.clone(), router.clone(), phase.clone());
                    async move {
                        // In a box: while a stream is read, and between two requests, nothing of it is kept.
                        let answer = Box::pin(every::answer(&state, &router, request)).await;
                        phase.step();
                        Ok::<_, Infallible>(answer)
                    }
                });
                let connection = graceful.watch(http.serve_connection(stream, service));
                // Not awaited in a block, which would hold it twice.
                tokio::spawn(connection.map(|_| drop(place)));
            }
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some go instead of spinning.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept() => {}
        }
    }
    let told = tokio::time::Instant::now();
    let grace = state.settings.load().drain;
    state.ready.store(false, Ordering::Relaxed);
    state.closing.cancel();
    // Whoever balances load must be able to see that we are no longer ready.
    let linger = tokio::time::sleep(LINGER.min(grace));
    tokio::pin!(linger);
    loop {
        tokio::select! {
            () = &mut linger => break,
            () = accept() => {}
        }
    }
    drop(listener);
    if tokio::time::timeout_at(told + grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish within {grace:?}; they are cut off");
    }
}
