//! `KAFKA_*` environment variables, by the rules of the apache/kafka image
//! (`docker/resources/common-scripts/configure`, `KafkaDockerWrapper`).

use crate::config::properties::{self, PropertiesError};
use crate::config::{ConfigError, Overrides};

/// Why the environment is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    #[error("the value of {variable} is not valid in a properties file: {reason}")]
    Syntax {
        variable: String,
        reason: PropertiesError,
    },
    #[error(transparent)]
    Setting(#[from] ConfigError),
}

/// Variables that speak to the image's scripts and to the Java machine.
const NOT_SETTINGS: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
];

/// The settings that `variables` stand for. The image writes each value into a
/// properties file, so a backslash or a line break in it means what it means there.
pub fn from_kafka_env(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Overrides, EnvError> {
    let mut settings = Overrides::new();
    for (variable, value) in variables {
        let Some(key) = key_of(&variable) else {
            continue;
        };
        let line = format!("{key}={value}");
        let read =
            properties::parse(&line).map_err(|reason| EnvError::Syntax { variable, reason })?;
        settings.extend(read);
    }
    derive_listeners(&mut settings)?;
    Ok(settings)
}

/// `KAFKA_A_B__C___D` is `a.b_c-d`.
fn key_of(variable: &str) -> Option<String> {
    if NOT_SETTINGS.contains(&variable) {
        return None;
    }
    let name = variable.strip_prefix("KAFKA_")?.to_lowercase();
    let key = name
        .replace('_', ".")
        .replace("...", "-")
        .replace("..", "_");
    (!key.is_empty()).then_some(key)
}

/// Without `KAFKA_LISTENERS`, a broker listens on every interface at the ports that it
/// advertises. A controller has nothing to advertise; for it an empty variable is none.
fn derive_listeners(settings: &mut Overrides) -> Result<(), ConfigError> {
    let set = |key: &str| settings.get(key).filter(|value| !value.is_empty());
    let is_controller = set("process.roles").is_some_and(|roles| roles == "controller");
    let Some(advertised) = set("advertised.listeners") else {
        if is_controller {
            settings.remove("advertised.listeners");
        }
        return Ok(());
    };
    if is_controller {
        return Err(ConfigError::Conflict {
            key: "advertised.listeners",
            rule: "not supported on a node whose only role is controller".to_owned(),
        });
    }
    if set("listeners").is_none() {
        let listeners: Vec<String> = advertised.split(',').map(on_every_interface).collect();
        settings.insert("listeners".to_owned(), listeners.join(","));
    }
    Ok(())
}

fn on_every_interface(listener: &str) -> String {
    match (listener.split_once("://"), listener.rsplit_once(':')) {
        (Some((name, address)), Some((_, port))) if address.contains(':') => {
            format!("{name}://0.0.0.0:{port}")
        }
        _ => listener.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Vec<(String, String)>, EnvError> {
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Ok(from_kafka_env(variables)?.into_iter().collect())
    }

    fn check(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
        let expected = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        assert_eq!(read(variables), Ok(expected.collect()), "{variables:?}");
    }

    #[test]
    fn names_are_mapped_as_the_image_maps_them() {
        check(&[("KAFKA_NODE_ID", "1")], &[("node.id", "1")]);
        check(
            &[("KAFKA_LISTENER_NAME_CLIENT_PLAIN_SASL_JAAS_CONFIG", "x")],
            &[("listener.name.client.plain.sasl.jaas.config", "x")],
        );
        check(&[("KAFKA_A__B___C", "x")], &[("a_b-c", "x")]);
        check(
            &[("KAFKA_", "x"), ("PATH", "/bin"), ("kafka_node_id", "1")],
            &[],
        );
    }

    #[test]
    fn variables_for_the_java_machine_are_not_settings() {
        check(
            &[
                ("KAFKA_HEAP_OPTS", "-Xmx1G"),
                ("KAFKA_OPTS", "-D"),
                ("KAFKA_VERSION", "4.3.1"),
                ("KAFKA_JMX_PORT", "9999"),
            ],
            &[("jmx.port", "9999")],
        );
    }

    #[test]
    fn values_are_read_as_in_a_properties_file() {
        check(&[("KAFKA_A", "C:\\\\x")], &[("a", "C:\\x")]);
        check(&[("KAFKA_A", "1\nb=2")], &[("a", "1"), ("b", "2")]);
        let refused = read(&[("KAFKA_A", "\\u1")]);
        let variable = "KAFKA_A".to_owned();
        let reason = PropertiesError { line: 1 };
        assert_eq!(refused, Err(EnvError::Syntax { variable, reason }));
    }

    #[test]
    fn listeners_follow_what_is_advertised() {
        check(
            &[(
                "KAFKA_ADVERTISED_LISTENERS",
                "PLAINTEXT://kafka:9092,OUT://localhost:19092",
            )],
            &[
                (
                    "advertised.listeners",
                    "PLAINTEXT://kafka:9092,OUT://localhost:19092",
                ),
                ("listeners", "PLAINTEXT://0.0.0.0:9092,OUT://0.0.0.0:19092"),
            ],
        );
        check(
            &[
                ("KAFKA_ADVERTISED_LISTENERS", "A://x:1"),
                ("KAFKA_LISTENERS", "A://:2"),
            ],
            &[("advertised.listeners", "A://x:1"), ("listeners", "A://:2")],
        );
    }

    #[test]
    fn a_controller_has_nothing_to_advertise() {
        let controller = ("KAFKA_PROCESS_ROLES", "controller");
        assert!(read(&[("KAFKA_ADVERTISED_LISTENERS", "A://x:1"), controller]).is_err());
        check(
            &[("KAFKA_ADVERTISED_LISTENERS", ""), controller],
            &[("process.roles", "controller")],
        );
    }
}
