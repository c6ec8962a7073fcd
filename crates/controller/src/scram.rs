//! What a server knows of users' passwords: SCRAM credentials (RFC 5802; KIP-554).
//!
//! Knows no password, and shows no key to anybody who prints it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_base::{Effects, Machine};

use crate::ControllerMachine;
use crate::record::Record;

/// Whose credential it is: a user may have one for each mechanism.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialId {
    pub user: String,
    pub mechanism: ScramMechanism,
}

/// The mechanisms, with the hash function of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

impl ScramMechanism {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// How often a password may be hashed. More would let a client that logs in
    /// keep the server busy.
    pub const ITERATIONS: RangeInclusive<i32> = 4096..=16384;

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The protocol's number.
    pub const fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }
}

/// What is needed to check that somebody has the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    pub salt: Vec<u8>,
    pub iterations: i32,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramCredential {
    /// Without the salt and the keys: they let whoever has them try passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What somebody wants of one of a user's credentials.
#[derive(Clone, Debug)]
pub struct ScramAlteration {
    pub user: String,
    pub change: ScramChange,
}

#[derive(Clone, Debug)]
pub enum ScramChange {
    Delete(ScramMechanism),
    Upsert(ScramMechanism, Arc<ScramCredential>),
    /// What names or makes no credential, and why.
    Impossible(AlterScramError),
}

/// Why a user keeps the credentials that are there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterScramError {
    #[error("A user credential cannot be altered twice in the same request")]
    Repeated,
    #[error("Username must not be empty")]
    Unnamed,
    #[error("Unknown SCRAM mechanism")]
    UnknownMechanism,
    #[error("Attempt to delete a user credential that does not exist")]
    Absent,
    #[error("the salted password must not be empty")]
    NoPassword,
    #[error("Too few iterations")]
    TooFewIterations,
    #[error("Too many iterations")]
    TooManyIterations,
}

impl ControllerMachine {
    /// Every user is checked against what was there before the request. What is
    /// wrong with the first alteration of a user counts before there being another.
    pub(crate) fn alter_scram(
        &mut self,
        alterations: &[ScramAlteration],
        fx: &mut Effects<Self>,
    ) -> Vec<Result<(), AlterScramError>> {
        let mut plans = BTreeMap::new();
        for alteration in alterations {
            match plans.entry(&alteration.user) {
                Entry::Vacant(user) => {
                    user.insert(self.plan_scram(alteration));
                }
                Entry::Occupied(mut user) if user.get().is_ok() => {
                    *user.get_mut() = Err(AlterScramError::Repeated);
                }
                Entry::Occupied(_) => {}
            }
        }
        let users = alterations.iter().map(|alteration| &alteration.user);
        let results = users.map(|user| match &plans[user] {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        });
        let results = results.collect();
        for record in plans.into_values().flatten() {
            self.emit(record, fx);
        }
        results
    }

    /// The record that an alteration needs.
    fn plan_scram(&self, alteration: &ScramAlteration) -> Result<Record, AlterScramError> {
        let user = alteration.user.clone();
        if user.is_empty() {
            return Err(AlterScramError::Unnamed);
        }
        let (mechanism, credential) = match &alteration.change {
            ScramChange::Impossible(error) => return Err(error.clone()),
            ScramChange::Delete(mechanism) => (*mechanism, None),
            ScramChange::Upsert(mechanism, new) => (*mechanism, Some(checked(new)?)),
        };
        let of = CredentialId { user, mechanism };
        if credential.is_none() && self.image().credential(&of).is_none() {
            return Err(AlterScramError::Absent);
        }
        Ok(Record::Scram { of, credential })
    }
}

fn checked(credential: &Arc<ScramCredential>) -> Result<Arc<ScramCredential>, AlterScramError> {
    let allowed = ScramMechanism::ITERATIONS;
    match credential.iterations {
        iterations if iterations < *allowed.start() => Err(AlterScramError::TooFewIterations),
        iterations if iterations > *allowed.end() => Err(AlterScramError::TooManyIterations),
        _ => Ok(Arc::clone(credential)),
    }
}
