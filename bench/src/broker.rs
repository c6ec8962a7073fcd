//! The broker that is measured, or the cluster of them: started here in an empty
//! directory, or one that runs already.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::frames::{Acks, Connection, PreparedProduce};
use crate::kind::Kind;
use crate::node::Node;
use crate::process;

const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Where the programs are that are started.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) ottla: PathBuf,
    pub(crate) peers: PathBuf,
    /// Further settings for Ottla.
    pub(crate) settings: Vec<String>,
}

/// Dropping it ends every process and removes their data.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) kind: Kind,
    /// Of every node, with commas in between.
    pub(crate) address: String,
    /// One of each node, in the order of their ids, which begin with 1. Empty when
    /// nobody knows them.
    pub(crate) pids: Vec<u32>,
    pub(crate) programs: Programs,
    /// Empty for one that runs already.
    nodes: Vec<Node>,
    /// `peers/run`, or every node of Ottla; empty while it is stopped.
    children: Vec<Child>,
    home: TempDir,
}

impl Broker {
    /// One that is not started yet, with an empty directory.
    pub(crate) fn new(kind: &Kind, nodes: usize, programs: &Programs) -> Result<Self> {
        ensure!(nodes == 1 || kind.forms_clusters(), "it is one node");
        let (address, pids, nodes) = match kind {
            Kind::Running { address, pid } => (address.clone(), Vec::from_iter(*pid), Vec::new()),
            Kind::Ottla(_) | Kind::Kafka(_) | Kind::Tansu | Kind::Noida => {
                let nodes = Node::some(nodes)?;
                let addresses: Vec<String> = nodes.iter().map(Node::address).collect();
                (addresses.join(","), Vec::new(), nodes)
            }
        };
        Ok(Self {
            kind: kind.clone(),
            address,
            pids,
            programs: programs.clone(),
            nodes,
            children: Vec::new(),
            home: home()?,
        })
    }

    fn is_cluster(&self) -> bool {
        self.nodes.len() > 1
    }

    /// How many copies of everything it keeps.
    pub(crate) fn replicas(&self) -> i32 {
        i32::try_from(self.nodes.len().max(1)).expect("a few nodes")
    }

    /// Starts the process and returns how long it took from there to the first
    /// acknowledged record, or until a cluster has all its nodes.
    pub(crate) fn start(&mut self, topic: &str) -> Result<Duration> {
        ensure!(self.children.is_empty(), "the broker runs already");
        let begun = Instant::now();
        self.spawn()?;
        match (self.is_cluster(), self.kind.peer()) {
            (false, _) => self.await_acknowledgement(topic)?,
            (true, None) => self.await_members()?,
            (true, Some(_)) => {
                let ready = self.when_ready()?;
                (self.address, self.pids) = (ready.address, ready.pids);
                return Ok(begun.elapsed());
            }
        }
        let acknowledged = Instant::now();
        if self.kind.peer().is_none() {
            if !self.children.is_empty() {
                self.pids = self.children.iter().map(Child::id).collect();
            }
            return Ok(acknowledged - begun);
        }
        // What makes it ready to start, such as formatting its directory, is
        // not its own start: the time is counted from that of its process.
        self.pids = self.when_ready()?.pids;
        let pid = self.pids.first().context("no process id")?;
        let age = process::age(*pid)?;
        Ok(age.saturating_sub(acknowledged.elapsed()))
    }

    fn spawn(&mut self) -> Result<()> {
        let commands = match (&self.kind, self.kind.peer()) {
            (Kind::Running { .. }, _) => Vec::new(),
            (_, Some(peer)) => vec![self.peer_command(peer)],
            (_, None) => self
                .nodes
                .iter()
                .map(|own| self.ottla_command(own))
                .collect(),
        };
        for mut command in commands {
            let child = command.stdin(Stdio::null()).spawn();
            let program = command.get_program().display();
            let child = child.with_context(|| format!("starting {program}"))?;
            self.children.push(child);
        }
        Ok(())
    }

    fn ottla_command(&self, own: &Node) -> Command {
        let mut command = ends_with_us(&self.programs.ottla);
        command.arg("serve").arg("--data");
        command.arg(self.home.path().join(format!("data-{}", own.id)));
        command.args(["--log", "warn"]);
        for setting in own.settings(&self.nodes) {
            command.arg("--set").arg(setting);
        }
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
        if let Some(first) = self.nodes.first() {
            command.arg("--port").arg(first.port.to_string());
        }
        if self.is_cluster() {
            command.arg("--nodes").arg(self.nodes.len().to_string());
        }
        for setting in Node::settings_of_all(&self.nodes) {
            command.arg("--set").arg(setting);
        }
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

    /// Until every node says that all of them are there.
    fn await_members(&mut self) -> Result<()> {
        let begun = Instant::now();
        for number in 0..self.nodes.len() {
            while self.members(number) < self.nodes.len() {
                ensure!(begun.elapsed() < START_WITHIN, "they form no cluster");
                self.check_that_it_lives()?;
                thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }

    /// How many brokers serve, as one node has it.
    fn members(&self, number: usize) -> usize {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.nodes[number].address());
        config.set("log_level", "0");
        let asked = config.create::<BaseConsumer>();
        let known = asked.and_then(|asked| asked.fetch_metadata(None, ANSWER_WITHIN));
        known.map_or(0, |known| known.brokers().len())
    }

    fn check_that_it_lives(&mut self) -> Result<()> {
        for child in &mut self.children {
            let Some(status) = child.try_wait()? else {
                continue;
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
        Ok(())
    }

    /// Reads the line `ready ADDRESS,... pid=PID,...` of `peers/run`.
    fn when_ready(&mut self) -> Result<Ready> {
        let output = self.children.first_mut();
        let output = output.and_then(|child| child.stdout.take());
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        self.check_that_it_lives()?;
        Ready::read(&line).with_context(|| format!("'{}' is no ready line", line.trim()))
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
        let mut children = mem::take(&mut self.children);
        for child in &children {
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        let begun = Instant::now();
        let mut in_time = true;
        for child in &mut children {
            while child.try_wait()?.is_none() {
                if begun.elapsed() > STOP_WITHIN {
                    in_time = false;
                    child.kill()?;
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        ensure!(
            in_time,
            "it did not stop within {} s",
            STOP_WITHIN.as_secs()
        );
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        for pid in &self.pids {
            kill_at_once(*pid)?;
        }
        self.stop()
    }

    /// Ends one of its nodes as a crash would.
    pub(crate) fn kill_node(&self, id: i32) -> Result<()> {
        let index = usize::try_from(id - 1)?;
        let pid = self.pids.get(index).context("no node of that id")?;
        kill_at_once(*pid)
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

fn kill_at_once(pid: u32) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process id of 0")?;
    Ok(kill_process(pid, Signal::KILL)?)
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

/// What `peers/run` says of what it started.
#[derive(Debug, PartialEq, Eq)]
struct Ready {
    address: String,
    pids: Vec<u32>,
}

impl Ready {
    fn read(line: &str) -> Option<Self> {
        let (address, pids) = line.trim().strip_prefix("ready ")?.split_once(" pid=")?;
        let pids = pids.split(',').map(|pid| pid.parse().ok());
        Some(Self {
            address: address.to_owned(),
            pids: pids.collect::<Option<_>>()?,
        })
    }
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
    fn a_ready_line_names_every_address_and_process() {
        let ready = |address: &str, pids: &[u32]| {
            Some(Ready {
                address: address.to_owned(),
                pids: pids.to_vec(),
            })
        };
        let read = [
            "ready 127.0.0.1:40143 pid=4711\n",
            "ready 127.0.0.1:1,127.0.0.1:2 pid=7,8\n",
            "ready 127.0.0.1:1\n",
            "skipped: kafka: there is no Java 17\n",
            "",
        ]
        .map(Ready::read);
        let expected = [
            ready("127.0.0.1:40143", &[4711]),
            ready("127.0.0.1:1,127.0.0.1:2", &[7, 8]),
            None,
            None,
            None,
        ];
        assert_eq!(read, expected);
    }
}
