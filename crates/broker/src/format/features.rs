//! Features and their levels, as `kafka-storage.sh format` takes them.

use std::collections::BTreeMap;

use crate::cli::FeatureLevel;

const METADATA_VERSION: &str = "metadata.version";

/// Kafka's features but for `metadata.version`, each with its highest level.
const FEATURES: &[(&str, i16)] = &[
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("kraft.version", 1),
    ("share.version", 1),
    ("streams.version", 1),
    ("transaction.version", 2),
];

/// Kafka's metadata versions from level 7 on: the release and its iteration.
const RELEASES: &[&str] = &[
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];
const FIRST_LEVEL: i16 = 7;

/// Why features cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    #[error("Unsupported feature: {name}. Supported features are: {}", names())]
    Unknown { name: String },
    #[error("{name} has no level {level}; its levels are {min} to {max}")]
    Level {
        name: String,
        level: i16,
        min: i16,
        max: i16,
    },
    #[error("Unknown metadata.version '{0}'. Supported metadata.version are: {list}", list = RELEASES.join(", "))]
    Release(String),
    #[error("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.")]
    ReleaseTwice,
    #[error(
        "kraft.version {asked} does not fit: it is 0 when controller.quorum.voters names the quorum \
         and 1 when it does not; leave --feature kraft.version out"
    )]
    KraftVersion { asked: i16 },
}

/// The levels asked for, and `metadata.version` in any case.
pub(super) fn levels(
    release: Option<&str>,
    asked: &[FeatureLevel],
) -> Result<BTreeMap<String, i16>, FeatureError> {
    let mut levels = BTreeMap::new();
    for FeatureLevel { name, level } in asked {
        let (min, max) = range(name).ok_or_else(|| FeatureError::Unknown { name: name.clone() })?;
        if !(min..=max).contains(level) {
            return Err(FeatureError::Level {
                name: name.clone(),
                level: *level,
                min,
                max,
            });
        }
        levels.insert(name.clone(), *level);
    }
    match release {
        Some(_) if levels.contains_key(METADATA_VERSION) => return Err(FeatureError::ReleaseTwice),
        Some(release) => {
            let level =
                level_of(release).ok_or_else(|| FeatureError::Release(release.to_owned()))?;
            levels.insert(METADATA_VERSION.to_owned(), level);
        }
        None => {
            levels
                .entry(METADATA_VERSION.to_owned())
                .or_insert_with(last_level);
        }
    }
    Ok(levels)
}

/// The quorum decides the level of `kraft.version`; asking for another one is
/// a mistake.
pub(super) fn kraft_version(asked: Option<i16>, fitting: i16) -> Result<i16, FeatureError> {
    match asked {
        Some(asked) if asked != fitting => Err(FeatureError::KraftVersion { asked }),
        Some(_) | None => Ok(fitting),
    }
}

/// The release of a level, as Kafka prints it.
pub(super) fn release_of(level: i16) -> &'static str {
    let found = releases().find(|(_, of)| *of == level);
    found.map_or("unknown", |(release, _)| release)
}

/// `4.0`, `4.0.1` and `4.0-IV3` are all level 25: a release means its last
/// iteration.
fn level_of(release: &str) -> Option<i16> {
    let mut parts = release.splitn(3, '.');
    let release = format!("{}.{}", parts.next()?, parts.next()?);
    let is_it = |known: &str| {
        known == release || known.split_once("-IV").is_some_and(|(of, _)| of == release)
    };
    let fitting = releases().filter(|(known, _)| is_it(known));
    fitting.last().map(|(_, level)| level)
}

fn releases() -> impl Iterator<Item = (&'static str, i16)> {
    RELEASES.iter().copied().zip(FIRST_LEVEL..)
}

fn range(name: &str) -> Option<(i16, i16)> {
    if name == METADATA_VERSION {
        return Some((FIRST_LEVEL, last_level()));
    }
    let (_, max) = FEATURES.iter().find(|(known, _)| *known == name)?;
    Some((0, *max))
}

fn last_level() -> i16 {
    releases().last().map_or(FIRST_LEVEL, |(_, level)| level)
}

fn names() -> String {
    let names: Vec<&str> = FEATURES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_its_last_iteration() {
        let cases = [
            ("3.3", 7),
            ("3.7-IV2", 17),
            ("3.7", 19),
            ("3.7.1", 19),
            ("4.0", 25),
            ("4.3", 30),
            ("4.3.1", 30),
        ];
        for (release, level) in cases {
            assert_eq!(level_of(release), Some(level), "{release}");
        }
        for unknown in ["4", "3.2", "4.4", "2.9-IV2", "invalid", ""] {
            assert_eq!(level_of(unknown), None, "{unknown}");
        }
        assert_eq!(release_of(30), "4.3-IV0");
        assert_eq!(last_level(), 30);
    }
}
