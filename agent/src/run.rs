//! The agent's tasks, and what they tell each other.
//!
//! The source task brings news, the sink task carries out orders, reconcilers' tasks end in facts; all of it comes to one inbox.
//! The [`driver`] drains it, lets the engine apply and plan, and executes what follows. Everything runs on one thread;
//! what blocks goes to a small pool whose threads go away when idle.

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use futures_util::StreamExt;
use reconcilers::{
    host::{AlwaysThere, Host},
    registry::Registry,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    blobs::Fetcher,
    chain::chain,
    clock::Now,
    config::{Config, RunArgs, services::services},
    engine::{Engine, settings::Settings},
    ledger::{memory::Memory, store::Store},
    logging,
    nats::{Link, reach::Reach},
    plan::backoff,
    sink,
    source::{self, SourceKind, balena::task::Known},
};

mod driver;
mod notify;

use driver::{Driver, Input};

/// So many facts may wait; whoever tells more of them waits, too.
const INBOX: usize = 256;
/// Threads for what blocks: at most so many, and gone after so long.
const THREADS: usize = 64;
const THREAD_LIVES: Duration = Duration::from_secs(5);
/// Enough for everything that reconcilers do.
const THREAD_STACK: usize = 512 * 1024;

/// What ends the agent, told once with all its causes.
type Fatal = Box<dyn Error + Send + Sync>;

/// Runs the agent until it is told to stop.
pub fn run(args: RunArgs) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: RunArgs) -> Result<(), Fatal> {
    let args = args.with_file()?;
    if args.print_config {
        print!("{}", args.to_toml()?);
        return Ok(());
    }
    let config = args.resolve()?;
    logging::begin(config.log_format, &config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(THREAD_LIVES)
        .thread_stack_size(THREAD_STACK)
        .build()?;
    let result = runtime.block_on(serve(config));
    // What hangs in the kernel must not keep a stopped agent alive.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn serve(config: Config) -> Result<(), Fatal> {
    let instance_id = ulid::Ulid::generate().to_string();
    let (store, memory) = Store::open(&config.state_dir, &instance_id)?;
    let listener = api::bind(&config.api_socket)?;
    let link = match config.source {
        SourceKind::Nats => Some(Link::connect(&config.nats).await?),
        SourceKind::File | SourceKind::Balena => None,
    };
    let registry = Arc::new(Registry::new(&host(&config, link.clone())));
    tracing::info!(agent = %config.agent_id, instance = instance_id, version = env!("CARGO_PKG_VERSION"), source = %config.source, "holdfast starts");

    let (inbox, input) = mpsc::channel(INBOX);
    let held = config.balena.as_ref().map(|_| held(&memory, config.source)).unwrap_or_default();
    let (orders, polls, asks) = tasks(&config, &instance_id, (link, held), &registry, &inbox)?;
    let shutdown = CancellationToken::new();
    let api = tokio::spawn(api::serve(listener, asks, shutdown.clone()));

    let engine = Engine::new(settings(&config, instance_id, &registry), memory, Now::read());
    let driver = Driver::new(engine, registry, store, (orders, polls), inbox, config)?;
    let result = driver.run(input).await;
    shutdown.cancel();
    drop(tokio::time::timeout(Duration::from_millis(500), api).await);
    result
}

fn host(config: &Config, link: Option<Link>) -> Host {
    let nats = &config.nats;
    let secrets = [&nats.creds, &nats.token, &nats.nkey].into_iter().flatten().cloned();
    let pairs =
        nats.user.iter().map(|(_, file)| file).chain(nats.identity.iter().map(|(_, key)| key)).cloned();
    let own = [
        config.state_dir.clone(),
        config.api_socket.clone(),
        "/etc/holdfast".into(),
        "/usr/bin/holdfast".into(),
    ];
    let unit = [
        "/etc/systemd/system/holdfast.service",
        "/lib/systemd/system/holdfast.service",
        "/usr/lib/systemd/system/holdfast.service",
    ];
    Host {
        root: config.root.clone(),
        state_dir: config.state_dir.clone(),
        protected: own.into_iter().chain(unit.map(Into::into)).chain(secrets).chain(pairs).collect(),
        agent_id: config.agent_id.clone(),
        engine_places: config.engine_places.clone(),
        services: services(),
        blobs: Arc::new(Fetcher::new(link.clone())),
        reach: match config.source {
            SourceKind::Nats => Arc::new(Reach { options: config.nats.clone(), link }),
            SourceKind::File => Arc::new(AlwaysThere),
            SourceKind::Balena => match config.balena.clone() {
                Some(options) => Arc::new(source::balena::reach::Reach { options }),
                None => Arc::new(AlwaysThere),
            },
        },
    }
}

fn settings(config: &Config, instance_id: String, registry: &Arc<Registry>) -> Settings {
    let registry = registry.clone();
    let seed = backoff::chance(0, &instance_id, 0);
    let mut settings = Settings::new(config.agent_id.clone(), instance_id);
    settings.seed = seed;
    settings.resync = config.resync;
    settings.takeover_after = config.takeover_after;
    if config.source != SourceKind::Nats {
        settings.status_limit = usize::MAX;
    }
    settings.batch = Box::new(move |spec| registry.batch(spec));
    settings
}

type Orders = mpsc::Sender<sink::Order>;
/// What a source that asks is told.
type Polls = Option<mpsc::Sender<source::Order>>;
type Asks = mpsc::Sender<crate::ask::Ask>;

/// Starts everything that tells the driver something.
fn tasks(
    config: &Config,
    instance_id: &str,
    (link, held): (Option<Link>, Vec<serde_json::Value>),
    registry: &Registry,
    inbox: &mpsc::Sender<Input>,
) -> Result<(Orders, Polls, Asks), Fatal> {
    let (news, brought) = mpsc::channel(4);
    let (orders, ordered) = mpsc::channel(8);
    let (answers, answered) = mpsc::channel(8);
    let (asks, asked) = mpsc::channel(16);
    let mut polls = None;
    match (link, &config.files, &config.balena) {
        (Some(link), ..) => {
            let place =
                source::nats::Place { bucket: config.bucket.clone(), agent_id: config.agent_id.clone() };
            tokio::spawn(source::nats::run(link.clone(), place, news));
            let place = sink::nats::Place {
                bucket: config.bucket.clone(),
                heartbeat_bucket: config.heartbeat_bucket.clone(),
                agent_id: config.agent_id.clone(),
                instance_id: instance_id.to_owned(),
            };
            tokio::spawn(sink::nats::run(link, place, ordered, answers));
        }
        (None, Some((manifest, status)), _) => {
            tokio::spawn(source::file::run(manifest.clone(), news));
            tokio::spawn(sink::file::run(status.clone(), ordered, answers));
        }
        (None, None, Some(options)) => {
            let (sender, receiver) = mpsc::channel(8);
            let (known, knows) = watch::channel(Known::default());
            polls = Some(sender);
            tokio::spawn(source::balena::task::run(options.clone(), held, news, receiver, known));
            tokio::spawn(sink::balena::run(options.clone(), knows, ordered, answers));
        }
        (None, None, None) => unreachable!("a configuration has a source"),
    }
    forward(brought, inbox, Input::News);
    forward(answered, inbox, Input::Answer);
    forward(asked, inbox, Input::Ask);
    let mut hints = registry.drift_hints();
    let sender = inbox.clone();
    tokio::spawn(async move {
        while let Some((kind, hint)) = hints.next().await {
            if sender.send(Input::Hint(kind, hint)).await.is_err() {
                return;
            }
        }
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sender = inbox.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        drop(sender.send(Input::Stop).await);
    });
    Ok((orders, polls, asks))
}

/// The resources of the manifest that was admitted last, if it is of this source.
fn held(memory: &Memory, source: SourceKind) -> Vec<serde_json::Value> {
    let saved = memory.manifest.as_ref().filter(|saved| saved.source == source.to_string());
    let manifest = saved.and_then(|saved| serde_json::from_str::<serde_json::Value>(&saved.text).ok());
    manifest.and_then(|manifest| manifest["resources"].as_array().cloned()).unwrap_or_default()
}

fn forward<T: Send + 'static>(mut from: mpsc::Receiver<T>, to: &mpsc::Sender<Input>, wrap: fn(T) -> Input) {
    let to = to.clone();
    tokio::spawn(async move {
        while let Some(message) = from.recv().await {
            if to.send(wrap(message)).await.is_err() {
                return;
            }
        }
    });
}
