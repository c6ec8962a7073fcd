//! `ottla serve`: from the command line to a broker that runs until it is told to
//! stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use ottla_base::config::{FlushPolicy, LogFormat, OttlaConfig, Start, StartSettings};
use ottla_base::{ByteSize, ClusterId};
use ottla_store::meta_properties::MetaProperties;
use ottla_store::{Durability, LogStore, memory, rocks};
use rustix::process::Resource;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::{self, Serve};
use crate::data_dir::{self, fresh_id};
use crate::format::{Bootstrap, metadata_directory};
use crate::logging;
use crate::wiring::{self, StartParts};

/// Where data is kept when nothing says otherwise.
const DATA_DEFAULT: &str = "./ottla-data";

/// What clients are told of where data is kept that is not kept.
pub const DATA_IN_MEMORY: &str = "memory";

/// Names the cluster that an empty directory becomes part of, and that a used one
/// must belong to; as the apache/kafka image has it.
const CLUSTER_ID: &str = "CLUSTER_ID";

/// How long written pages may wait for the disk where acknowledgements do not; as
/// long as Linux leaves them by itself.
const PAGE_CACHE_FLUSH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// A buffer that is wanted again so soon is not given back in between.
const FREED_MEMORY_KEPT: std::time::Duration = std::time::Duration::from_millis(10);

/// Runs a broker until SIGTERM or Ctrl-C.
pub fn run(serve: &Serve) -> ExitCode {
    // The allocator asks for huge pages, which make an idle broker half as large
    // again and were measured to gain nothing. A kernel without them needs no wish.
    let _unsupported = rustix::thread::disable_transparent_huge_pages(true);
    ottla_allocator::return_freed_memory_after(FREED_MEMORY_KEPT);
    raise_descriptor_limit();
    match try_run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            error!("{failed:#}");
            ExitCode::FAILURE
        }
    }
}

/// Every connection takes a descriptor, and the limit that shells set is far below
/// what the system allows.
fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it may not be raised, the old limit holds.
    let _refused = rustix::process::setrlimit(Resource::Nofile, limit);
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
    let (store, owner) = open_store(serve, &start)?;
    let bootstrap = if serve.memory {
        Bootstrap::default()
    } else {
        Bootstrap::read(&metadata_directory(&start))?
    };
    let mut terminated = signal(SignalKind::terminate()).context("signals cannot be caught")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
    let mut told_to_stop = std::pin::pin!(async {
        tokio::select! {
            _ = terminated.recv() => info!("stopping: SIGTERM"),
            _ = interrupted.recv() => info!("stopping: Ctrl-C"),
        }
    });
    let starting = wiring::start(StartParts {
        host_default: host_default(serve),
        settings: start,
        cluster_id: owner.cluster,
        directory: owner.directory,
        bootstrap,
        store: store.clone(),
    });
    // A node of a cluster waits for the others until it has started.
    let running = tokio::select! {
        biased;
        () = told_to_stop.as_mut() => {
            store.close();
            return Ok(());
        }
        running = starting => running?,
    };
    logging::announce_started(node);
    told_to_stop.await;
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
    if let Some(place) = place_of_data(serve, &settings)? {
        settings.add("log.dirs", place);
    }
    settings.finish().map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", errors.join("; "))
    })
}

/// What `log.dirs` is, where the settings do not say it or do not count. The
/// setting is what clients are told.
fn place_of_data<'a>(
    serve: &'a Serve,
    settings: &StartSettings,
) -> anyhow::Result<Option<&'a str>> {
    if serve.memory {
        return Ok(Some(DATA_IN_MEMORY));
    }
    match &serve.data {
        Some(data) => match data.to_str() {
            Some(text) if !text.contains(',') && text.trim() == text => Ok(Some(text)),
            Some(_) | None => bail!(
                "--data {}: the name must be text without a comma and without spaces around it, because \
                 the setting log.dirs holds it",
                data.display()
            ),
        },
        None if settings.has("log.dirs") || settings.has("log.dir") => Ok(None),
        None => Ok(Some(DATA_DEFAULT)),
    }
}

fn say_what_was_set(start: &Start) {
    if let Some(line) = start.ignored_line() {
        info!("{line}");
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

fn open_store(serve: &Serve, start: &Start) -> anyhow::Result<(Arc<dyn LogStore>, MetaProperties)> {
    let durability = match start.ottla.flush_policy {
        FlushPolicy::Fsync => Durability::Fsync,
        FlushPolicy::PageCache => Durability::PageCache {
            flush_interval: PAGE_CACHE_FLUSH_INTERVAL,
        },
    };
    if serve.memory {
        info!("data lies in memory, and is gone when the broker stops");
        let stepping = memory::Stepping::Thread;
        let store = memory::open(memory::Options {
            durability,
            stepping,
        });
        let owner = MetaProperties::fresh(start.listeners.node, cluster_of(None, start))?;
        return Ok((Arc::new(store), owner));
    }
    let data = data_directory(start)?;
    data_dir::prepare(&data)?;
    let owner = MetaProperties::read(&data).with_context(|| data.display().to_string())?;
    let cluster_id = cluster_of(owner, start);
    let bytes = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or(0));
    let mut options = rocks::Options::new(start.listeners.node, cluster_id.clone());
    options.durability = durability;
    options.commit_file = bytes(start.ottla.commit_file_bytes);
    options.tail_cache = bytes(start.ottla.tail_cache_bytes);
    let store = rocks::open(&data, options)?;
    let owner = MetaProperties::read(&data)?.context("the data directory has lost its owner")?;
    info!(directory = %data.display(), cluster = %cluster_id, "data lies in this directory");
    Ok((Arc::new(store), owner))
}

/// What the environment asks for, or else the cluster that the directory belongs
/// to, or else a new one. The store refuses what does not fit the directory.
fn cluster_of(owner: Option<MetaProperties>, start: &Start) -> ClusterId {
    let asked = std::env::var(CLUSTER_ID).unwrap_or_default();
    match (asked.trim(), owner) {
        ("", Some(owner)) => owner.cluster,
        ("", None) => ClusterId::new(new_cluster(start)),
        (asked, _) => ClusterId::from(asked),
    }
}

/// Nodes that were given the same controllers and no id make the same cluster: its id
/// is made from them. Anybody else begins a cluster of their own.
fn new_cluster(start: &Start) -> String {
    let voters = &start.listeners.voters;
    if voters.iter().all(|voter| voter.id == start.listeners.node) {
        return fresh_id();
    }
    let mut voters: Vec<_> = voters
        .iter()
        .map(|voter| format!("{}@{}:{}", voter.id, voter.host, voter.port))
        .collect();
    voters.sort();
    let digest = Sha256::digest(voters.join(","));
    data_dir::id_of(&digest)
}

/// The directory that `log.dirs` or `log.dir` names. Absolute, so that the log says
/// where it is.
fn data_directory(start: &Start) -> anyhow::Result<PathBuf> {
    let directories = start.broker.data_dirs();
    let Some((first, others)) = directories.split_first() else {
        bail!("log.dirs names no directory");
    };
    if !others.is_empty() {
        let others = others.join(", ");
        warn!("one data directory is used, {first}; these of log.dirs are not: {others}");
    }
    let directory = Path::new(first);
    std::path::absolute(directory).with_context(|| format!("log.dirs {first:?}"))
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
