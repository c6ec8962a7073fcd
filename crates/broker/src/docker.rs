//! `ottla docker`: what the scripts of the apache/kafka image do before they start a
//! broker, without a shell. The mounted file and the environment become one settings
//! file, and the process becomes `ottla serve` of it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, ExitCode};

use anyhow::{Context as _, ensure};
use ottla_base::config::{StartSettings, from_kafka_env, write_properties};

use crate::cli::Docker;

/// Where a user mounts settings, if at all.
const MOUNTED: &str = "/mnt/shared/config/server.properties";

/// Where a user mounts keys and passwords.
const SECRETS: &str = "/etc/kafka/secrets";

/// Where the image keeps the settings in force.
const IN_FORCE: &str = "/opt/kafka/config/server.properties";

const CLUSTER_ID: &str = "CLUSTER_ID";

/// The cluster of a container that was told of none.
const CLUSTER_ID_DEFAULT: &str = "5L6g3nShT-eMCtK--X86sw";

/// Where Kafka keeps data when settings are given that do not say it.
const DATA_DEFAULT: &str = "log.dirs=/tmp/kafka-logs\n";

/// What the image starts with when it is given no setting at all.
const NODE_DEFAULT: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
advertised.listeners=PLAINTEXT://localhost:9092
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=/tmp/kraft-combined-logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
";

type Environment = BTreeMap<String, String>;

/// Becomes a broker; returns only if that is not possible.
#[expect(clippy::print_stderr, reason = "why the container ends")]
pub fn run(request: &Docker) -> ExitCode {
    let Err(failed) = try_run(request);
    eprintln!("{failed:#}");
    ExitCode::FAILURE
}

fn try_run(request: &Docker) -> anyhow::Result<std::convert::Infallible> {
    let mut environment: Environment = std::env::vars().collect();
    for variable in &request.variables {
        environment.insert(variable.key.clone(), variable.value.clone());
    }
    resolve_secrets(&mut environment, Path::new(SECRETS))?;
    let text = settings_file(mounted(Path::new(MOUNTED))?.as_deref(), &environment)?;
    std::fs::write(IN_FORCE, text).with_context(|| format!("{IN_FORCE} cannot be written"))?;
    let program = std::env::current_exe().context("the program does not know its own file")?;
    let failed = process::Command::new(program)
        .args(["serve", "--config", IN_FORCE])
        .env_clear()
        .envs(environment_of_broker(environment))
        .exec();
    Err(failed).context("the broker cannot be started")
}

/// Variables of the image that name a file among the secrets: what is at the place, or
/// what is in the file, becomes the variable of a setting.
const KEY_STORE: [Secret; 3] = [
    Secret::place("KAFKA_SSL_KEYSTORE_FILENAME", "KAFKA_SSL_KEYSTORE_LOCATION"),
    Secret::content("KAFKA_SSL_KEY_CREDENTIALS", "KAFKA_SSL_KEY_PASSWORD"),
    Secret::content(
        "KAFKA_SSL_KEYSTORE_CREDENTIALS",
        "KAFKA_SSL_KEYSTORE_PASSWORD",
    ),
];

/// The same, asked for only where clients are to show a certificate.
const TRUST_STORE: [Secret; 2] = [
    Secret::place(
        "KAFKA_SSL_TRUSTSTORE_FILENAME",
        "KAFKA_SSL_TRUSTSTORE_LOCATION",
    ),
    Secret::content(
        "KAFKA_SSL_TRUSTSTORE_CREDENTIALS",
        "KAFKA_SSL_TRUSTSTORE_PASSWORD",
    ),
];

/// One such variable, and the variable that follows from it.
#[derive(Debug)]
struct Secret {
    names_file: &'static str,
    setting: &'static str,
    is_content: bool,
}

impl Secret {
    const fn place(names_file: &'static str, setting: &'static str) -> Self {
        Self {
            names_file,
            setting,
            is_content: false,
        }
    }

    const fn content(names_file: &'static str, setting: &'static str) -> Self {
        Self {
            names_file,
            setting,
            is_content: true,
        }
    }

    fn resolve(&self, environment: &mut Environment, secrets: &Path) -> anyhow::Result<()> {
        let name = environment.get(self.names_file);
        let name = name.filter(|name| !name.is_empty());
        let name =
            name.with_context(|| format!("{} environment variable not set", self.names_file))?;
        let file = secrets.join(name);
        ensure!(file.exists(), "{} file does not exist", file.display());
        let value = if self.is_content {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            text.trim_end_matches('\n').to_owned()
        } else {
            file.display().to_string()
        };
        environment.insert(self.setting.to_owned(), value);
        Ok(())
    }
}

/// A broker that advertises TLS finds its keys and their passwords in files. Everything
/// else is left to the broker itself.
fn resolve_secrets(environment: &mut Environment, secrets: &Path) -> anyhow::Result<()> {
    let value = |name: &str| environment.get(name).map_or("", String::as_str);
    if !value("KAFKA_ADVERTISED_LISTENERS").contains("SSL://") {
        return Ok(());
    }
    let client_auth = value("KAFKA_SSL_CLIENT_AUTH");
    let asks_clients = client_auth.contains("required") || client_auth.contains("requested");
    for secret in &KEY_STORE {
        secret.resolve(environment, secrets)?;
    }
    if asks_clients {
        for secret in &TRUST_STORE {
            secret.resolve(environment, secrets)?;
        }
    }
    Ok(())
}

/// The text of the mounted file, if there is one.
fn mounted(file: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let error: io::Error = error;
            Err(error).with_context(|| format!("{} cannot be read", file.display()))
        }
    }
}

/// The settings in force: the mounted file, then the environment, which wins. One
/// setting from either, and the image's own are not used at all.
fn settings_file(mounted: Option<&str>, environment: &Environment) -> anyhow::Result<String> {
    let variables = environment
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let mut text = mounted.unwrap_or_default().to_owned();
    let set = from_kafka_env(variables)?;
    if !set.is_empty() {
        text.push('\n');
        text.push_str(&write_properties(&set));
    }
    if text.trim().is_empty() {
        return Ok(NODE_DEFAULT.to_owned());
    }
    let mut settings = StartSettings::new();
    settings.add_properties(&text)?;
    if !settings.has("log.dirs") && !settings.has("log.dir") {
        text.push('\n');
        text.push_str(DATA_DEFAULT);
    }
    Ok(text)
}

/// Every setting is in the file by now, so no variable may speak a second time.
fn environment_of_broker(mut environment: Environment) -> Environment {
    environment.retain(|name, _| !name.starts_with("KAFKA_"));
    let id = environment.entry(CLUSTER_ID.to_owned()).or_default();
    if id.is_empty() {
        CLUSTER_ID_DEFAULT.clone_into(id);
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn file(mounted: Option<&str>, variables: &[(&str, &str)]) -> String {
        settings_file(mounted, &environment(variables)).expect("settings that are valid")
    }

    #[test]
    fn a_container_that_is_told_nothing_is_one_node() {
        for mounted in [None, Some(" \n\n")] {
            let text = file(mounted, &[("PATH", "/bin"), ("KAFKA_HEAP_OPTS", "-Xmx1G")]);
            assert_eq!(text, NODE_DEFAULT);
        }
        let mut settings = StartSettings::new();
        settings
            .add_properties(NODE_DEFAULT)
            .expect("a settings file");
        let start = settings.finish().expect("settings that hold together");
        assert_eq!(start.listeners.advertised.len(), 1);
        assert!(start.unknown.is_empty(), "{:?}", start.unknown);
    }

    #[test]
    fn one_variable_switches_the_defaults_off() {
        let text = file(None, &[("KAFKA_NODE_ID", "7")]);
        assert_eq!(text.trim(), "node.id=7\n\nlog.dirs=/tmp/kafka-logs");
    }

    #[test]
    fn variables_win_over_the_mounted_file() {
        let text = file(
            Some("node.id=1\nlog.dirs=/data"),
            &[("KAFKA_NODE_ID", "2"), ("KAFKA_A__B___C", "x")],
        );
        let mut settings = StartSettings::new();
        settings.add_properties(&text).expect("a settings file");
        let start = settings.finish().expect("settings that hold together");
        assert_eq!(start.fixed.get("node.id").map(String::as_str), Some("2"));
        assert_eq!(start.fixed.get("a_b-c").map(String::as_str), Some("x"));
        assert_eq!(
            start.fixed.get("log.dirs").map(String::as_str),
            Some("/data")
        );
    }

    #[test]
    fn settings_for_logging_of_java_are_accepted_and_do_nothing() {
        let text = file(
            Some("node.id=1\nlog.dir=/data\n"),
            &[
                ("KAFKA_LOG4J_ROOT_LOGLEVEL", "DEBUG"),
                ("KAFKA_LOG4J_LOGGERS", "kafka=INFO,org=WARN"),
                ("KAFKA_TOOLS_LOG4J_LOGLEVEL", "ERROR"),
            ],
        );
        assert_eq!(text, "node.id=1\nlog.dir=/data\n");
    }

    /// The settings that follow from these variables and files, but for the variables
    /// themselves; or what stops the container.
    fn resolved(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Environment, String> {
        let secrets = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            std::fs::write(secrets.path().join(name), text).expect("a file");
        }
        let told = environment(variables);
        let mut resolved = told.clone();
        let place = |text: String| text.replace(&secrets.path().display().to_string(), "SECRETS");
        resolve_secrets(&mut resolved, secrets.path()).map_err(|error| place(error.to_string()))?;
        resolved.retain(|name, _| !told.contains_key(name));
        Ok(resolved
            .into_iter()
            .map(|(name, value)| (name, place(value)))
            .collect())
    }

    #[test]
    fn keys_and_their_passwords_are_found_among_the_secrets() {
        let variables = [
            ("KAFKA_ADVERTISED_LISTENERS", "A://a:1,SASL_SSL://b:2"),
            ("KAFKA_SSL_KEYSTORE_FILENAME", "keys.jks"),
            ("KAFKA_SSL_KEYSTORE_CREDENTIALS", "of-store"),
            ("KAFKA_SSL_KEY_CREDENTIALS", "of-key"),
            ("KAFKA_SSL_TRUSTSTORE_FILENAME", "trusted.jks"),
            ("KAFKA_SSL_TRUSTSTORE_CREDENTIALS", "of-trusted"),
        ];
        let files = [
            ("keys.jks", "\u{1}"),
            ("of-store", " a \n\n"),
            ("of-key", "b"),
            ("trusted.jks", "\u{1}"),
            ("of-trusted", "c\n"),
        ];
        let of_keys = [
            ("KAFKA_SSL_KEYSTORE_LOCATION", "SECRETS/keys.jks"),
            ("KAFKA_SSL_KEYSTORE_PASSWORD", " a "),
            ("KAFKA_SSL_KEY_PASSWORD", "b"),
        ];
        let of_trusted = [
            ("KAFKA_SSL_TRUSTSTORE_LOCATION", "SECRETS/trusted.jks"),
            ("KAFKA_SSL_TRUSTSTORE_PASSWORD", "c"),
        ];
        assert_eq!(resolved(&variables, &files), Ok(environment(&of_keys)));
        for client_auth in ["required", "requested"] {
            let asking = [&variables[..], &[("KAFKA_SSL_CLIENT_AUTH", client_auth)]].concat();
            let both = [&of_keys[..], &of_trusted].concat();
            assert_eq!(resolved(&asking, &files), Ok(environment(&both)));
        }
        let plain = [
            &variables[1..],
            &[("KAFKA_ADVERTISED_LISTENERS", "A://a:1")],
        ]
        .concat();
        assert_eq!(resolved(&plain, &[]), Ok(Environment::new()));
    }

    #[test]
    fn a_secret_that_is_missing_is_named() {
        let variables = [
            ("KAFKA_ADVERTISED_LISTENERS", "SSL://a:1"),
            ("KAFKA_SSL_KEYSTORE_FILENAME", "keys.jks"),
            ("KAFKA_SSL_KEY_CREDENTIALS", ""),
        ];
        let refused = |files: &[(&str, &str)]| resolved(&variables, files).expect_err("refused");
        assert_eq!(refused(&[]), "SECRETS/keys.jks file does not exist");
        assert_eq!(
            refused(&[("keys.jks", "")]),
            "KAFKA_SSL_KEY_CREDENTIALS environment variable not set"
        );
    }

    #[test]
    fn the_broker_is_told_its_cluster_and_no_setting_twice() {
        let told = [("CLUSTER_ID", "x"), ("KAFKA_NODE_ID", "1"), ("TZ", "UTC")];
        assert_eq!(
            environment_of_broker(environment(&told)),
            environment(&[("CLUSTER_ID", "x"), ("TZ", "UTC")])
        );
        for untold in [&[][..], &[("CLUSTER_ID", "")]] {
            assert_eq!(
                environment_of_broker(environment(untold)),
                environment(&[("CLUSTER_ID", CLUSTER_ID_DEFAULT)])
            );
        }
    }
}
