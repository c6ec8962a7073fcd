//! The broker that is measured: started here in an empty directory, or one that
//! runs already.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::frames::{Acks, Connection, PreparedProduce};
use crate::kind::Kind;
use crate::process;

const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Where the programs are that are started.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) ottla: PathBuf,
    pub(crate) peers: PathBuf,
    /// Further settings for Ottla.
    pub(crate) settings: Vec<String>,
}

/// Dropping it ends the process and removes its data.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    /// Empty when nobody knows it.
    pub(crate) pids: Vec<u32>,
    pub(crate) programs: Programs,
    /// `peers/run`, or Ottla itself; none while it is stopped.
    child: Option<Child>,
    home: TempDir,
}

impl Broker {
    /// One that is not started yet, with an empty directory.
    pub(crate) fn new(kind: &Kind, programs: &Programs) -> Result<Self> {
        let (address, pids) = match kind {
            Kind::Running { address, pid } => (address.clone(), Vec::from_iter(*pid)),
            Kind::Ottla(_) | Kind::Kafka(_) | Kind::Tansu | Kind::Noida => {
                let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                (format!("127.0.0.1:{port}"), Vec::new())
            }
        };
        Ok(Self {
            kind: kind.clone(),
            address,
            pids,
            programs: programs.clone(),
            child: None,
            home: home()?,
        })
    }

    /// Starts the process and returns how long it took from there to the first
    /// acknowledged record.
    pub(crate) fn start(&mut self, topic: &str) -> Result<Duration> {
        ensure!(self.child.is_none(), "the broker runs already");
        let begun = Instant::now();
        self.child = self.spawn()?;
        self.await_acknowledgement(topic)?;
        let acknowledged = Instant::now();
        if self.kind.peer().is_none() {
            let child = self.child.as_ref().map(Child::id);
            self.pids = child.map_or_else(|| self.pids.clone(), |pid| vec![pid]);
            return Ok(acknowledged - begun);
        }
        // What makes it ready to start, such as formatting its directory, is
        // not its own start: the time is counted from that of its process.
        self.pids = self.pids_when_ready()?;
        let pid = self.pids.first().context("no process id")?;
        let age = process::age(*pid)?;
        Ok(age.saturating_sub(acknowledged.elapsed()))
    }

    fn spawn(&self) -> Result<Option<Child>> {
        let mut command = match (&self.kind, self.kind.peer()) {
            (Kind::Running { .. }, _) => return Ok(None),
            (_, Some(peer)) => self.peer_command(peer),
            (_, None) => self.ottla_command(),
        };
        let child = command.stdin(Stdio::null()).spawn();
        let program = command.get_program().display();
        Ok(Some(child.with_context(|| format!("starting {program}"))?))
    }

    fn ottla_command(&self) -> Command {
        let mut command = ends_with_us(&self.programs.ottla);
        command.arg("serve").arg("--data");
        command.arg(self.home.path().join("data"));
        command.args(["--log", "warn", "--set"]);
        command.arg(format!("listeners=PLAINTEXT://{}", self.address));
        for setting in self.kind.settings() {
            command.args(["--set", setting]);
        }
        for setting in &self.programs.settings {
            command.args(["--set", setting]);
        }
        command.stdout(Stdio::null());
        command
    }

    fn peer_command(&self, peer: &str) -> Command {
        let mut command = ends_with_us(&self.programs.peers.join("run"));
        command.arg(peer).arg("--dir").arg(self.home.path());
        let port = self.address.rsplit(':').next();
        command.arg("--port").args(port);
        for setting in self.kind.settings() {
            command.args(["--set", setting]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Asks without a pause that would count.
    fn await_acknowledgement(&mut self, topic: &str) -> Result<()> {
        let prepared = PreparedProduce::new(topic, 0, Acks::All, b"first", 1)?;
        let begun = Instant::now();
        loop {
            let left = START_WITHIN.saturating_sub(begun.elapsed());
            let asked = Connection::open(&self.address)
                .and_then(|mut asked| asked.await_acknowledgement(topic, &prepared, left));
            match asked {
                Ok(()) => return Ok(()),
                Err(error) if left.is_zero() => return Err(error),
                Err(_) => self.check_that_it_lives()?,
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn check_that_it_lives(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        let mut said = String::new();
        if let Some(errors) = &mut child.stderr {
            errors.read_to_string(&mut said)?;
        }
        if said.is_empty() {
            write!(said, "it ended with {status}")?;
        }
        bail!("{}", said.trim())
    }

    /// Reads the line `ready ADDRESS pid=PID,...` of `peers/run`.
    fn pids_when_ready(&mut self) -> Result<Vec<u32>> {
        let output = self.child.as_mut().and_then(|child| child.stdout.take());
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        pids(&line).with_context(|| format!("'{}' is no ready line", line.trim()))
    }

    /// Starts it once more, with none of what it had stored or remembered.
    pub(crate) fn start_anew(&mut self, topic: &str) -> Result<Duration> {
        self.stop()?;
        self.home = home()?;
        self.start(topic)
    }

    /// Where its data is, and nothing else.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Lets it finish what a stop makes it do.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > STOP_WITHIN {
                child.kill()?;
                child.wait()?;
                bail!("it did not stop within {} s", STOP_WITHIN.as_secs());
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        for pid in &self.pids {
            let pid = Pid::from_raw(i32::try_from(*pid)?).context("a process id of 0")?;
            kill_process(pid, Signal::KILL)?;
        }
        self.stop()
    }

    /// librdkafka's settings for this broker.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Whoever minds has called it before.
        let _ = self.stop();
    }
}

fn home() -> Result<TempDir> {
    Ok(TempDir::with_prefix("ottla-bench-")?)
}

/// A program that is told to stop when this one dies, in whatever way.
fn ends_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

fn pids(ready: &str) -> Option<Vec<u32>> {
    let (_, pids) = ready.trim().strip_prefix("ready ")?.split_once(" pid=")?;
    pids.split(',').map(|pid| pid.parse().ok()).collect()
}

/// What the program says of its version.
pub(crate) fn version(kind: &Kind, programs: &Programs) -> Result<String> {
    let output = match (kind, kind.peer()) {
        (Kind::Running { .. }, _) => return Ok("unknown".to_owned()),
        (_, Some(peer)) => Command::new(programs.peers.join("install"))
            .arg(peer)
            .output()?,
        (_, None) => Command::new(&programs.ottla).arg("--version").output()?,
    };
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let output = String::from_utf8(output.stdout)?;
    let version = output.split_whitespace().nth(1);
    Ok(version.context("no version")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_names_every_process() {
        let read = [
            "ready 127.0.0.1:40143 pid=4711\n",
            "ready 127.0.0.1:1,127.0.0.1:2 pid=7,8\n",
            "ready 127.0.0.1:1\n",
            "skipped: kafka: there is no Java 17\n",
            "",
        ]
        .map(pids);
        assert_eq!(read, [Some(vec![4711]), Some(vec![7, 8]), None, None, None]);
    }
}
