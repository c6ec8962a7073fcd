//! `ottla health`: whether the broker of a settings file answers on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ottla_base::config::{Listeners, SecurityProtocol, StartSettings};

use crate::cli::Health;

/// A broker that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// An ApiVersions request of version 0, correlation id 7, without a client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// Length, correlation id and error code of the answer.
const ANSWER_HEAD: usize = 10;

/// Succeeds if the broker answers.
#[expect(clippy::print_stderr, reason = "why the broker counts as unhealthy")]
pub fn run(request: &Health) -> ExitCode {
    match try_run(request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(request: &Health) -> anyhow::Result<()> {
    let file = request.config.display();
    let text = std::fs::read_to_string(&request.config)
        .with_context(|| format!("{file} cannot be read"))?;
    let mut settings = StartSettings::new();
    settings.add_properties(&text)?;
    let start = settings
        .finish()
        .map_err(|errors| anyhow::anyhow!("{file}: {errors:?}"))?;
    let (host, port, speaks_plainly) =
        whom_to_ask(&start.listeners).with_context(|| format!("{file} names no listener"))?;
    let address = format!("{host}:{port}");
    ask(&address, speaks_plainly).with_context(|| address.clone())
}

/// A listener for clients if there is one, and whether it answers without encryption.
fn whom_to_ask(listeners: &Listeners) -> Option<(String, u16, bool)> {
    let plainly = |protocol| {
        matches!(
            protocol,
            SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext
        )
    };
    let best = listeners.bound.iter().min_by_key(|listener| {
        (
            listeners.is_for_controllers(&listener.name),
            !plainly(listener.protocol),
        )
    })?;
    let host = match best.host.as_deref() {
        None | Some("" | "0.0.0.0" | "::" | "[::]") => "localhost",
        Some(host) => host,
    };
    let answers = plainly(best.protocol) && !listeners.is_for_controllers(&best.name);
    Some((host.to_owned(), best.port, answers))
}

fn ask(address: &str, speaks_plainly: bool) -> anyhow::Result<()> {
    let mut stream = connect(address)?;
    if !speaks_plainly {
        return Ok(());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST)?;
    let mut head = [0; ANSWER_HEAD];
    stream.read_exact(&mut head).context("no answer")?;
    ensure!(
        head.get(4..) == Some(&[0, 0, 0, 7, 0, 0]),
        "not the answer of a broker"
    );
    Ok(())
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let mut failed = None;
    for place in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or_else(|| anyhow::anyhow!("no such host"), Into::into))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn asked(properties: &str) -> (String, u16, bool) {
        let mut settings = StartSettings::new();
        settings
            .add_properties(properties)
            .expect("a settings file");
        let start = settings.finish().expect("settings that hold together");
        whom_to_ask(&start.listeners).expect("a listener")
    }

    #[test]
    fn a_listener_for_clients_is_asked() {
        let listeners = "listeners=CONTROLLER://:9093,PLAINTEXT://0.0.0.0:9094\n\
            controller.listener.names=CONTROLLER\nprocess.roles=broker,controller\nnode.id=1\n\
            advertised.listeners=PLAINTEXT://localhost:9094\n\
            controller.quorum.voters=1@localhost:9093\n";
        assert_eq!(asked(listeners), ("localhost".to_owned(), 9094, true));
    }

    /// What `ask` says of a server that answers `answer` and hangs up.
    fn told(answer: &'static [u8]) -> anyhow::Result<()> {
        let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("an address").to_string();
        let served = std::thread::spawn(move || {
            let (mut client, _) = server.accept().expect("a client");
            let mut request = [0; REQUEST.len()];
            client.read_exact(&mut request).expect("a request");
            client.write_all(answer).expect("an answer");
            request
        });
        let said = ask(&address, true);
        assert_eq!(served.join().expect("a served client"), REQUEST);
        said
    }

    #[test]
    fn only_the_answer_of_a_broker_counts() {
        told(&[0, 0, 0, 10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0]).expect("a broker");
        told(&[0, 0, 0, 10, 0, 0, 0, 8, 0, 0]).expect_err("another correlation id");
        told(&[0, 0, 0, 10, 0, 0, 0, 7, 0, 35]).expect_err("an error");
        told(&[0, 0]).expect_err("half an answer");
    }
}
