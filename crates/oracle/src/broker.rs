//! A broker under test as a process: Ottla's binary, or Apache Kafka through
//! `peers/run`.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::case::Before;
use crate::connection::Connection;
use crate::msg;
use crate::normal::Place;
use crate::schema::Api;
use crate::value::NULL;

/// Which program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Ottla,
    Kafka,
}

/// A setting as it stands in a file of settings.
pub type Setting = (&'static str, &'static str);

/// What both brokers are started with, besides where they listen.
pub const SETTINGS: &[Setting] = &[
    ("node.id", "1"),
    ("num.partitions", "2"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "100"),
    ("offsets.topic.num.partitions", "5"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.num.partitions", "5"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "5"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

/// A running broker with a directory of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    pub address: SocketAddr,
    process: Child,
    program: Program,
    directory: tempfile::TempDir,
}

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(120);

impl Broker {
    /// Starts one and waits until it answers, and also serves groups and producers
    /// unless nobody may have asked for them.
    ///
    /// # Errors
    /// If it does not start, or there is no such program.
    pub fn start(program: Program, settings: &[Setting], before: Before) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let log = std::fs::File::create(directory.path().join("log"))?;
        let all = SETTINGS.iter().chain(settings);
        let (mut process, address) = match program {
            Program::Ottla => {
                let address = free_address()?;
                let mut command = Command::new(ottla()?);
                command
                    .arg("serve")
                    .arg("--data")
                    .arg(directory.path().join("data-1"));
                let listen = format!("PLAINTEXT://{address}");
                let here = [
                    ("listeners", &*listen),
                    ("advertised.listeners", &*listen),
                    ("inter.broker.listener.name", "PLAINTEXT"),
                ];
                for (key, value) in all.copied().chain(here) {
                    command.arg("--set").arg(format!("{key}={value}"));
                }
                command
                    .stdin(Stdio::null())
                    .stdout(log.try_clone()?)
                    .stderr(log);
                (command.spawn().context("starting Ottla")?, address)
            }
            Program::Kafka => {
                let mut command = Command::new(root().join("peers/run"));
                command.args(["kafka", "--dir"]).arg(directory.path());
                for (key, value) in all {
                    command.arg("--set").arg(format!("{key}={value}"));
                }
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::inherit());
                let mut process = command.spawn().context("starting Apache Kafka")?;
                let address = ready(&mut process)?;
                (process, address)
            }
        };
        let began = Instant::now();
        let is_ready = || match before {
            Before::Others | Before::WarmUp => warm_up(program, address),
            Before::Nobody => answers(address),
        };
        while let Err(error) = is_ready() {
            let is_over = process.try_wait()?.is_some() || began.elapsed() > START;
            if is_over {
                let log = std::fs::read_to_string(directory.path().join("log"));
                bail!(
                    "the broker did not start: {error:#}\n{}",
                    log.unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self {
            address,
            process,
            program,
            directory,
        })
    }

    /// What a transcript must not show.
    pub fn place(&self) -> Place {
        Place {
            address: self.address.to_string(),
            directory: self.directory.path().display().to_string(),
        }
    }

    pub fn program(&self) -> Program {
        self.program
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        // `peers/run` stops the broker that it started when it is asked to.
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        let began = Instant::now();
        while asked.is_ok() && began.elapsed() < Duration::from_secs(30) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in `peers/run`'s line.
fn ready(process: &mut Child) -> anyhow::Result<SocketAddr> {
    let out = process.stdout.take().context("its output is piped")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    ensure!(
        words.next() == Some("ready"),
        "Apache Kafka did not start: {line}"
    );
    let address = words.next().context("an address follows")?;
    Ok(address.parse()?)
}

/// Codes of what is being made: loading, no coordinator, not the coordinator.
const NOT_YET: [i64; 3] = [14, 15, 16];

/// Asks for what a broker makes when it is first asked: coordinators, producer
/// ids. So no case meets their absence.
fn warm_up(program: Program, address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    let group = msg! { KeyType: 0_i8, CoordinatorKeys: ["warm-up"] };
    let mut ask = |api: &str, version, request, error: &str| {
        let api = Api::named(api);
        let answer = connection.ask(api, version, &request)?;
        let code = answer.int(error)?;
        let is_there = !NOT_YET.contains(&code);
        ensure!(is_there, "{} answers with the error {code}", api.name);
        anyhow::Ok(())
    };
    ask("FindCoordinator", 4, group, "Coordinators[0].ErrorCode")?;
    ask("Heartbeat", 0, msg! { GroupId: "warm-up" }, "ErrorCode")?;
    ask(
        "InitProducerId",
        1,
        msg! { TransactionalId: NULL },
        "ErrorCode",
    )?;
    if program == Program::Kafka {
        // What Ottla does not have yet has no coordinator there.
        let transaction = msg! { KeyType: 1_i8, CoordinatorKeys: ["warm-up"] };
        ask(
            "FindCoordinator",
            6,
            transaction,
            "Coordinators[0].ErrorCode",
        )?;
        let producer = msg! { TransactionalId: "warm-up", TransactionTimeoutMs: 1000 };
        ask("InitProducerId", 1, producer, "ErrorCode")?;
        let share = msg! { KeyType: 2_i8, CoordinatorKeys: ["g:AAAAAAAAAAAAAAAAAAAAAQ:0"] };
        ask("FindCoordinator", 6, share, "Coordinators[0].ErrorCode")?;
    }
    Ok(())
}

fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    connection.ask(Api::named("ApiVersions"), 0, &msg! {})?;
    Ok(())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// The release build beside this program's own, unless `OTTLA_BIN` names another.
fn ottla() -> anyhow::Result<PathBuf> {
    if let Some(given) = env::var_os("OTTLA_BIN") {
        return Ok(given.into());
    }
    let own = env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("it lies in a target directory")?;
    let found = target.join("release/ottla");
    ensure!(
        found.exists(),
        "there is no {}: run `make build`",
        found.display()
    );
    Ok(found)
}

/// The checkout.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
