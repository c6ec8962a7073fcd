//! Users' credentials: the program keeps them, and shows them to nobody.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use ottla_protocol::messages::{
    AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::directories::{CLUSTER, format, ottla};
use crate::harness::Client;

/// `ottla serve` on a directory, with all that it can log.
struct Program {
    process: Child,
    address: String,
    said: JoinHandle<String>,
}

impl Program {
    fn start(directory: &Path) -> Self {
        let options = "--data data --log trace --set listeners=PLAINTEXT://127.0.0.1:0";
        let mut command = ottla(directory, &options.split(' ').collect::<Vec<_>>());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (ready, address) = mpsc::channel();
        let said = std::thread::spawn(move || {
            let (mut said, mut address) = (String::new(), None);
            for line in output.lines() {
                let line = line.unwrap();
                if line.contains("listening") {
                    let at = line.split_once("address=").unwrap().1;
                    address = at.split_whitespace().next().map(str::to_owned);
                }
                if line.contains("Kafka Server started") {
                    ready.send(address.take().unwrap()).unwrap();
                }
                said.push_str(&line);
            }
            said
        });
        let address = address.recv().expect("the broker starts");
        Self {
            process,
            address,
            said,
        }
    }

    async fn connect(&self) -> Client<TcpStream> {
        Client::over(TcpStream::connect(&self.address).await.unwrap())
    }

    /// All that it said.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
        self.said.join().unwrap()
    }
}

/// Everybody with the mechanisms and iterations of their credentials.
async fn everybody(client: &mut Client<TcpStream>) -> Vec<(String, Vec<(i8, i32)>)> {
    let response = client
        .call(0, DescribeUserScramCredentialsRequest::default())
        .await;
    let users = response.results.into_iter().map(|result| {
        let infos = result.credential_infos.into_iter();
        let infos = infos.map(|info| (info.mechanism, info.iterations));
        (result.user.to_string(), infos.collect())
    });
    users.collect()
}

async fn alter(client: &mut Client<TcpStream>, request: AlterUserScramCredentialsRequest) {
    let response = client.call(0, request).await;
    let codes = response.results.iter().map(|result| result.error_code);
    assert_eq!(codes.collect::<Vec<_>>(), [0]);
}

/// Every form in which somebody might print these bytes.
fn forms(secret: &[u8]) -> Vec<String> {
    let hex = |digits: fn(&u8) -> String| secret.iter().map(digits).collect();
    let list = format!("{secret:?}");
    vec![
        String::from_utf8_lossy(secret).into_owned(),
        secret.escape_ascii().to_string(),
        STANDARD.encode(secret),
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

#[tokio::test]
async fn credentials_outlive_the_program_and_are_never_shown() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    let ann = "SCRAM-SHA-512=[name=ann,password=anns-password,iterations=8192]";
    format(directory, &format!("-t {CLUSTER} --add-scram {ann}"));
    let begun = fs::read_to_string(directory.join("data/bootstrap.properties")).unwrap();
    let keys = begun
        .lines()
        .find(|line| line.starts_with("scram."))
        .unwrap();
    let (_, keys) = keys.split_once('=').unwrap();
    let keys = keys
        .split(',')
        .take(3)
        .map(|key| STANDARD.decode(key).unwrap());
    let mut secrets: Vec<_> = keys.collect();
    secrets.extend([&b"anns-password"[..], b"bobs-salt", b"bobs-password"].map(<[u8]>::to_vec));

    let program = Program::start(directory);
    let mut client = program.connect().await;
    assert_eq!(
        everybody(&mut client).await,
        [("ann".to_owned(), vec![(2, 8192)])]
    );
    let bob = StrBytes::from_static_str("bob");
    let upsertion = ScramCredentialUpsertion::default()
        .with_name(bob.clone())
        .with_mechanism(1)
        .with_iterations(4096)
        .with_salt(b"bobs-salt"[..].into())
        .with_salted_password(b"bobs-password"[..].into());
    let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
    alter(&mut client, request).await;
    let deletion = ScramCredentialDeletion::default()
        .with_name(StrBytes::from_static_str("ann"))
        .with_mechanism(2);
    let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]);
    alter(&mut client, request).await;
    let mut said = program.stop();

    let program = Program::start(directory);
    let mut client = program.connect().await;
    let left = [("bob".to_owned(), vec![(1, 4096)])];
    assert_eq!(everybody(&mut client).await, left);
    said.push_str(&program.stop());

    let dumped = ottla(directory, &["dump", "data"]).output().unwrap();
    let dumped = String::from_utf8(dumped.stdout).unwrap();
    assert!(dumped.contains("__cluster_metadata-0 batch"), "{dumped}");
    said.push_str(&dumped);
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        assert!(!said.contains(&form), "{form} is shown");
    }
}
