//! When brokers were last heard from. Not written down: a controller that takes
//! over listens anew.
//!
//! Knows nothing of what follows from silence.

use std::collections::BTreeMap;

use ottla_base::{BrokerId, Millis};

use crate::{BrokerEpoch, Image};

/// A broker's last sign of life.
#[derive(Clone, Copy, Debug)]
struct Contact {
    epoch: BrokerEpoch,
    at: Millis,
    /// It spoke to this controller, which did not just assume it alive.
    spoke: bool,
}

/// Owned by the controller's machine.
#[derive(Debug)]
pub(crate) struct Sessions {
    timeout_ms: i64,
    contacts: BTreeMap<BrokerId, Contact>,
}

/// Whose silence was too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    Brokers(Vec<BrokerId>),
    /// The clock stood still for whoever asks, so it did not listen either.
    Unknown,
}

impl Sessions {
    pub(crate) fn new(timeout_ms: i64) -> Self {
        Self {
            timeout_ms,
            contacts: BTreeMap::new(),
        }
    }

    /// Takes every broker that is not fenced for alive.
    pub(crate) fn assume(&mut self, image: &Image, now: Millis) {
        for broker in image.brokers().filter(|broker| !broker.fenced) {
            let contact = Contact {
                epoch: broker.epoch,
                at: now,
                spoke: false,
            };
            self.contacts.insert(broker.id, contact);
        }
    }

    pub(crate) fn hear(&mut self, broker: BrokerId, epoch: BrokerEpoch, now: Millis) {
        let contact = Contact {
            epoch,
            at: now,
            spoke: true,
        };
        self.contacts.insert(broker, contact);
    }

    /// A broker that was only assumed alive has half the time to speak. One that lives
    /// does so several times as often.
    pub(crate) fn doubt(&mut self, broker: BrokerId) {
        if let Some(contact) = self.contacts.get_mut(&broker)
            && !contact.spoke
        {
            contact.at = contact.at.plus_ms(-self.timeout_ms / 2);
        }
    }

    pub(crate) fn end(&mut self, broker: BrokerId) {
        self.contacts.remove(&broker);
    }

    /// Whether this broker has spoken, and not long ago.
    pub(crate) fn is_valid(&self, broker: BrokerId, epoch: BrokerEpoch, now: Millis) -> bool {
        self.contacts.get(&broker).is_some_and(|contact| {
            contact.spoke && contact.epoch == epoch && now < self.end_of(*contact)
        })
    }

    /// When the first broker that is not fenced will have been silent for too long.
    pub(crate) fn next_end(&self, image: &Image) -> Option<Millis> {
        let unfenced = self.unfenced(image);
        unfenced.map(|(_, contact)| self.end_of(contact)).min()
    }

    pub(crate) fn silent(&self, image: &Image, now: Millis) -> Silent {
        let Some(first) = self.next_end(image) else {
            return Silent::Brokers(Vec::new());
        };
        if now.since(first) > self.timeout_ms / 2 {
            return Silent::Unknown;
        }
        let silent = self
            .unfenced(image)
            .filter(|(_, contact)| self.end_of(*contact) <= now);
        Silent::Brokers(silent.map(|(id, _)| id).collect())
    }

    fn unfenced(&self, image: &Image) -> impl Iterator<Item = (BrokerId, Contact)> {
        let contacts = self.contacts.iter().map(|(id, contact)| (*id, *contact));
        contacts.filter(|(id, _)| image.broker(*id).is_some_and(|broker| !broker.fenced))
    }

    fn end_of(&self, contact: Contact) -> Millis {
        contact.at.plus_ms(self.timeout_ms)
    }
}
