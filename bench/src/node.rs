//! What tells the nodes of a cluster from one another, and from a broker that is alone.

use std::net::TcpListener;

use anyhow::Result;

/// What both brokers are told in a cluster, and only there.
const REPLICATED: [&str; 3] = [
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "offsets.topic.replication.factor=3",
];

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: usize,
    /// Where clients come.
    pub(crate) port: u16,
    /// Where other nodes come, to it as a controller.
    controller_port: u16,
}

impl Node {
    /// So many, numbered from 1.
    pub(crate) fn some(count: usize) -> Result<Vec<Self>> {
        (1..=count)
            .map(|id| {
                Ok(Self {
                    id,
                    port: free_port()?,
                    controller_port: free_port()?,
                })
            })
            .collect()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ottla's settings of this one among all.
    pub(crate) fn settings(&self, all: &[Self]) -> Vec<String> {
        let address = self.address();
        if all.len() == 1 {
            return vec![format!("listeners=PLAINTEXT://{address}")];
        }
        let voters = all
            .iter()
            .map(|node| format!("{}@127.0.0.1:{}", node.id, node.controller_port));
        let voters: Vec<String> = voters.collect();
        let port = self.controller_port;
        let mut settings = vec![
            format!("node.id={}", self.id),
            "process.roles=broker,controller".to_owned(),
            format!("listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{port}"),
            format!("advertised.listeners=PLAINTEXT://{address}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.voters={}", voters.join(",")),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        ];
        settings.extend(Self::settings_of_all(all).map(str::to_owned));
        settings
    }

    /// What none of them would do if it were alone.
    pub(crate) fn settings_of_all(all: &[Self]) -> impl Iterator<Item = &'static str> {
        REPLICATED.into_iter().filter(|_| all.len() > 1)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> [Node; 2] {
        [(1, 1001, 2001), (2, 1002, 2002)].map(|(id, port, controller_port)| Node {
            id,
            port,
            controller_port,
        })
    }

    #[test]
    fn a_node_alone_is_told_nothing_but_its_address() {
        let [first, _] = two();
        let settings = first.settings(&two()[..1]);
        assert_eq!(settings, ["listeners=PLAINTEXT://127.0.0.1:1001"]);
        assert_eq!(Node::settings_of_all(&two()[..1]).count(), 0);
    }

    #[test]
    fn a_node_of_a_cluster_knows_the_voters_and_how_much_to_copy() {
        let nodes = two();
        let settings = nodes[1].settings(&nodes);
        for expected in [
            "node.id=2",
            "listeners=PLAINTEXT://127.0.0.1:1002,CONTROLLER://127.0.0.1:2002",
            "controller.quorum.voters=1@127.0.0.1:2001,2@127.0.0.1:2002",
            "min.insync.replicas=2",
        ] {
            assert!(settings.iter().any(|setting| setting == expected));
        }
    }
}
