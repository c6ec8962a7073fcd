//! Where a node listens, what it tells others, and which parts it plays: the
//! settings that only make sense together (`AbstractKafkaConfig`, `KafkaConfig`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::BrokerId;
use crate::config::declare::word_setting;
use crate::config::value::list;
use crate::config::{BrokerConfig, ConfigError, Overrides};

/// One address to listen on, or to tell others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// In capitals, as Kafka compares names.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// `None` binds to every interface, and advertises this node's own host name.
    pub host: Option<String>,
    /// 0 binds to any free port, and advertises the port that was bound.
    pub port: u16,
}

/// How a listener protects what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

/// The parts that a node plays. At least one is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

/// A controller that others name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
}

/// A node's place in the cluster. The parts agree with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    pub node: BrokerId,
    pub roles: Roles,
    /// Every listener, in the order given.
    pub bound: Vec<Listener>,
    /// What clients and brokers are told; none of them is for controllers.
    pub advertised: Vec<Listener>,
    /// The names among `bound` (on a node that is only a broker: elsewhere) that
    /// controllers speak on.
    pub controller_names: Vec<String>,
    /// The name among `advertised` that brokers use.
    pub inter_broker: String,
    pub voters: Vec<Voter>,
    /// Where to ask for the controllers: host and port.
    pub bootstrap_servers: Vec<(String, u16)>,
}

impl Listeners {
    /// Reads them from the settings in force. `fixed` tells what was set from what is
    /// a default. Without `process.roles` the node is broker and controller at once and
    /// needs no listener for controllers.
    pub fn read(config: &BrokerConfig, fixed: &Overrides) -> Result<Self, ConfigError> {
        let controller_names = controller_names(config);
        let protocols = protocols(config, fixed, &controller_names)?;
        let bound = endpoints("listeners", &config.listeners, &protocols)?;
        check_distinct_ports(&bound, &config.listeners)?;
        let told = match &config.advertised_listeners {
            Some(listeners) => endpoints(ADVERTISED, listeners, &protocols)?,
            None => bound.clone(),
        };
        let is_for_brokers = |listener: &Listener| !controller_names.contains(&listener.name);
        let listeners = Self {
            node: node(config)?,
            roles: roles(config),
            advertised: told.into_iter().filter(is_for_brokers).collect(),
            inter_broker: inter_broker(config, fixed, &protocols)?,
            voters: config
                .controller_quorum_voters
                .iter()
                .filter_map(|voter| Voter::read(voter))
                .collect(),
            bootstrap_servers: config
                .controller_quorum_bootstrap_servers
                .iter()
                .filter_map(|server| split_address(server))
                .map(|(host, port)| (host.to_owned(), port))
                .collect(),
            bound,
            controller_names,
        };
        listeners.check_controllers(config)?;
        listeners.check_brokers()?;
        Ok(listeners)
    }

    /// Whether this listener is for controllers.
    pub fn is_for_controllers(&self, name: &str) -> bool {
        self.controller_names
            .iter()
            .any(|controller| controller == name)
    }

    fn check_controllers(&self, config: &BrokerConfig) -> Result<(), ConfigError> {
        let is_bound = |name: &String| self.bound.iter().any(|listener| listener.name == *name);
        let is_voter = self.voters.iter().any(|voter| voter.id == self.node);
        if self.roles.controller {
            if !self.controller_names.iter().all(is_bound) {
                let rule = "must only contain names that are in listeners on a controller";
                return Err(conflict(CONTROLLER_NAMES, rule));
            }
            if !self.voters.is_empty() && !is_voter {
                let rule = format!("must contain this controller's node id {}", self.node);
                return Err(conflict(VOTERS, rule));
            }
        } else if self.controller_names.is_empty() {
            let rule = "must contain at least one name on a node that is only a broker";
            return Err(conflict(CONTROLLER_NAMES, rule));
        } else if self.controller_names.iter().any(is_bound) {
            let rule = "must not contain a name of listeners on a node that is only a broker";
            return Err(conflict(CONTROLLER_NAMES, rule));
        } else if is_voter {
            let rule = format!("must not contain {}, which is only a broker", self.node);
            return Err(conflict(VOTERS, rule));
        }
        if !self.roles.broker {
            self.check_only_controller(config)?;
        }
        Ok(())
    }

    fn check_only_controller(&self, config: &BrokerConfig) -> Result<(), ConfigError> {
        let mut bound = self.bound.iter();
        if !bound.all(|listener| self.is_for_controllers(&listener.name)) {
            let rule = "must only contain names of controller.listener.names on a node that is \
                        only a controller";
            return Err(conflict("listeners", rule));
        }
        let is_shared = self.is_for_controllers(&self.inter_broker);
        if config.inter_broker_listener_name.is_some() && is_shared {
            let rule = "must not contain inter.broker.listener.name";
            return Err(conflict(CONTROLLER_NAMES, rule));
        }
        Ok(())
    }

    fn check_brokers(&self) -> Result<(), ConfigError> {
        let is_nowhere = |listener: &Listener| listener.host.as_deref() == Some("0.0.0.0");
        if self.advertised.iter().any(is_nowhere) {
            let rule =
                "cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.";
            return Err(conflict(ADVERTISED, rule));
        }
        if !self.roles.broker {
            return Ok(());
        }
        if self.advertised.is_empty() {
            let rule = "must contain a listener that is not in controller.listener.names";
            return Err(conflict(ADVERTISED, rule));
        }
        if !self
            .advertised
            .iter()
            .any(|told| told.name == self.inter_broker)
        {
            let valid = names(&self.advertised);
            let rule = format!("{} must be advertised; {valid} is", self.inter_broker);
            return Err(conflict(INTER_BROKER, rule));
        }
        let is_bound = |told: &Listener| self.bound.iter().any(|bound| bound.name == told.name);
        if !self.advertised.iter().all(is_bound) {
            let (told, valid) = (names(&self.advertised), names(&self.bound));
            let rule = format!("must only name listeners: found {told}, valid is {valid}");
            return Err(conflict(ADVERTISED, rule));
        }
        Ok(())
    }
}

const ADVERTISED: &str = "advertised.listeners";
const CONTROLLER_NAMES: &str = "controller.listener.names";
const INTER_BROKER: &str = "inter.broker.listener.name";
const VOTERS: &str = "controller.quorum.voters";

fn names(listeners: &[Listener]) -> String {
    let names: Vec<&str> = listeners
        .iter()
        .map(|listener| listener.name.as_str())
        .collect();
    names.join(",")
}

/// As `process.roles` lists them.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.broker, self.controller) {
            (true, false) => "broker",
            (false, _) => "controller",
            (true, true) => "broker,controller",
        })
    }
}

impl Voter {
    /// `id@host:port`; `None` where the check of the setting has refused it.
    fn read(text: &str) -> Option<Self> {
        let (id, address) = text.split_once('@')?;
        let (host, port) = split_address(address)?;
        Some(Self {
            id: BrokerId(id.trim().parse().ok()?),
            host: host.to_owned(),
            port,
        })
    }
}

word_setting! {
    SecurityProtocol {
        Plaintext = "PLAINTEXT", Ssl = "SSL", SaslPlaintext = "SASL_PLAINTEXT", SaslSsl = "SASL_SSL"
    }
}

/// Host and port of `host:port`, by the characters that Kafka allows in a host.
pub(crate) fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let is_host = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':'));
    is_host.then_some((host, port.parse().ok()?))
}

fn node(config: &BrokerConfig) -> Result<BrokerId, ConfigError> {
    /// What the image gives a node that was given nothing.
    const UNSET: i32 = 1;
    match (config.node_id, config.broker_id) {
        (Some(node), broker) if broker != -1 && broker != node => {
            Err(conflict("node.id", "must be the same as broker.id"))
        }
        (Some(node), _) => Ok(BrokerId(node)),
        (None, -1) => Ok(BrokerId(UNSET)),
        (None, broker) if broker < 0 => Err(ConfigError::value(
            "broker.id",
            broker,
            "Value must be at least 0",
        )),
        (None, broker) => Ok(BrokerId(broker)),
    }
}

fn roles(config: &BrokerConfig) -> Roles {
    let plays = |role: &str| match &config.process_roles {
        Some(roles) => roles.iter().any(|item| item == role),
        None => true,
    };
    Roles {
        broker: plays("broker"),
        controller: plays("controller"),
    }
}

fn controller_names(config: &BrokerConfig) -> Vec<String> {
    let names = config.controller_listener_names.iter().flatten();
    names.map(|name| name.to_uppercase()).collect()
}

type Protocols = BTreeMap<String, SecurityProtocol>;

/// The protocol of each name. Where no map was set and nothing else is secured,
/// controllers speak plaintext.
fn protocols(
    config: &BrokerConfig,
    fixed: &Overrides,
    controller_names: &[String],
) -> Result<Protocols, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let text = &config.listener_security_protocol_map;
    let refused = |allowed: &str| ConfigError::value(KEY, text, allowed);
    let mut protocols = Protocols::new();
    for entry in list(text) {
        let (name, protocol) = entry
            .rsplit_once(':')
            .ok_or_else(|| refused("a list of NAME:PROTOCOL"))?;
        let protocol = SecurityProtocol::named(protocol.trim()).ok_or_else(|| {
            refused(&format!(
                "protocols are {}",
                SecurityProtocol::WORDS.join(", ")
            ))
        })?;
        protocols.insert(name.trim().to_uppercase(), protocol);
    }
    let is_secured = |name: &str| {
        SecurityProtocol::named(name).is_some_and(|named| named != SecurityProtocol::Plaintext)
    };
    let is_listener_secured = |listener: &String| {
        listener
            .split_once(':')
            .is_some_and(|(name, _)| is_secured(name))
    };
    if !fixed.contains_key(KEY)
        && !controller_names.iter().any(|name| is_secured(name))
        && !config.listeners.iter().any(is_listener_secured)
    {
        protocols.extend(
            controller_names
                .iter()
                .map(|name| (name.clone(), SecurityProtocol::Plaintext)),
        );
    }
    Ok(protocols)
}

impl SecurityProtocol {
    fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Plaintext,
            Self::Ssl,
            Self::SaslPlaintext,
            Self::SaslSsl,
        ];
        all.into_iter()
            .find(|protocol| protocol.word().eq_ignore_ascii_case(name))
    }
}

fn endpoints(
    key: &'static str,
    listeners: &[String],
    protocols: &Protocols,
) -> Result<Vec<Listener>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut endpoints = Vec::with_capacity(listeners.len());
    for text in listeners {
        let endpoint = endpoint(key, text, protocols)?;
        if !names.insert(endpoint.name.clone()) {
            return Err(ConfigError::value(
                key,
                listeners.join(","),
                "Each listener must have a different name",
            ));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn endpoint(key: &str, text: &str, protocols: &Protocols) -> Result<Listener, ConfigError> {
    let refused = |allowed: &str| ConfigError::value(key, text, allowed);
    let (name, address) = text
        .rsplit_once("://")
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or_else(|| refused("a list of NAME://host:port"))?;
    let (host, port) = split_address(address)
        .ok_or_else(|| refused("a list of NAME://host:port, port from 0 to 65535"))?;
    let name = name.to_uppercase();
    let protocol = protocols.get(&name).ok_or_else(|| {
        refused(&format!(
            "No security protocol defined for listener {name} in listener.security.protocol.map"
        ))
    })?;
    Ok(Listener {
        protocol: *protocol,
        host: (!host.is_empty()).then(|| host.to_owned()),
        port,
        name,
    })
}

/// Two listeners share a port only if one is an IPv4 and the other an IPv6 address.
fn check_distinct_ports(bound: &[Listener], listeners: &[String]) -> Result<(), ConfigError> {
    let mut by_port: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in bound.iter().filter(|listener| listener.port != 0) {
        by_port.entry(listener.port).or_default().push(listener);
    }
    for sharing in by_port.values().filter(|sharing| sharing.len() > 1) {
        let count = |is: fn(&str) -> bool| {
            let hosts = sharing
                .iter()
                .filter_map(|listener| listener.host.as_deref());
            hosts.filter(|host| is(host)).count()
        };
        let v4 = count(|host| host.parse::<Ipv4Addr>().is_ok());
        let v6 = count(|host| host.parse::<Ipv6Addr>().is_ok());
        if (sharing.len(), v4, v6) != (2, 1, 1) {
            let allowed = "Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 address";
            return Err(ConfigError::value(
                "listeners",
                listeners.join(","),
                allowed,
            ));
        }
    }
    Ok(())
}

fn inter_broker(
    config: &BrokerConfig,
    fixed: &Overrides,
    protocols: &Protocols,
) -> Result<String, ConfigError> {
    let Some(name) = &config.inter_broker_listener_name else {
        return Ok(config.security_inter_broker_protocol.word().to_owned());
    };
    if fixed.contains_key("security.inter.broker.protocol") {
        return Err(conflict(
            INTER_BROKER,
            "only one of this and security.inter.broker.protocol should be set",
        ));
    }
    let name = name.to_uppercase();
    if !protocols.contains_key(&name) {
        return Err(ConfigError::value(
            INTER_BROKER,
            name,
            "a name in listener.security.protocol.map",
        ));
    }
    Ok(name)
}

fn conflict(key: &'static str, rule: impl Into<String>) -> ConfigError {
    ConfigError::Conflict {
        key,
        rule: rule.into(),
    }
}
