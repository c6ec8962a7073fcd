//! `ottla serve`: from the command line to a broker that runs until it is told to
//! stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use ottla_base::config::{FlushPolicy, LogFormat, OttlaConfig, Start, StartSettings};
use ottla_base::{ByteSize, ClusterId};
use ottla_store::meta_properties::MetaProperties;
use ottla_store::{Durability, LogStore, memory, rocks};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::{self, Serve};
use crate::data_dir::{fresh_id, refuse_data_of_kafka};
use crate::logging;
use crate::wiring::{self, StartParts};

/// Where data is kept when nothing says otherwise.
const DATA_DEFAULT: &str = "./ottla-data";

/// How long written pages may wait for the disk where acknowledgements do not; as
/// long as Linux leaves them by itself.
const PAGE_CACHE_FLUSH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs a broker until SIGTERM or Ctrl-C.
pub fn run(serve: &Serve) -> ExitCode {
    // The allocator asks for huge pages, which make an idle broker half as large
    // again and were measured to gain nothing. A kernel without them needs no wish.
    let _unsupported = rustix::thread::disable_transparent_huge_pages(true);
    match try_run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            error!("{failed:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(serve: &Serve) -> anyhow::Result<()> {
    let collected = collect(serve);
    let format = match &collected {
        Ok(start) => log_format(serve, &start.ottla),
        Err(_) => serve.log.format.unwrap_or(cli::LogFormat::Human),
    };
    logging::start(serve.log.filter.as_deref(), format)?;
    let start = collected?;
    say_what_was_set(&start);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("ottla")
        .build()
        .context("the system gives no threads")?;
    runtime.block_on(serve_until_stopped(serve, start))
}

async fn serve_until_stopped(serve: &Serve, start: Start) -> anyhow::Result<()> {
    let node = start.listeners.node;
    let (store, cluster_id) = open_store(serve, &start)?;
    let mut terminated = signal(SignalKind::terminate()).context("signals cannot be caught")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
    let running = wiring::start(StartParts {
        host_default: host_default(serve),
        settings: start,
        cluster_id,
        store,
    })
    .await?;
    logging::announce_started(node);
    tokio::select! {
        _ = terminated.recv() => info!("stopping: SIGTERM"),
        _ = interrupted.recv() => info!("stopping: Ctrl-C"),
    }
    running.stop().await;
    info!("stopped");
    Ok(())
}

/// Puts the settings together: file, environment, command line.
fn collect(serve: &Serve) -> anyhow::Result<Start> {
    let mut settings = match serve.settings_file() {
        Some(file) => {
            let mut settings = StartSettings::new();
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            settings
                .add_properties(&text)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            settings
        }
        None => StartSettings::single_node(),
    };
    settings.add_env(std::env::vars())?;
    for setting in &serve.settings {
        settings.add(&setting.key, &setting.value);
    }
    settings.finish().map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", errors.join("; "))
    })
}

fn say_what_was_set(start: &Start) {
    if !start.ignored.is_empty() {
        let keys = start.ignored.join(", ");
        info!("settings of Kafka that are accepted and have no effect here: {keys}");
    }
    for unknown in &start.unknown {
        warn!("{unknown}");
    }
}

fn log_format(serve: &Serve, settings: &OttlaConfig) -> cli::LogFormat {
    serve.log.format.unwrap_or(match settings.log_format {
        LogFormat::Human => cli::LogFormat::Human,
        LogFormat::Json => cli::LogFormat::Json,
    })
}

fn open_store(serve: &Serve, start: &Start) -> anyhow::Result<(Arc<dyn LogStore>, ClusterId)> {
    let durability = match start.ottla.flush_policy {
        FlushPolicy::Fsync => Durability::Fsync,
        FlushPolicy::PageCache => Durability::PageCache {
            flush_interval: PAGE_CACHE_FLUSH_INTERVAL,
        },
    };
    if serve.memory {
        info!("everything is kept in memory, and gone when the broker stops");
        let stepping = memory::Stepping::Thread;
        let store = memory::open(memory::Options {
            durability,
            stepping,
        });
        return Ok((Arc::new(store), fresh_cluster_id()));
    }
    let data = data_directory(serve, start)?;
    refuse_data_of_kafka(&data)?;
    let known = MetaProperties::read(&data)
        .with_context(|| format!("{} is no data directory of Ottla's", data.display()))?;
    let cluster_id = known.map_or_else(fresh_cluster_id, |known| known.cluster);
    let bytes = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or(0));
    let mut options = rocks::Options::new(start.listeners.node, cluster_id.clone());
    options.durability = durability;
    options.commit_file = bytes(start.ottla.commit_file_bytes);
    options.tail_cache = bytes(start.ottla.tail_cache_bytes);
    let store = rocks::open(&data, options)?;
    info!(directory = %data.display(), cluster = %cluster_id, "data directory opened");
    Ok((Arc::new(store), cluster_id))
}

fn fresh_cluster_id() -> ClusterId {
    ClusterId::new(fresh_id())
}

/// Where the data is: `--data`, `log.dirs`, `log.dir`, or the default.
fn data_directory(serve: &Serve, start: &Start) -> anyhow::Result<PathBuf> {
    if let Some(data) = &serve.data {
        return Ok(data.clone());
    }
    let directories = match &start.broker.log_dirs {
        Some(directories) => directories,
        None if start.fixed.contains_key("log.dir") => &start.broker.log_dir,
        None => return Ok(PathBuf::from(DATA_DEFAULT)),
    };
    match directories.as_slice() {
        [] => bail!("log.dirs names no directory"),
        [only] => Ok(PathBuf::from(only)),
        [first, others @ ..] => {
            let others = others.join(", ");
            warn!("one data directory is used, {first}; these of log.dirs are not: {others}");
            Ok(PathBuf::from(first))
        }
    }
}

/// What clients are told where a listener names no host: this machine's name, as
/// Kafka does, or `localhost` for a broker that was started without settings.
fn host_default(serve: &Serve) -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    let is_trial = serve.settings_file().is_none() && std::env::var_os("KAFKA_LISTENERS").is_none();
    if is_trial || name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
