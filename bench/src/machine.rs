//! The machine that was measured on, in words that do not name it.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) facts: Vec<(String, String)>,
}

impl Machine {
    pub(crate) fn this() -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        let model = field(&processors, "model name").unwrap_or("unknown");
        let cores = std::thread::available_parallelism()?;
        let kibibytes: f64 = kibibytes(&memory, "MemTotal").unwrap_or_default();
        let scratch = std::env::temp_dir();
        let (_, client) = rdkafka::util::get_rdkafka_version();
        let facts = [
            ("cores", format!("{cores}, shared by broker and client")),
            ("processor", model.to_owned()),
            ("memory", format!("{:.0} GiB", kibibytes / 1_048_576.0)),
            ("kernel", format!("Linux {}", plain_version(&release))),
            ("file system", file_system(&mounts, &scratch).to_owned()),
            ("client", format!("librdkafka {client}")),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        Ok(Self {
            facts: facts.into(),
        })
    }
}

/// The value of the first line `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(field, _)| field.trim() == name)?;
    Some(value.trim())
}

/// The number of a line `NAME : NUMBER kB`.
pub(crate) fn kibibytes<N: FromStr>(text: &str, name: &str) -> Option<N> {
    field(text, name)?.strip_suffix(" kB")?.parse().ok()
}

/// A release without what whoever built it appended.
fn plain_version(release: &str) -> &str {
    release.split(['-', '+']).next().unwrap_or(release)
}

/// The type of the mount that a path lies in: the longest that it begins with,
/// and of equals the last, which covers the others.
fn file_system<'a>(mounts: &'a str, path: &Path) -> &'a str {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let holding = mounts.filter(|(place, _)| path.starts_with(place));
    holding
        .max_by_key(|(place, _)| place.len())
        .map_or("unknown", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_the_longest_mount_that_it_begins_with() {
        let mounts = "rootfs / rootfs rw 0 0\n/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n\
                      /dev/b /tmpfiles xfs rw 0 0\n";
        for (path, expected) in [
            ("/tmp/bench", "tmpfs"),
            ("/tmpfiles/x", "xfs"),
            ("/var/tmp", "ext4"),
        ] {
            assert_eq!(file_system(mounts, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn facts_are_read_as_linux_writes_them() {
        let text = "processor\t: 0\nmodel name\t: A: fast one\nmodel name\t: B\n";
        assert_eq!(field(text, "model name"), Some("A: fast one"));
        assert_eq!(field(text, "flags"), None);
        assert_eq!(plain_version("6.18.44-host-7 #1"), "6.18.44");
    }
}
