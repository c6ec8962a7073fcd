//! Every bound that is not a setting of Kafka's, with the reason for its value.

/// Produce requests of one connection that may wait for their answers at once.
/// Java and librdkafka send at most five; more is a client without back-pressure.
pub(crate) const PIPELINED_REQUESTS_MAX: usize = 64;

/// Slices that one `writev` takes; Linux allows 1,024.
pub(crate) const WRITE_SLICES_MAX: usize = 256;

/// What one `writev` takes: the thread that copies it has no eye on other connections.
pub(crate) const WRITE_BYTES_MAX: usize = 128 << 10;

/// Requests that are being handled may hold so many bytes together, unless
/// `queued.max.request.bytes` says otherwise.
pub(crate) const REQUEST_BYTES_MAX: usize = 512 << 20;

/// Threads that read record batches from disk where the page cache has no copy.
pub(crate) const READ_POOL_THREADS: usize = 2;

/// Reads that wait for the read pool; a fetch beyond them waits for its turn.
pub(crate) const READ_POOL_QUEUE_MAX: usize = 1_024;

/// How long a stop waits for answers that are owed before it sends members of
/// groups away, and then once more before it cuts connections.
pub(crate) const DRAIN_MS_MAX: u64 = 500;

/// Bytes that are read ahead while a request lets no other start: enough to
/// notice that the client has left, and to have the next request's head.
pub(crate) const READ_AHEAD_BYTES_MAX: usize = 4 << 10;

/// How long a client that closed its sending side is still owed answers. One
/// that has gone looks the same, so a long poll does not keep its connection.
pub(crate) const HALF_CLOSED_MS_MAX: u64 = 1_000;

/// What is on its way to one follower: as much as a few milliseconds of a fast network
/// hold, so that neither waits for the other.
pub(crate) const REPLICATION: ottla_replication::Limits = ottla_replication::Limits {
    window_bytes: 16 << 20,
    message_bytes: 1 << 20,
};
