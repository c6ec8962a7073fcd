//! What the broker itself keeps in a data directory or must not find there; the
//! rest is the store's.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::Access;
use rustix::io::Errno;
use uuid::Uuid;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "{directory} holds partitions of Apache Kafka ({entry}), which Ottla does not read; take an \
         empty directory"
    )]
    OfKafka { directory: PathBuf, entry: String },
    #[error(
        "no permission to create {directory}: create it, give it to user {user} (chown {user}), or take \
         another directory"
    )]
    NoPermissionToCreate { directory: PathBuf, user: u32 },
    #[error(
        "no permission to read and write in {directory}: give it to user {user} (chown -R {user}), or \
         take another directory"
    )]
    NoPermission { directory: PathBuf, user: u32 },
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
}

impl DataDirError {
    pub(crate) fn io(path: &Path, reason: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            reason,
        }
    }
}

/// Makes the directory if it is missing, and refuses it where this process may
/// not use it or Apache Kafka kept data.
///
/// # Errors
/// When it cannot be used.
pub fn prepare(directory: &Path) -> Result<(), DataDirError> {
    let owned = || (directory.to_owned(), rustix::process::geteuid().as_raw());
    if let Err(reason) = fs::create_dir_all(directory) {
        if reason.kind() != io::ErrorKind::PermissionDenied {
            return Err(DataDirError::io(directory, reason));
        }
        let (directory, user) = owned();
        return Err(DataDirError::NoPermissionToCreate { directory, user });
    }
    let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::access(directory, wanted) {
        Err(Errno::ACCESS) => {
            let (directory, user) = owned();
            Err(DataDirError::NoPermission { directory, user })
        }
        Err(errno) => Err(DataDirError::io(directory, errno.into())),
        Ok(()) => refuse_data_of_kafka(directory),
    }
}

/// Refuses a directory in which Apache Kafka kept data: a folder per partition,
/// `name-number`. Beside them Ottla would seem to have lost everything.
///
/// # Errors
/// When there is such a folder, or the directory cannot be read.
pub fn refuse_data_of_kafka(directory: &Path) -> Result<(), DataDirError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(reason) => return Err(DataDirError::io(directory, reason)),
    };
    for entry in entries {
        let entry = entry.map_err(|reason| DataDirError::io(directory, reason))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_partition = name.rsplit_once('-').is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        if is_partition && entry.path().is_dir() {
            return Err(DataDirError::OfKafka {
                directory: directory.to_owned(),
                entry: name,
            });
        }
    }
    Ok(())
}

/// A new random id in the form that Kafka prints. It does not begin with a
/// dash, so that a command line can hold it.
pub fn fresh_id() -> String {
    loop {
        let id = URL_SAFE_NO_PAD.encode(Uuid::new_v4());
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// The id that the first 16 of these bytes make, the same for the same bytes.
pub fn id_of(bytes: &[u8]) -> String {
    let id: Vec<_> = bytes.iter().copied().take(16).collect();
    URL_SAFE_NO_PAD.encode(id).replacen('-', "A", 1)
}

/// Whether the text is an id as Kafka prints them.
pub(crate) fn is_id(text: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 16)
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("tmp");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_data_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let ours = ["commit", "index", "lost+found"];
        for name in ours {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("notes-2"), "a file").unwrap();
        assert!(refuse_data_of_kafka(root.path()).is_ok());
        assert!(refuse_data_of_kafka(&root.path().join("nowhere")).is_ok());
        fs::create_dir(root.path().join("__cluster_metadata-0")).unwrap();
        let refused = refuse_data_of_kafka(root.path()).expect_err("refused");
        assert!(
            refused.to_string().contains("(__cluster_metadata-0)"),
            "{refused}"
        );
    }

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        let id = fresh_id();
        assert_eq!(id.len(), 22);
        assert!(is_id(&id), "{id}");
        for other in [
            "",
            "abc",
            "MvDxzVmcRsaTz33bUuRU6A==",
            "MvDxzVmcRsaTz33bUuRU6Axx",
        ] {
            assert!(!is_id(other), "{other}");
        }
    }
}
