//! `ottla format` and `ottla info`: what kafka-storage.sh does to directories.
//!
//! A broker needs neither, since it claims an empty directory when it starts.
//! What `format` adds is a chosen cluster id, feature levels and SCRAM
//! credentials, which wait in `bootstrap.properties` for the first start.

mod bootstrap;
mod features;
mod scram;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ottla_base::config::properties::PropertiesError;
use ottla_base::config::{ConfigError, Roles, Start, StartSettings};
use ottla_base::{BrokerId, ClusterId};
use ottla_store::meta_properties::{MetaError, MetaProperties};

use crate::cli::{Format, Info, Voters};
use crate::data_dir::{DataDirError, fresh_id, is_id, refuse_data_of_kafka};

pub use bootstrap::{BOOTSTRAP_PROPERTIES, Bootstrap, BootstrapError};
pub use features::FeatureError;
pub use scram::ScramError;

/// Why nothing was formatted. The texts that scripts look for are Kafka's.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("{path}: {reason}")]
    Settings { path: PathBuf, reason: io::Error },
    #[error("{path}: {reason}")]
    Syntax {
        path: PathBuf,
        reason: PropertiesError,
    },
    #[error("{}", lines(.0))]
    Config(Vec<ConfigError>),
    #[error("--cluster-id must not be empty; `random-uuid` prints a good one")]
    NoClusterId,
    #[error(
        "controller.quorum.voters is set, so --standalone and --initial-controllers have nothing to \
         say; leave one or the other out"
    )]
    VotersTwice,
    #[error("You can only use --standalone on a controller.")]
    StandaloneBroker,
    #[error(
        "Because controller.quorum.voters is not set on this controller, you must specify one of the \
         following: --standalone, --initial-controllers, or --no-initial-controllers."
    )]
    NoVoters,
    #[error("--initial-controllers: {entry:?} is not id@host:port:directory-id")]
    Voter { entry: String },
    #[error(transparent)]
    Feature(#[from] FeatureError),
    #[error(transparent)]
    Scram(#[from] ScramError),
    #[error(
        "Log directory {0} is already formatted. Use --ignore-formatted to ignore this directory and \
         format the others."
    )]
    AlreadyFormatted(PathBuf),
    #[error(
        "Invalid cluster.id in: {directory}. Expected {expected}, but read {found}. Take an empty \
         directory, or ask for cluster {found}"
    )]
    OtherCluster {
        directory: PathBuf,
        expected: ClusterId,
        found: ClusterId,
    },
    #[error(
        "Stored node id {found} doesn't match node id {expected} in {directory}. If the data was moved \
         here, set node.id={found}; for a new node take an empty directory"
    )]
    OtherNode {
        directory: PathBuf,
        expected: BrokerId,
        found: BrokerId,
    },
    #[error("{directory}: {reason}")]
    Meta {
        directory: PathBuf,
        reason: MetaError,
    },
    #[error(transparent)]
    Directory(#[from] DataDirError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Formats the directories that the settings file names and says on `out` what
/// it did.
///
/// # Errors
/// When anything asked for cannot be had; nothing is written then.
pub fn format(request: &Format, out: &mut dyn Write) -> Result<(), FormatError> {
    let start = settings(&request.config)?;
    let cluster = ClusterId::from(request.cluster_id.trim());
    if cluster.as_str().is_empty() {
        return Err(FormatError::NoClusterId);
    }
    let voters = voters(&request.voters(), &start)?;
    let bootstrap = bootstrap(request, &voters)?;
    let node = start.listeners.node;
    let directories = Directories::of(&start);

    let mut empty = Vec::new();
    for directory in &directories.all {
        refuse_data_of_kafka(directory)?;
        match owner(directory)? {
            Some(owner) => {
                check_owner(directory, owner, node, &cluster)?;
                if !request.ignore_formatted {
                    return Err(FormatError::AlreadyFormatted(directory.clone()));
                }
            }
            None => empty.push(directory),
        }
    }
    if empty.is_empty() {
        writeln!(out, "All of the log directories are already formatted.")?;
    }
    for directory in empty {
        let is_metadata = *directory == directories.metadata;
        let kind = voters.kind_of_directory(is_metadata);
        let release = bootstrap.release();
        writeln!(
            out,
            "Formatting {kind} {} with metadata.version {release}.",
            directory.display()
        )?;
        fs::create_dir_all(directory).map_err(|reason| DataDirError::io(directory, reason))?;
        if is_metadata && start.listeners.roles.controller {
            bootstrap.write(directory)?;
        }
        // Last, because it is what makes the directory a formatted one.
        let owner = MetaProperties {
            cluster: cluster.clone(),
            node,
            directory: voters.directory_id(is_metadata),
        };
        owner.write(directory).map_err(|reason| FormatError::Meta {
            directory: directory.clone(),
            reason,
        })?;
    }
    Ok(())
}

/// Says on `out` what is known of the directories; false when something is
/// wrong with them.
///
/// # Errors
/// When the settings cannot be read.
pub fn info(request: &Info, out: &mut dyn Write) -> Result<bool, FormatError> {
    let start = settings(&request.config)?;
    let mut problems = Vec::new();
    let mut first: Option<MetaProperties> = None;
    for directory in &Directories::of(&start).all {
        let shown = directory.display();
        if !directory.is_dir() {
            problems.push(format!("{shown} does not exist"));
            continue;
        }
        writeln!(out, "Found log directory:\n  {shown}\n")?;
        match (owner(directory), &first) {
            (Err(error), _) => problems.push(error.to_string()),
            (Ok(None), _) => problems.push(format!("{shown} is not formatted.")),
            (Ok(Some(owner)), None) => first = Some(owner),
            (Ok(Some(owner)), Some(first)) if owner.cluster != first.cluster => {
                problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(Some(owner)), Some(first)) if owner.node != first.node => {
                problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(Some(_)), Some(_)) => {}
        }
    }
    if let Some(found) = first {
        let MetaProperties {
            cluster,
            node,
            directory,
        } = found;
        writeln!(
            out,
            "Found metadata: {{cluster.id={cluster}, directory.id={directory}, node.id={node}, version=1}}\n"
        )?;
    }
    for problem in &problems {
        writeln!(out, "Found problem:\n  {problem}\n")?;
    }
    Ok(problems.is_empty())
}

fn owner(directory: &Path) -> Result<Option<MetaProperties>, FormatError> {
    MetaProperties::read(directory).map_err(|reason| FormatError::Meta {
        directory: directory.to_owned(),
        reason,
    })
}

fn check_owner(
    directory: &Path,
    owner: MetaProperties,
    node: BrokerId,
    cluster: &ClusterId,
) -> Result<(), FormatError> {
    if owner.cluster != *cluster {
        return Err(FormatError::OtherCluster {
            directory: directory.to_owned(),
            expected: cluster.clone(),
            found: owner.cluster,
        });
    }
    if owner.node != node {
        return Err(FormatError::OtherNode {
            directory: directory.to_owned(),
            expected: node,
            found: owner.node,
        });
    }
    Ok(())
}

fn settings(path: &Path) -> Result<Start, FormatError> {
    let text = fs::read_to_string(path).map_err(|reason| FormatError::Settings {
        path: path.to_owned(),
        reason,
    })?;
    let mut settings = StartSettings::new();
    settings
        .add_properties(&text)
        .map_err(|reason| FormatError::Syntax {
            path: path.to_owned(),
            reason,
        })?;
    settings.finish().map_err(FormatError::Config)
}

/// Every directory of the node once, and which of them holds the metadata.
#[derive(Debug)]
struct Directories {
    all: BTreeSet<PathBuf>,
    metadata: PathBuf,
}

impl Directories {
    fn of(start: &Start) -> Self {
        let logs = start.broker.data_dirs().iter();
        let mut all: BTreeSet<PathBuf> = logs.map(PathBuf::from).collect();
        let metadata = metadata_directory(start);
        all.insert(metadata.clone());
        Self { all, metadata }
    }
}

/// Where the metadata log is kept.
pub(crate) fn metadata_directory(start: &Start) -> PathBuf {
    let logs = start.broker.data_dirs();
    let directory = start.fixed.get("metadata.log.dir").or_else(|| logs.first());
    directory.map(PathBuf::from).unwrap_or_default()
}

/// The first quorum, as far as it concerns this node.
#[derive(Debug)]
enum Quorum {
    /// Named by controller.quorum.voters, or not by this node.
    Static,
    /// To be joined, or made without this node.
    Dynamic,
    /// This node is in it, with this directory.
    Voter(String),
}

impl Quorum {
    const fn kind_of_directory(&self, is_metadata: bool) -> &'static str {
        match self {
            _ if !is_metadata => "data directory",
            Self::Static => "metadata directory",
            Self::Dynamic => "dynamic metadata directory",
            Self::Voter(_) => "dynamic metadata voter directory",
        }
    }

    fn directory_id(&self, is_metadata: bool) -> String {
        match self {
            Self::Voter(directory) if is_metadata => directory.clone(),
            Self::Voter(_) | Self::Static | Self::Dynamic => fresh_id(),
        }
    }

    const fn kraft_version(&self) -> i16 {
        match self {
            Self::Static => 0,
            Self::Dynamic | Self::Voter(_) => 1,
        }
    }
}

fn voters(voters: &Voters, start: &Start) -> Result<Quorum, FormatError> {
    let Roles { controller, .. } = start.listeners.roles;
    let is_static = !start.listeners.voters.is_empty();
    match voters {
        Voters::Standalone | Voters::Listed(_) if is_static => Err(FormatError::VotersTwice),
        Voters::Standalone if !controller => Err(FormatError::StandaloneBroker),
        Voters::Standalone => Ok(Quorum::Voter(fresh_id())),
        Voters::Listed(list) => listed(list, start),
        Voters::Unsaid if controller && !is_static => Err(FormatError::NoVoters),
        Voters::Unsaid | Voters::None if is_static => Ok(Quorum::Static),
        Voters::Unsaid | Voters::None => Ok(Quorum::Dynamic),
    }
}

fn listed(list: &str, start: &Start) -> Result<Quorum, FormatError> {
    let mut quorum = Quorum::Dynamic;
    for entry in list.split(',').map(str::trim) {
        let (node, directory) = voter(entry).ok_or_else(|| FormatError::Voter {
            entry: entry.to_owned(),
        })?;
        if node == start.listeners.node.0 {
            quorum = Quorum::Voter(directory.to_owned());
        }
    }
    Ok(quorum)
}

/// The node and the directory of `id@host:port:directory-id`.
fn voter(entry: &str) -> Option<(i32, &str)> {
    let (node, rest) = entry.split_once('@')?;
    let (address, directory) = rest.rsplit_once(':')?;
    let (_, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    is_id(directory).then_some((node.parse().ok()?, directory))
}

fn bootstrap(request: &Format, quorum: &Quorum) -> Result<Bootstrap, FormatError> {
    let mut features = features::levels(request.release_version.as_deref(), &request.features)?;
    features.insert("kraft.version".to_owned(), {
        let asked = features.get("kraft.version").copied();
        features::kraft_version(asked, quorum.kraft_version())?
    });
    let scram = request
        .scram
        .iter()
        .map(|text| scram::parse(text))
        .collect::<Result<_, _>>()?;
    Ok(Bootstrap { features, scram })
}

fn lines(errors: &[ConfigError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests;
