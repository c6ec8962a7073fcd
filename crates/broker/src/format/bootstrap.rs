//! `bootstrap.properties`: what a formatted metadata directory starts with.
//!
//! Written by `ottla format`, read at the first start; Kafka keeps the same in
//! a snapshot of its metadata log, `bootstrap.checkpoint`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_base::config::properties::{self, PropertiesError};
use ottla_controller::{CredentialId, ScramCredential, ScramMechanism};

use super::features;
use crate::data_dir::{DataDirError, write_secret};

/// The name of the file.
pub const BOOTSTRAP_PROPERTIES: &str = "bootstrap.properties";

/// Why the file is not understood.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Io(#[from] DataDirError),
    #[error("{path} is no properties file: {reason}")]
    Syntax {
        path: PathBuf,
        reason: PropertiesError,
    },
    #[error("the line of {key} in {path} is not understood")]
    Line { path: PathBuf, key: String },
}

/// Feature levels and credentials that were given to `format`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bootstrap {
    /// Only what was asked for, `metadata.version` and `kraft.version`.
    pub features: BTreeMap<String, i16>,
    pub scram: Vec<(CredentialId, ScramCredential)>,
}

impl Bootstrap {
    /// What the directory was formatted with; nothing where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(directory: &Path) -> Result<Self, BootstrapError> {
        let path = directory.join(BOOTSTRAP_PROPERTIES);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(reason) => return Err(DataDirError::io(&path, reason).into()),
        };
        let file = properties::parse(&text).map_err(|reason| BootstrapError::Syntax {
            path: path.clone(),
            reason,
        })?;
        let mut bootstrap = Self::default();
        for (key, value) in &file {
            bootstrap
                .take(key, value)
                .ok_or_else(|| BootstrapError::Line {
                    path: path.clone(),
                    key: key.clone(),
                })?;
        }
        Ok(bootstrap)
    }

    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        if let Some(feature) = key.strip_prefix("feature.") {
            self.features
                .insert(feature.to_owned(), value.parse().ok()?);
        } else {
            let (mechanism, user) = key.strip_prefix("scram.")?.split_once('.')?;
            let mut fields = value.split(',');
            let mut decode = || STANDARD.decode(fields.next()?).ok();
            let (salt, stored_key, server_key) = (decode()?, decode()?, decode()?);
            let of = CredentialId {
                user: user.to_owned(),
                mechanism: ScramMechanism::from_name(mechanism)?,
            };
            let credential = ScramCredential {
                salt,
                iterations: fields.next()?.parse().ok()?,
                stored_key,
                server_key,
            };
            self.scram.push((of, credential));
        }
        Some(())
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), DataDirError> {
        let path = directory.join(BOOTSTRAP_PROPERTIES);
        // The keys let whoever reads them try passwords.
        write_secret(&path, &self.text()).map_err(|reason| DataDirError::io(&path, reason))
    }

    fn text(&self) -> String {
        let mut text =
            "# Written by `ottla format`, read when the broker first starts.\n".to_owned();
        for (feature, level) in &self.features {
            line(&mut text, &format!("feature.{feature}"), &level.to_string());
        }
        for (of, credential) in &self.scram {
            let value = format!(
                "{},{},{},{}",
                STANDARD.encode(&credential.salt),
                STANDARD.encode(&credential.stored_key),
                STANDARD.encode(&credential.server_key),
                credential.iterations
            );
            let key = format!("scram.{}.{}", of.mechanism.name(), of.user);
            line(&mut text, &key, &value);
        }
        text
    }

    pub(super) fn release(&self) -> &'static str {
        let level = self.features.get("metadata.version");
        level.map_or("unknown", |level| features::release_of(*level))
    }
}

/// A key may hold whatever a user is called.
fn line(text: &mut String, key: &str, value: &str) {
    for character in key.chars() {
        if character.is_ascii_alphanumeric() || "._-".contains(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a string takes any text");
            }
        }
    }
    writeln!(text, "={value}").expect("a string takes any text");
}
