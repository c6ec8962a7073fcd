//! The metadata log for nodes that are no voters: heard from whichever voter can be
//! reached.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_base::Offset;
use ottla_controller::{Image, Record, RecordError};
use ottla_rpc::{Address, Channels};
use tonic::{Status, Streaming};
use tracing::{debug, info};

use crate::difference::difference;
use crate::proto;
use crate::proto::metadata_event::Event;
use crate::proto::quorum_client::QuorumClient;
use crate::proto::{FollowRequest, MetadataEvent};
use crate::service::MESSAGE_BYTES_MAX;
use crate::voter::Participant;

/// Between two attempts, each at the next voter.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the metadata is heard from, and who hears it.
#[derive(Debug)]
pub struct FollowParts {
    /// Voters, or whatever `controller.quorum.bootstrap.servers` names.
    pub voters: Vec<Address>,
    pub channels: Channels,
    pub participant: Arc<dyn Participant>,
}

/// What was heard so far. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    image: Image,
    end: Offset,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("{0} is no valid address")]
    Address(Address),
    #[error("{}", .0.message())]
    Status(#[from] Status),
    #[error("a record cannot be read: {0}")]
    Record(#[from] RecordError),
    #[error("it has ended")]
    Ended,
}

impl Followed {
    pub fn image(&self) -> Image {
        self.with(|heard| heard.image.clone())
    }

    /// The offset after the last record that was heard.
    pub fn end(&self) -> Offset {
        self.with(|heard| heard.end)
    }

    /// Follows one voter after the other until `stop`.
    pub async fn run(self, parts: FollowParts, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        for voter in parts.voters.iter().cycle() {
            let ended = tokio::select! {
                biased;
                () = stop.as_mut() => return,
                ended = self.follow(voter, &parts) => ended,
            };
            if let Err(error) = ended {
                debug!(%voter, %error, "this controller is not followed any more");
            }
            tokio::select! {
                biased;
                () = stop.as_mut() => return,
                () = tokio::time::sleep(PAUSE) => (),
            }
        }
    }

    async fn follow(&self, voter: &Address, parts: &FollowParts) -> Result<(), FollowError> {
        let channel = parts.channels.to(voter);
        let channel = channel.ok_or_else(|| FollowError::Address(voter.clone()))?;
        let mut client = QuorumClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let from = self.end().0;
        let mut events: Streaming<MetadataEvent> =
            client.follow(FollowRequest { from }).await?.into_inner();
        info!(%voter, from, "following the metadata log");
        while let Some(event) = events.message().await? {
            match event.event {
                Some(Event::Snapshot(snapshot)) => {
                    let mut image = Image::default();
                    for record in decoded(&snapshot.records)? {
                        image.apply(&record);
                    }
                    self.hear(Offset(snapshot.end), &*parts.participant, |known| {
                        difference(known, &image)
                    });
                }
                Some(Event::Committed(committed)) => {
                    let records = decoded(&committed.records)?;
                    self.hear(Offset(committed.end), &*parts.participant, |_| records);
                }
                // A newer program may say what this one does not know.
                None => (),
            }
        }
        Err(FollowError::Ended)
    }

    fn hear(
        &self,
        end: Offset,
        participant: &dyn Participant,
        records: impl FnOnce(&Image) -> Vec<Record>,
    ) {
        let records: Arc<[Record]> = self.with(|heard| {
            let records = records(&heard.image);
            for record in &records {
                heard.image.apply(record);
            }
            heard.end = end;
            Arc::from(records)
        });
        participant.on_committed(end, &records);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Heard) -> T) -> T {
        work(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn decoded(records: &[proto::Record]) -> Result<Vec<Record>, RecordError> {
    let records = records.iter();
    records
        .map(|record| Record::decode(&record.key, record.value.as_deref()))
        .collect()
}
