//! What a case is.

use std::fmt;

use crate::broker::Setting;
use crate::session::Session;

type Steps = dyn Fn(&mut Session<'_>) -> anyhow::Result<()> + Send + Sync;

/// Something to ask of both brokers, kept under `golden/GROUP/NAME.txt`.
pub struct Case {
    pub group: &'static str,
    pub name: String,
    /// What the broker is started with besides what every broker is.
    pub settings: &'static [Setting],
    pub before: Before,
    /// Whether it runs a tool of Kafka's, which golden files alone cannot do.
    pub needs_java: bool,
    pub(crate) steps: Box<Steps>,
}

/// Who has asked the broker of a case before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Other cases with the same settings.
    Others,
    /// Whoever started it, until it served groups and producers.
    WarmUp,
    /// Whoever started it, whether it answers at all.
    Nobody,
}

impl Case {
    pub fn new(
        group: &'static str,
        name: impl Into<String>,
        steps: impl Fn(&mut Session<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            settings: &[],
            before: Before::Others,
            needs_java: false,
            steps: Box::new(steps),
        }
    }

    /// On a broker with these settings, which all cases with the same ones share.
    #[must_use]
    pub fn with(mut self, settings: &'static [Setting]) -> Self {
        self.settings = settings;
        self
    }

    /// On a broker of its own.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.before = Before::WarmUp;
        self
    }

    /// On a broker of its own that may have made nothing yet that is made when it
    /// is first needed.
    #[must_use]
    pub fn first(mut self) -> Self {
        self.before = Before::Nobody;
        self
    }

    /// Only where Kafka's tools run too.
    #[must_use]
    pub fn with_java(mut self) -> Self {
        self.needs_java = true;
        self
    }

    /// What it is called by on the command line and in `docs/differences.md`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
