//! What a case has at hand: connections by name, requests, and a transcript.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::broker::{Broker, root};
use crate::connection::{Answer, CLIENT, Connection, PATIENCE, decode};
use crate::normal::{MARK, Normal};
use crate::schema::Api;
use crate::transcript::{Line, Step, Title};
use crate::value::{NULL, Value, show_bytes};
use crate::{msg, normal};

/// One case, on one broker.
#[derive(Debug)]
pub struct Session<'a> {
    broker: &'a Broker,
    prefix: String,
    normal: Normal,
    connections: BTreeMap<&'static str, Wire>,
    /// For what no transcript shows.
    behind: Option<Connection>,
    steps: Vec<Step>,
}

/// A connection, and what is owed on it.
#[derive(Debug)]
struct Wire {
    connection: Connection,
    owed: VecDeque<Owed>,
}

#[derive(Debug)]
struct Owed {
    api: &'static Api,
    version: i16,
    correlation: i32,
}

impl<'a> Session<'a> {
    pub fn new(broker: &'a Broker, case: &str) -> Self {
        let prefix = format!("{MARK}{case}-");
        Self {
            broker,
            normal: Normal::new(broker.place(), prefix.clone()),
            prefix,
            connections: BTreeMap::new(),
            behind: None,
            steps: Vec::new(),
        }
    }

    /// The transcript.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    pub fn broker(&self) -> &Broker {
        self.broker
    }

    /// A name for a topic, a group or a transaction that is this case's own. A
    /// transcript shows it as `~short`.
    pub fn name(&self, short: &str) -> String {
        format!("{}{short}", self.prefix)
    }

    /// A remark in the transcript.
    pub fn note(&mut self, text: &str) {
        self.step(Title::text(format!("# {text}")), Vec::new());
    }

    /// Numbers the ids of what follows from one on again.
    pub fn forget_ids(&mut self) {
        self.normal.forget();
    }

    /// Shows nothing of the fields of that name in answers of `api` (`*`: of any).
    pub fn mask(&mut self, api: &'static str, field: &'static str) {
        self.normal.mask(api, field);
    }

    /// Asks on the connection of that name, which is opened if it is new, and
    /// waits for the answer: it is null if none came.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn ask(
        &mut self,
        on: &'static str,
        api: &str,
        version: i16,
        request: Value,
    ) -> anyhow::Result<Value> {
        self.write(on, Api::named(api), version, &request)?;
        let title = self.title(on, '>', api, version, Some(&request));
        let (value, lines) = self.read(on, PATIENCE)?;
        self.step(title, lines);
        if value.is_null() {
            // Whatever may come yet would be taken for the answer to the next.
            self.disconnect(on);
        }
        Ok(value)
    }

    /// Asks again and again until an answer is as wanted, and shows that one
    /// alone; or the last, when time is up.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn ask_until(
        &mut self,
        on: &'static str,
        api: &str,
        version: i16,
        request: Value,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let began = Instant::now();
        let title = self.title(on, '>', api, version, Some(&request));
        loop {
            self.write(on, Api::named(api), version, &request)?;
            let (value, lines) = self.read(on, PATIENCE)?;
            if is_wanted(&value) || value.is_null() || began.elapsed() > PATIENCE {
                self.step(title, lines);
                return Ok(value);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a request and does not wait for the answer.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn send(
        &mut self,
        on: &'static str,
        api: &str,
        version: i16,
        request: Value,
    ) -> anyhow::Result<()> {
        self.write(on, Api::named(api), version, &request)?;
        let title = self.title(on, '>', api, version, Some(&request));
        self.step(title, Vec::new());
        Ok(())
    }

    /// Waits for the next answer to what was sent.
    ///
    /// # Errors
    /// If nothing was sent.
    pub fn receive(&mut self, on: &'static str) -> anyhow::Result<Value> {
        self.receive_within(on, PATIENCE)
    }

    /// Shows whether the next answer comes within that time. What does not come
    /// is owed still.
    ///
    /// # Errors
    /// If nothing was sent.
    pub fn receive_within(&mut self, on: &'static str, within: Duration) -> anyhow::Result<Value> {
        let wire = self.wire(on)?;
        let owed = wire.owed.front().context("nothing was sent")?;
        let (api, version) = (owed.api, owed.version);
        let (value, lines) = self.read(on, within)?;
        let title = self.title(on, '<', api.name, version, None);
        self.step(title, lines);
        Ok(value)
    }

    /// Sends bytes as they are, and shows what comes back within that time: an
    /// answer in the form of `api` if one is named, its bytes otherwise. The
    /// answer is taken to bear whatever number.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn ask_bytes(
        &mut self,
        on: &'static str,
        what: &str,
        bytes: &[u8],
        answer: Option<(&str, i16)>,
        within: Duration,
    ) -> anyhow::Result<Value> {
        let wire = self.wire(on)?;
        // Whoever refuses early may have closed before all was written.
        let _ = wire.connection.write(bytes);
        let came = wire.connection.read(within)?;
        let (value, lines) = match (came, answer) {
            (Answer::Frame(frame), Some((api, version))) => {
                let api = Api::named(api);
                let number = frame.first_chunk().map_or(0, |it| i32::from_be_bytes(*it));
                let decoded = decode(api, version, number, &frame);
                self.lines(api, decoded)
            }
            (Answer::Frame(frame), None) => {
                let shown = show_bytes(&frame);
                (Value::Bytes(frame), vec![plain("answer", shown)])
            }
            (other, _) => (NULL, self.absent(on, &other)),
        };
        self.step(Title::text(format!("{on}> {what}")), lines);
        Ok(value)
    }

    /// Asks in every version that clients may use, of which the request is made.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn sweep(&mut self, api: &str, request: impl Fn(i16) -> Value) -> anyhow::Result<()> {
        for version in Api::named(api).stable_versions() {
            self.ask("a", api, version, request(version))?;
        }
        Ok(())
    }

    /// As [`Session::ask_bytes`], of a frame that began as a request of that API.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn ask_damaged(
        &mut self,
        api: &str,
        version: i16,
        damage: &str,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.ask_bytes("a", "", bytes, Some((api, version)), PATIENCE)?;
        let title = Title {
            before: format!("a> {api}"),
            version: Some(version),
            after: format!(" {damage}"),
        };
        if let Some(step) = self.steps.last_mut() {
            step.title = title;
        }
        Ok(())
    }

    /// Runs a tool of Kafka's at the broker and shows what it prints: a line with
    /// a colon as a field, another line by its number.
    ///
    /// # Errors
    /// If it does not run.
    pub fn tool(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let address = self.broker.address.to_string();
        let program = root().join("peers/bin").join(name);
        let done = Command::new(&program)
            .args(["--bootstrap-server", &address])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", program.display()))?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let lines = text.lines().enumerate().map(|(at, line)| {
            let line = self.normal.words(line.trim().trim_end_matches(','));
            match line.split_once(": ") {
                Some((path, value)) => plain(path, value.to_owned()),
                None => plain(&format!("line {at}"), line),
            }
        });
        let mut lines: Vec<Line> = lines.collect();
        lines.push(plain("exit status", done.status.to_string()));
        self.step(
            Title::text(format!("$ {name} {}", arguments.join(" "))),
            lines,
        );
        Ok(())
    }

    /// A request's frame, with its size, for a case that damages it.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn frame(&mut self, api: &str, version: i16, request: &Value) -> anyhow::Result<Vec<u8>> {
        let mut unused = Connection::open(self.broker.address)?;
        let (frame, _) = unused.frame(Api::named(api), version, request, Some(CLIENT))?;
        Ok(frame)
    }

    /// Closes the connection of that name; the next use opens another.
    pub fn disconnect(&mut self, on: &'static str) {
        self.connections.remove(on);
    }

    /// Asks what no transcript shows.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn setup(&mut self, api: &str, version: i16, request: Value) -> anyhow::Result<Value> {
        let mut connection = match self.behind.take() {
            Some(connection) => connection,
            None => Connection::open(self.broker.address)?,
        };
        let answer = connection.ask(Api::named(api), version, &request)?;
        self.behind = Some(connection);
        Ok(answer)
    }

    /// Makes a topic, and waits until it can be used; returns its id. No
    /// transcript shows it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn topic(&mut self, short: &str, partitions: i32) -> anyhow::Result<[u8; 16]> {
        self.topic_with(short, partitions, &[])
    }

    /// As [`Session::topic`], with settings.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn topic_with(
        &mut self,
        short: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<[u8; 16]> {
        let name = self.name(short);
        let settings = settings
            .iter()
            .map(|(name, value)| msg! { Name: *name, Value: *value });
        let topic = msg! {
            Name: &name,
            NumPartitions: partitions,
            ReplicationFactor: 1,
            Configs: settings.collect::<Vec<_>>(),
        };
        let made = self.setup(
            "CreateTopics",
            7,
            msg! { Topics: [topic], timeoutMs: 10_000 },
        )?;
        let code = made.int("Topics[0].ErrorCode")?;
        if code != 0 {
            bail!("making the topic {name} fails with {}", normal::error(code));
        }
        self.until_led(&name, partitions)?;
        made.uuid("Topics[0].TopicId")
    }

    /// Waits until every partition of a topic is led. No transcript shows it.
    ///
    /// # Errors
    /// If that does not happen.
    pub fn until_led(&mut self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let numbers =
            (0..partitions).map(|index| msg! { PartitionIndex: index, Timestamp: -1_i64 });
        let request = msg! {
            ReplicaId: -1,
            Topics: [msg! { Name: name, Partitions: numbers.collect::<Vec<_>>() }],
        };
        let began = Instant::now();
        loop {
            let answer = self.setup("ListOffsets", 4, request.clone())?;
            let mut codes = answer.array("Topics[0].Partitions")?.iter();
            if codes.all(|partition| partition.int("ErrorCode").is_ok_and(|code| code == 0)) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("{name} is not led: {answer}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wire(&mut self, on: &'static str) -> anyhow::Result<&mut Wire> {
        if !self.connections.contains_key(on) {
            let wire = Wire {
                connection: Connection::open(self.broker.address)?,
                owed: VecDeque::new(),
            };
            self.connections.insert(on, wire);
        }
        self.connections
            .get_mut(on)
            .context("it was just put there")
    }

    fn write(
        &mut self,
        on: &'static str,
        api: &'static Api,
        version: i16,
        request: &Value,
    ) -> anyhow::Result<()> {
        let wire = self.wire(on)?;
        let (frame, correlation) = wire.connection.frame(api, version, request, Some(CLIENT))?;
        // A connection that was closed is seen when its answer is read.
        let _ = wire.connection.write(&frame);
        let is_unanswered = api.name == "Produce" && request.int("Acks").is_ok_and(|it| it == 0);
        if !is_unanswered {
            wire.owed.push_back(Owed {
                api,
                version,
                correlation,
            });
        }
        Ok(())
    }

    fn read(&mut self, on: &'static str, within: Duration) -> anyhow::Result<(Value, Vec<Line>)> {
        let wire = self.wire(on)?;
        let answer = wire.connection.read(within)?;
        if !matches!(answer, Answer::Frame(_)) {
            return Ok((NULL, self.absent(on, &answer)));
        }
        let Some(owed) = wire.owed.pop_front() else {
            let what = plain("answer", "one that nobody asked for".to_owned());
            return Ok((NULL, vec![what]));
        };
        let Answer::Frame(frame) = answer else {
            bail!("seen above");
        };
        let decoded = decode(owed.api, owed.version, owed.correlation, &frame);
        Ok(self.lines(owed.api, decoded))
    }

    fn lines(&mut self, api: &'static Api, decoded: anyhow::Result<Value>) -> (Value, Vec<Line>) {
        match decoded {
            Ok(value) => {
                let lines = self.normal.answer(api.name, &api.response, &value);
                (value, lines)
            }
            Err(error) => (NULL, vec![plain("answer", format!("malformed: {error:#}"))]),
        }
    }

    fn absent(&mut self, on: &'static str, answer: &Answer) -> Vec<Line> {
        let what = match answer {
            Answer::Closed => {
                self.disconnect(on);
                "connection closed"
            }
            Answer::Nothing | Answer::Frame(_) => "none yet",
        };
        vec![plain("answer", what.to_owned())]
    }

    fn title(
        &mut self,
        on: &str,
        arrow: char,
        api: &str,
        version: i16,
        request: Option<&Value>,
    ) -> Title {
        Title {
            before: format!("{on}{arrow} {api}"),
            version: Some(version),
            after: request.map_or_else(String::new, |it| format!(" {}", self.normal.request(it))),
        }
    }

    fn step(&mut self, title: Title, lines: Vec<Line>) {
        self.steps.push(Step { title, lines });
    }

    /// Ends a case that cannot go on, in the transcript.
    pub fn break_off(&mut self, why: &anyhow::Error) {
        let why = self.normal.words(&format!("{why:#}"));
        self.step(
            Title::text(format!("# The case ends here: {why}")),
            Vec::new(),
        );
    }
}

fn plain(path: &str, value: String) -> Line {
    Line {
        path: path.to_owned(),
        value,
    }
}
