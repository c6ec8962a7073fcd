//! A store's directory opened for looking only.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::index::{Index, IndexMemory};
use super::{FORMAT_VERSION, OpenError};
use crate::commit::disk::Disk;
use crate::commit::entry::FileNumber;
use crate::commit::file::{CommitFile, Listing};
use crate::commit::recovery::Known;
use crate::keys;
use crate::meta_properties::MetaProperties;

/// What tools look at. Nothing is changed, and no other process can meanwhile.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) index: Index,
    pub(crate) known: Known,
    pub(crate) files: BTreeMap<FileNumber, Arc<CommitFile>>,
    _lock: File,
}

impl Inspected {
    pub(crate) fn open(disk: &Disk, dir: &Path) -> Result<Self, OpenError> {
        let io = |error: &dyn std::error::Error| OpenError::Io {
            dir: dir.into(),
            reason: error.to_string(),
        };
        let lock = match File::open(dir.join("LOCK")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(OpenError::NotAStore { dir: dir.into() });
            }
            Err(error) => return Err(io(&error)),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: dir.into() }),
            Err(TryLockError::Error(error)) => return Err(io(&error)),
        }
        MetaProperties::read(dir).map_err(|error| OpenError::Meta {
            dir: dir.into(),
            error,
        })?;
        let index = Index::open_read_only(&dir.join("index"), IndexMemory::LITTLE, disk);
        let index = index.map_err(|error| io(&error))?;
        let version = index.get(&keys::FORMAT).map_err(|error| io(&error))?;
        let version = version.and_then(|bytes| bytes.try_into().ok());
        let found = version.map_or(FORMAT_VERSION, u32::from_be_bytes);
        if found != FORMAT_VERSION {
            return Err(OpenError::UnknownFormat {
                dir: dir.into(),
                found,
            });
        }
        let known = Known::load(&index).map_err(|error| io(&error))?;
        let commit = dir.join("commit");
        let listing = Listing::of(disk, &commit).map_err(|error| io(&error))?;
        let mut files = BTreeMap::new();
        for number in listing.files {
            let file = CommitFile::open_read_only(disk, &commit, number);
            files.insert(number, Arc::new(file.map_err(|error| io(&error))?));
        }
        Ok(Self {
            index,
            known,
            files,
            _lock: lock,
        })
    }
}
