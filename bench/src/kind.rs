//! Which broker is measured, and what its acknowledgement promises.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ottla(Flush),
    Kafka(Flush),
    Tansu,
    Noida,
    /// One that somebody else started.
    Running {
        address: String,
        pid: Option<u32>,
    },
}

/// Where a record is when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flush {
    Disk,
    PageCache,
}

impl Kind {
    pub(crate) const OTTLA: Self = Self::Ottla(Flush::Disk);
    pub(crate) const OTTLA_PAGE_CACHE: Self = Self::Ottla(Flush::PageCache);
    pub(crate) const KAFKA: Self = Self::Kafka(Flush::PageCache);

    /// The name under which `peers/` knows it.
    pub(crate) const fn peer(&self) -> Option<&'static str> {
        match self {
            Self::Kafka(_) => Some("kafka"),
            Self::Tansu => Some("tansu"),
            Self::Noida => Some("noida"),
            Self::Ottla(_) | Self::Running { .. } => None,
        }
    }

    /// The settings that make it what its name says.
    pub(crate) const fn settings(&self) -> &'static [&'static str] {
        // One of the cases is about retention, which works every five minutes
        // where nobody says otherwise.
        const RETENTION: &str = "log.retention.check.interval.ms=1000";
        match self {
            Self::Ottla(Flush::Disk) => &[RETENTION, "ottla.flush.policy=fsync"],
            Self::Ottla(Flush::PageCache) => &[RETENTION, "ottla.flush.policy=page-cache"],
            Self::Kafka(Flush::Disk) => &[RETENTION, "log.flush.interval.messages=1"],
            Self::Kafka(Flush::PageCache) => &[RETENTION],
            Self::Tansu | Self::Noida | Self::Running { .. } => &[],
        }
    }

    /// Where a record is when it is acknowledged, in words.
    pub(crate) const fn promise(&self) -> &'static str {
        match self {
            Self::Ottla(Flush::Disk) => "flushed to disk",
            Self::Kafka(Flush::Disk) => "flushed to disk (`flush.messages=1`)",
            Self::Ottla(Flush::PageCache) | Self::Kafka(Flush::PageCache) => "in the page cache",
            Self::Tansu => "in the process's memory",
            Self::Noida => "as its defaults have it",
            Self::Running { .. } => "unknown",
        }
    }

    /// Whether several of it can be started as one.
    pub(crate) const fn forms_clusters(&self) -> bool {
        matches!(self, Self::Ottla(_) | Self::Kafka(_))
    }

    /// Whether its data is there after a restart.
    pub(crate) const fn keeps_data(&self) -> bool {
        matches!(self, Self::Ottla(_) | Self::Kafka(_) | Self::Noida)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ottla(Flush::Disk) => f.pad("ottla"),
            Self::Ottla(Flush::PageCache) => f.pad("ottla:page-cache"),
            Self::Kafka(Flush::PageCache) => f.pad("kafka"),
            Self::Kafka(Flush::Disk) => f.pad("kafka:fsync"),
            Self::Tansu => f.pad("tansu"),
            Self::Noida => f.pad("noida"),
            Self::Running { address, pid: None } => f.pad(address),
            Self::Running {
                address,
                pid: Some(pid),
            } => write!(f, "{address}@{pid}"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ottla" => return Ok(Self::OTTLA),
            "ottla:page-cache" => return Ok(Self::OTTLA_PAGE_CACHE),
            "kafka" => return Ok(Self::KAFKA),
            "kafka:fsync" => return Ok(Self::Kafka(Flush::Disk)),
            "tansu" => return Ok(Self::Tansu),
            "noida" => return Ok(Self::Noida),
            _ => {}
        }
        let (address, pid) = match text.split_once('@') {
            Some((address, pid)) => {
                let pid = pid.parse();
                let pid = pid.map_err(|_| format!("'{text}' does not end in a process id"))?;
                (address, Some(pid))
            }
            None => (text, None),
        };
        let port = address.rsplit_once(':').map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!("'{text}' is neither a broker's name nor HOST:PORT"));
        }
        let address = address.to_owned();
        Ok(Self::Running { address, pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for name in [
            "ottla",
            "ottla:page-cache",
            "kafka",
            "kafka:fsync",
            "tansu",
            "noida",
            "localhost:9092",
            "127.0.0.1:9092@4711",
        ] {
            let kind: Kind = name.parse().unwrap();
            assert_eq!(kind.to_string(), name);
        }
    }

    #[test]
    fn what_is_no_broker_is_refused() {
        for name in ["", "kafka:page-cache", "host", "host:port", "host:9092@me"] {
            let refused = name.parse::<Kind>();
            assert!(refused.is_err(), "{name} is read as {refused:?}");
        }
    }
}
