//! Whose data a directory holds: its `meta.properties`, in Kafka's own form.
//!
//! Knows nothing of what else lies in the directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottla_base::config::Overrides;
use ottla_base::config::properties::{self, PropertiesError};
use ottla_base::{BrokerId, ClusterId};
use uuid::Uuid;

/// The name of the file.
pub const META_PROPERTIES: &str = "meta.properties";

/// The only version there is since Kafka has no ZooKeeper.
const VERSION: &str = "1";

/// Which node of which cluster a data directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: BrokerId,
    pub directory: DirectoryId,
}

/// The id of one data directory, also when it is mounted elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryId(pub Uuid);

impl std::fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Why a directory cannot be used as this node's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "Invalid cluster.id in: {path}. Expected {expected}, but read {found}. \
         Start with the data directory of cluster {expected}, or with an empty one"
    )]
    OtherCluster {
        path: PathBuf,
        expected: ClusterId,
        found: ClusterId,
    },
    #[error(
        "Stored node id {found} doesn't match node id {expected} in {path}. If the data was moved \
         here, set node.id={found}; for a new node take an empty directory"
    )]
    OtherNode {
        path: PathBuf,
        expected: BrokerId,
        found: BrokerId,
    },
    #[error("{path} is of version {version}, and only version {VERSION} is known here")]
    Version { path: PathBuf, version: String },
    #[error("{key} was not specified in {path}, or is not what it should be")]
    Key { path: PathBuf, key: &'static str },
    #[error("the line of {key} in {path} is not understood")]
    Line { path: PathBuf, key: String },
    #[error("{path} is no properties file: {reason}")]
    Syntax {
        path: PathBuf,
        reason: PropertiesError,
    },
    #[error(
        "{directory} holds data ({entry}) and no {META_PROPERTIES}, so whose it is cannot be told. \
         Take an empty directory, or put the file back"
    )]
    NotEmpty { directory: PathBuf, entry: String },
    #[error(
        "{directory} holds partitions of Apache Kafka ({entry}), which Ottla does not read. \
         Take an empty directory"
    )]
    OfKafka { directory: PathBuf, entry: String },
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
}

/// Makes sure that the directory is this node's: an empty one becomes so.
///
/// `cluster` is the id that somebody asked for; without it an empty directory
/// begins a cluster of its own.
///
/// # Errors
/// When it is another node's or cluster's, or cannot be read or written.
pub fn claim(
    directory: &Path,
    node: BrokerId,
    cluster: Option<&ClusterId>,
) -> Result<Identity, IdentityError> {
    fs::create_dir_all(directory).map_err(|reason| io_error(directory, reason))?;
    refuse_foreign_data(directory)?;
    match Identity::read(directory)? {
        Some(identity) => identity.check(directory, node, cluster),
        None => {
            let identity = Identity {
                cluster: cluster.cloned().unwrap_or_else(fresh_cluster),
                node,
                directory: DirectoryId(fresh_uuid()),
            };
            identity.write(directory)?;
            Ok(identity)
        }
    }
}

impl Identity {
    /// What the directory's file says; `None` where there is no file yet.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(META_PROPERTIES);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(io_error(&path, reason)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, IdentityError> {
        let file = properties::parse(text).map_err(|reason| IdentityError::Syntax {
            path: path.to_owned(),
            reason,
        })?;
        let version = file.get("version").map_or("0", String::as_str);
        if version != VERSION {
            return Err(IdentityError::Version {
                path: path.to_owned(),
                version: version.to_owned(),
            });
        }
        Ok(Self {
            cluster: value(path, &file, "cluster.id", |text| {
                (!text.is_empty()).then(|| ClusterId::from(text))
            })?,
            node: value(path, &file, "node.id", |text| {
                text.parse().ok().map(BrokerId)
            })?,
            directory: value(path, &file, "directory.id", parse_uuid).map(DirectoryId)?,
        })
    }

    /// Writes the file so that a crash leaves all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), IdentityError> {
        let text = format!(
            "version={VERSION}\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            self.cluster, self.node, self.directory
        );
        let path = directory.join(META_PROPERTIES);
        write_whole(&path, &text, FOR_ALL).map_err(|reason| io_error(&path, reason))
    }

    /// Whether it is this node's, and the cluster's if one was asked for.
    pub(crate) fn check(
        self,
        directory: &Path,
        node: BrokerId,
        cluster: Option<&ClusterId>,
    ) -> Result<Self, IdentityError> {
        let path = directory.join(META_PROPERTIES);
        if let Some(expected) = cluster.filter(|expected| **expected != self.cluster) {
            return Err(IdentityError::OtherCluster {
                path,
                expected: expected.clone(),
                found: self.cluster,
            });
        }
        if self.node != node {
            return Err(IdentityError::OtherNode {
                path,
                expected: node,
                found: self.node,
            });
        }
        Ok(self)
    }
}

/// A new random id that a command line can hold: it does not begin with a dash.
pub fn fresh_uuid() -> Uuid {
    loop {
        let uuid = Uuid::new_v4();
        if !DirectoryId(uuid).to_string().starts_with('-') {
            return uuid;
        }
    }
}

fn fresh_cluster() -> ClusterId {
    ClusterId::new(DirectoryId(fresh_uuid()).to_string())
}

/// An id as Kafka prints it.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&bytes).ok()
}

fn value<T>(
    path: &Path,
    file: &Overrides,
    key: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, IdentityError> {
    file.get(key)
        .and_then(|text| parse(text))
        .ok_or_else(|| IdentityError::Key {
            path: path.to_owned(),
            key,
        })
}

/// Kafka keeps a folder per partition, `name-number`; we keep `commit` and
/// `index`, which without the file that says whose they are must not be
/// given to anybody.
fn refuse_foreign_data(directory: &Path) -> Result<(), IdentityError> {
    let is_claimed = directory.join(META_PROPERTIES).exists();
    let entries = fs::read_dir(directory).map_err(|reason| io_error(directory, reason))?;
    for entry in entries {
        let entry = entry.map_err(|reason| io_error(directory, reason))?;
        let entry = entry.file_name().to_string_lossy().into_owned();
        let is_partition = entry.rsplit_once('-').is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        let directory = directory.to_owned();
        if is_partition {
            return Err(IdentityError::OfKafka { directory, entry });
        }
        if !is_claimed && matches!(entry.as_str(), "commit" | "index") {
            return Err(IdentityError::NotEmpty { directory, entry });
        }
    }
    Ok(())
}

/// Modes of files: to be read by everybody, and by their owner alone.
const FOR_ALL: u32 = 0o644;
pub(crate) const FOR_OWNER: u32 = 0o600;

/// Replaces a file: its new bytes are on disk before its name leads to them.
pub(crate) fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

pub(crate) fn io_error(path: &Path, reason: io::Error) -> IdentityError {
    IdentityError::Io {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: BrokerId = BrokerId(1);

    fn cluster(name: &str) -> ClusterId {
        ClusterId::from(name)
    }

    fn refused(directory: &Path, node: BrokerId, cluster: Option<&ClusterId>) -> String {
        claim(directory, node, cluster)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn an_empty_directory_becomes_the_nodes_own() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("not/there/yet");
        let first = claim(&directory, NODE, None).unwrap();
        assert_eq!(first.cluster.as_str().len(), 22);
        assert_eq!(claim(&directory, NODE, None).unwrap(), first);
        assert_eq!(
            claim(&directory, NODE, Some(&first.cluster)).unwrap(),
            first
        );
    }

    #[test]
    fn the_file_has_kafkas_keys() {
        let root = tempfile::tempdir().unwrap();
        let identity = claim(root.path(), NODE, Some(&cluster("abc"))).unwrap();
        let text = fs::read_to_string(root.path().join(META_PROPERTIES)).unwrap();
        assert_eq!(
            text,
            format!(
                "version=1\ncluster.id=abc\nnode.id=1\ndirectory.id={}\n",
                identity.directory
            )
        );
    }

    #[test]
    fn anothers_directory_is_refused() {
        let root = tempfile::tempdir().unwrap();
        claim(root.path(), NODE, Some(&cluster("abc"))).unwrap();
        let other = refused(root.path(), BrokerId(2), None);
        assert!(other.contains("Stored node id 1 doesn't match"), "{other}");
        let other = refused(root.path(), NODE, Some(&cluster("xyz")));
        assert!(other.contains("Expected xyz, but read abc"), "{other}");
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused() {
        let cases = [
            ("", "version 0"),
            ("version=2\n", "version 2"),
            ("version=1\nnode.id=1\n", "cluster.id"),
            ("version=1\ncluster.id=a\nnode.id=x\n", "node.id"),
            ("version=1\ncluster.id=a\nnode.id=1\n", "directory.id"),
            (
                "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=a\n",
                "directory.id",
            ),
        ];
        let root = tempfile::tempdir().unwrap();
        for (text, message) in cases {
            fs::write(root.path().join(META_PROPERTIES), text).unwrap();
            let refused = refused(root.path(), NODE, None);
            assert!(refused.contains(message), "{text:?}: {refused}");
        }
    }

    #[test]
    fn data_that_is_not_ours_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("commit")).unwrap();
        let refused_ours = refused(root.path(), NODE, None);
        assert!(
            refused_ours.contains("holds data (commit)"),
            "{refused_ours}"
        );

        let root = tempfile::tempdir().unwrap();
        claim(root.path(), NODE, None).unwrap();
        fs::create_dir(root.path().join("__cluster_metadata-0")).unwrap();
        let kafkas = refused(root.path(), NODE, None);
        assert!(kafkas.contains("of Apache Kafka"), "{kafkas}");
    }

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        let id = DirectoryId(Uuid::from_bytes([0xff; 16]));
        assert_eq!(id.to_string(), "_____________________w");
        assert_eq!(parse_uuid(&id.to_string()), Some(id.0));
    }
}
