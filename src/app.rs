//! Builds every part once, joins them, serves, reloads, drains.

mod banner;
mod check;
mod checked;
mod curate;
mod data_dir;
mod live;
mod names;
mod options;
mod reload;
mod toolsets;
mod verify;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use check::check;
pub use checked::Checked;
pub use curate::{Curate, curate};
pub use data_dir::data_dir;
pub use options::Options;
pub use verify::{Verification, lock, verify};

use live::{Live, base, completions, declared, pins, providers, settings};

use crate::auth::Auth;
use crate::completion::{Complete, Completions, Memory, Sampler};
use crate::config::Config;
use crate::control::{Control, Parts};
use crate::domain::Adjustable;
use crate::federation::{Federation, Pager};
use crate::http::{self, State};
use crate::journal::Journal;
use crate::net::Net;
use crate::policy::{Blocks, Rates};
use crate::registry::{Lock, Registry};
use crate::store::{self, Handles, Seal};
use crate::telemetry::{self, Traces};
use crate::upstream::{Credentials, OnChange, Upstreams};

/// How long the journal has for what it was told last.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A gateway that is built and listens, but does not serve yet.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    state: State,
    live: Live,
    options: Options,
    read: Option<Vec<u8>>,
    config: Config,
    made_owner_key: Option<String>,
    /// The journal's writer.
    written: JoinHandle<()>,
    /// Where traces go.
    traces: Option<Traces>,
    /// Keeps other gateways away from the data directory.
    lock: File,
}

impl Gateway {
    /// Builds all parts and opens the listener.
    pub async fn build(options: Options) -> anyhow::Result<Self> {
        // What the file held when it was read; a change right behind that must not be missed.
        let read = options.config.as_ref().and_then(|path| std::fs::read(path).ok());
        let config = match &options.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        telemetry::log(&config.telemetry);
        let metrics = telemetry::metrics();
        // A second provider in the same process keeps the first; both are the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let data_dir = data_dir(options.data_dir.as_deref())?;
        let lock = data_dir::take(&data_dir)?;
        let net = Net::new()?;
        let traces = config.telemetry.otlp.as_ref().map(|otlp| Traces::open(otlp, &net)).transpose()?;
        let seal = Arc::new(Seal::open(&data_dir)?);
        let pager = Pager::new(&seal.derived("portolan/cursor"));
        let handles = Handles::new(&seal)?;
        let store = store::open(&config.storage.file(&data_dir)?, seal).await?;
        let (auth, made_owner_key) = Auth::open(&data_dir, store.clone(), net.clone(), &config.auth).await?;

        let blocks = Blocks::open(store.clone()).await?;
        let rates = Rates::default();
        rates.configure(&config.limits);
        let (journal, written) = Journal::new(store.clone(), &config.journal);
        let slot: Arc<OnceLock<Registry>> = Arc::default();
        let listen = options.listen.unwrap_or(config.server.listen);
        let listener = http::listen(listen).with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
        let address = listener.local_addr()?;
        let credentials = Credentials::new(net.clone(), store.clone(), &base(&config, address));
        let upstreams = Upstreams::new(net.clone(), Some(credentials.clone()), telling(slot.clone()));
        let (refresh, tool_timeout) = (Adjustable::new(config.registry.refresh.0), Adjustable::new(config.limits.tool_timeout.0));
        let memory = Memory::new(store.clone(), config.storage.responses.0);
        let registry = Registry::new(store, upstreams.clone(), refresh.clone());
        let _ = slot.set(registry.clone());
        registry.hide(&blocks).await;
        registry.judge_by(config.registry.review());
        if let Some(path) = config.registry.locked_by() {
            registry.lock(Lock::load(&path)?).await?;
        }
        registry.pin_declared(pins(&config)).await?;
        registry.load(declared(&config), &config.mcp.chosen()).await?;

        let federation = Federation::new(
            registry.clone(),
            upstreams.clone(),
            blocks.clone(),
            journal.clone(),
            handles.clone(),
            tool_timeout.clone(),
            pager,
        );
        let (providers, found) = providers(&config);
        let completions = Arc::new(ArcSwap::from_pointee(completions(&config, &providers, &net, &federation, &memory, &blocks)));
        federation.sample_with(Arc::new(Sampler::new(completing(completions.clone()), journal.clone())));
        let refused: Arc<ArcSwapOption<String>> = Arc::default();
        let parts = Parts {
            registry: registry.clone(),
            upstreams: upstreams.clone(),
            credentials: credentials.clone(),
            auth: auth.clone(),
            blocks: blocks.clone(),
            journal: journal.clone(),
            federation: federation.clone(),
            completions: completions.clone(),
            refused: refused.clone(),
            started: Instant::now(),
        };
        let control = Control::new(parts);

        let state = State::new(
            auth.clone(),
            blocks.clone(),
            rates.clone(),
            journal.clone(),
            handles,
            federation.clone(),
            control,
            completions.clone(),
            settings(&config, address),
            metrics,
            traces.as_ref().map(Traces::tracer).unwrap_or_default(),
        );
        let settings = state.settings.clone();
        let live = Live {
            net,
            auth,
            registry,
            upstreams,
            credentials,
            federation,
            memory,
            blocks,
            journal,
            rates,
            completions,
            settings,
            tool_timeout,
            refresh,
            found,
            refused,
        };
        Ok(Self { listener, address, state, live, options, read, config, made_owner_key, written, traces, lock })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then requests in flight finish within the grace, and children end.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        if let Some(path) = &self.options.config {
            let path = std::path::absolute(path)?;
            let running = reload::Running { config: self.config, read: self.read, address: self.address };
            tokio::spawn(reload::keep(path, running, self.live.clone(), stop.clone()));
        }
        let (metrics, ended) = (self.state.metrics.clone(), stop.clone());
        tokio::spawn(async move {
            // Histograms keep every sample until this is called, scraped or not.
            while tokio::time::timeout(Duration::from_secs(5), ended.cancelled()).await.is_err() {
                metrics.run_upkeep();
            }
        });
        self.state.ready.store(true, Ordering::Relaxed);
        let router = http::router(self.state.clone());
        http::serve(self.listener, router, self.state, stop).await;
        self.live.registry.stop();
        self.live.upstreams.close_all().await;
        self.live.journal.close();
        if tokio::time::timeout(LAST_WORDS, self.written).await.is_err() {
            tracing::error!("the journal could not be written to its end");
        }
        if let Some(traces) = self.traces {
            traces.close().await;
        }
        drop(self.lock);
        Ok(())
    }

    /// What a person at the terminal sees when the gateway starts.
    pub fn banner(&self) -> String {
        banner::banner(self.address, &self.options, &self.live, self.made_owner_key.as_deref())
    }
}

/// Tells the registry of changes, once it is there.
fn telling(registry: Arc<OnceLock<Registry>>) -> OnChange {
    Arc::new(move |server, change| {
        if let Some(registry) = registry.get() {
            registry.notice(server, &change);
        }
    })
}

/// Completes with the models of each moment.
fn completing(completions: Arc<ArcSwap<Completions>>) -> Complete {
    Arc::new(move |principal, request| {
        let completions = completions.load_full();
        async move { completions.plain(&principal, request).await }.boxed()
    })
}

/// Starts a gateway, says hello, and serves until the process is told to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let gateway = Gateway::build(options).await?;
    // Before anyone can know that we are here: a signal must never meet its default, which ends the process.
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let _hangup = signal(SignalKind::hangup())?;
    {
        use std::io::Write as _;
        // A closed standard output is no reason not to serve.
        let _ = std::io::stdout().write_all(gateway.banner().as_bytes());
        let _ = std::io::stdout().flush();
    }
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(terminate, interrupt, stop.clone()));
    gateway.serve(stop).await
}

async fn stop_on_signal(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: requests in flight may finish; a second Ctrl-C ends at once");
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(130);
}

/// The configuration to use: the one that was named, else `portolan.yaml` where we stand, else none.
pub fn find_config(named: Option<PathBuf>) -> anyhow::Result<Option<PathBuf>> {
    match named {
        Some(path) if !path.exists() => bail!("there is no file {}", path.display()),
        Some(path) => Ok(Some(path)),
        None => Ok(Some(Path::new("portolan.yaml").to_owned()).filter(|path| path.exists())),
    }
}
