//! The one thing that is read of what members say about themselves: the topics
//! that a consumer subscribes to. Needed to know which offsets are in use.

use bytes::Bytes;
use ottla_base::TopicName;
use ottla_protocol::internal::Subscription;

/// `None` if the metadata is not a subscription.
pub(super) fn subscribed_topics(metadata: &Bytes) -> Option<Vec<TopicName>> {
    // Every version begins as version 0 does. Reading no further, as Kafka, also
    // copes with clients that claim a later version and leave out its fields.
    let mut prefix = metadata.to_vec();
    prefix.get_mut(..2)?.fill(0);
    Subscription::parse(&prefix)
        .ok()
        .map(|subscription| subscription.topics)
}
