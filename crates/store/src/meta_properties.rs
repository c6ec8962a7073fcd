//! `meta.properties`: whose directory this is. Kafka's own file, with its keys.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use ottla_base::{BrokerId, ClusterId, TopicId};

const FILE: &str = "meta.properties";
/// The one version that is read and written.
const VERSION: &str = "1";
/// Begins a line that is a comment to Kafka. A file without one is taken as it is.
const CHECKSUM: &str = "#crc32c=";

/// Whose directory it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub node: BrokerId,
    pub cluster: ClusterId,
    /// Names the directory itself, so that a node notices when two are swapped.
    pub directory: String,
}

/// Why a directory's owner is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    #[error("meta.properties cannot be read or written: {0}")]
    Io(String),
    #[error(
        "meta.properties has no valid {key}: restore the file, or format the directory again if its data may be lost"
    )]
    Key { key: &'static str },
    #[error(
        "meta.properties has version {0}, and this release knows version 1 only: use the release that wrote it"
    )]
    Version(String),
    #[error(
        "meta.properties was changed, its values do not fit its checksum: restore the file, or remove the line that begins with {CHECKSUM} if the change is meant"
    )]
    Checksum,
}

impl MetaProperties {
    /// For a directory that has no owner yet.
    pub fn fresh(node: BrokerId, cluster: ClusterId) -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        // A directory's id is printed as a topic's is.
        let directory = TopicId(random).to_string();
        Ok(Self {
            node,
            cluster,
            directory,
        })
    }

    /// None if the directory has no owner yet.
    pub fn read(dir: &Path) -> Result<Option<Self>, MetaError> {
        match fs::read_to_string(dir.join(FILE)) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MetaError::Io(error.to_string())),
        }
    }

    /// Gives the directory this owner, whole or not at all.
    pub fn write(&self, dir: &Path) -> Result<(), MetaError> {
        let written = self.try_write(dir);
        written.map_err(|error| MetaError::Io(error.to_string()))
    }

    fn try_write(&self, dir: &Path) -> io::Result<()> {
        let partial = dir.join("meta.properties.tmp");
        let mut file = File::create(&partial)?;
        file.write_all(self.print().as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    }

    fn print(&self) -> String {
        format!("#\n{}{CHECKSUM}{}\n", self.values(), self.checksum())
    }

    fn values(&self) -> String {
        let mut text = String::new();
        let lines = [
            ("version", VERSION),
            ("cluster.id", self.cluster.as_str()),
            ("directory.id", &self.directory),
        ];
        for (key, value) in lines {
            writeln!(text, "{key}={value}").expect("a string takes everything");
        }
        writeln!(text, "node.id={}", self.node).expect("a string takes everything");
        text
    }

    fn checksum(&self) -> String {
        format!("{:08x}", crc32c::crc32c(self.values().as_bytes()))
    }

    fn parse(text: &str) -> Result<Self, MetaError> {
        let value = |key: &'static str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let found = lines.find(|(name, _)| name.trim() == key);
            found
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
                .ok_or(MetaError::Key { key })
        };
        let version = value("version")?;
        if version != VERSION {
            return Err(MetaError::Version(version.into()));
        }
        let node = value("node.id")?.parse();
        let meta = Self {
            node: BrokerId(node.map_err(|_| MetaError::Key { key: "node.id" })?),
            cluster: ClusterId::from(value("cluster.id")?),
            // Directories that older releases of Kafka formatted have none.
            directory: value("directory.id").unwrap_or_default().into(),
        };
        let mut checksums = text.lines().filter_map(|line| line.strip_prefix(CHECKSUM));
        let is_as_written = checksums.all(|checksum| checksum == meta.checksum());
        is_as_written.then_some(meta).ok_or(MetaError::Checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> MetaProperties {
        MetaProperties {
            node: BrokerId(3),
            cluster: ClusterId::from("MkU3OEVBNTcwNTJENDM2Qg"),
            directory: "AAAAAAAAAAAAAAAAAAAAAA".into(),
        }
    }

    #[test]
    fn what_is_printed_is_parsed() {
        assert_eq!(MetaProperties::parse(&meta().print()), Ok(meta()));
    }

    #[test]
    fn a_changed_bit_is_noticed_or_is_in_no_value() {
        let whole = meta().print();
        for place in 0..whole.len() * 8 {
            let mut bytes = whole.clone().into_bytes();
            bytes[place / 8] ^= 1 << (place % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                let read = MetaProperties::parse(&text);
                assert!(read.is_err() || read == Ok(meta()), "{text}");
            }
        }
    }

    #[test]
    fn a_file_that_kafka_wrote_has_no_checksum() {
        let text = meta().values();
        assert_eq!(MetaProperties::parse(&text), Ok(meta()));
        let other = text.replace("node.id=3", "node.id=4");
        assert!(MetaProperties::parse(&other).is_ok());
    }

    #[test]
    fn another_version_is_refused() {
        let text = meta().print().replace("version=1", "version=0");
        let refusal = MetaProperties::parse(&text);
        assert_eq!(refusal, Err(MetaError::Version("0".into())));
    }

    #[test]
    fn a_missing_key_is_named() {
        for key in ["version", "cluster.id", "node.id"] {
            let text = meta().print().replace(key, "other");
            assert_eq!(MetaProperties::parse(&text), Err(MetaError::Key { key }));
        }
    }
}
