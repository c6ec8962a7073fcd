//! How much is sent, for how long, and with what settings of the client.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::broker::Broker;

#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) duration: Duration,
    /// Of the topic that is written and read.
    pub(crate) partitions: i32,
    /// Records a second, where the rate is fixed.
    pub(crate) rate: u32,
    /// What is on disk when a broker is restarted.
    pub(crate) restart_mebibytes: u32,
    /// Further settings for librdkafka.
    pub(crate) client: Vec<(String, String)>,
}

impl Load {
    pub(crate) fn for_so_long(&self, duration: Duration) -> Self {
        Self {
            duration,
            ..self.clone()
        }
    }

    pub(crate) fn with_partitions(&self, partitions: i32) -> Self {
        Self {
            partitions,
            ..self.clone()
        }
    }

    pub(crate) fn with_mebibytes(&self, restart_mebibytes: u32) -> Self {
        Self {
            restart_mebibytes,
            ..self.clone()
        }
    }

    pub(crate) fn with_rate(&self, rate: u32) -> Self {
        Self {
            rate,
            ..self.clone()
        }
    }

    /// librdkafka's settings for a broker, with those of the command line.
    pub(crate) fn client(&self, broker: &Broker) -> ClientConfig {
        let mut config = broker.client();
        for (key, value) in &self.client {
            config.set(key, value);
        }
        config
    }
}
