//! One connection to a broker: a request, its answer, the next request.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_protocol::frame::Frames;
use ottla_protocol::header::{RequestHeader, decode_response_header};
use ottla_protocol::messages::ApiVersionsRequest;
use ottla_protocol::messages::api_versions_response::ApiVersion;
use ottla_protocol::{ApiKey, StrBytes, WireClient};

use crate::{ToolError, accepted};

const CLIENT_ID: &str = "ottla-tools";

/// How long one answer, or one attempt to connect, may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Between two attempts to reach a cluster that is not there yet.
const PAUSE: Duration = Duration::from_millis(100);

/// No answer that these tools ask for comes near to it.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// The version of ApiVersions that every broker speaks.
const VERSION_OF_ALL: i16 = 0;

/// Where a cluster is looked for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    addresses: Vec<String>,
    patience: Duration,
}

impl Servers {
    /// Addresses as in `--bootstrap-server`: `host:port,host:port`.
    pub fn new(list: &str, patience: Duration) -> Self {
        let addresses = list.split(',').map(str::trim);
        Self {
            addresses: addresses
                .filter(|address| !address.is_empty())
                .map(str::to_owned)
                .collect(),
            patience,
        }
    }

    /// A connection to the first that answers; who begins before the cluster does waits for it.
    pub(crate) fn connect(&self) -> Result<Connection, ToolError> {
        let begun = Instant::now();
        loop {
            let mut failed = ToolError::NoAddress;
            for address in &self.addresses {
                match Connection::open(address) {
                    Ok(connection) => return Ok(connection),
                    Err(error) => failed = error,
                }
            }
            if self.addresses.is_empty() || begun.elapsed() >= self.patience {
                return Err(failed);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// One connection, and what the broker at its other end speaks.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: TcpStream,
    frames: Frames,
    correlation_id: i32,
    spoken: Vec<ApiVersion>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self, ToolError> {
        let stream = open_stream(address).map_err(|reason| ToolError::Unreachable {
            address: address.to_owned(),
            reason,
        })?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            frames: Frames::new(FRAME_BYTES_MAX),
            correlation_id: 0,
            spoken: Vec::new(),
        };
        let answer = connection.exchange(&ApiVersionsRequest::default(), VERSION_OF_ALL)?;
        accepted(address, answer.error_code, None)?;
        connection.spoken = answer.api_keys;
        Ok(connection)
    }

    /// The versions that the broker serves, in the order of its answer.
    pub(crate) fn spoken(&self) -> &[ApiVersion] {
        &self.spoken
    }

    /// Asks with the newest version that both sides speak.
    pub(crate) fn ask<R: WireClient>(&mut self, request: &R) -> Result<R::Response, ToolError> {
        let version = newest_of_both(&self.spoken, R::KEY, &R::VERSIONS);
        let version = version.ok_or_else(|| ToolError::Unspoken {
            address: self.address.clone(),
            api: R::KEY,
        })?;
        self.exchange(request, version)
    }

    fn exchange<R: WireClient>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ToolError> {
        self.correlation_id += 1;
        let header = RequestHeader {
            key: R::KEY,
            version,
            correlation_id: self.correlation_id,
            client_id: Some(StrBytes::from_static_str(CLIENT_ID)),
        };
        let mut frame = BytesMut::new();
        header.encode(&mut frame);
        request.encode_request(version, &mut frame)?;
        let mut answer = self
            .send(&frame)
            .and_then(|()| self.receive())
            .map_err(|reason| ToolError::Broken {
                address: self.address.clone(),
                reason,
            })?;
        let answered = decode_response_header(R::KEY, version, &mut answer)?;
        if answered != self.correlation_id {
            return Err(ToolError::Unrelated {
                address: self.address.clone(),
            });
        }
        Ok(R::decode_response(&mut answer, version)?)
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let length = i32::try_from(frame.len()).map_err(io::Error::other)?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(frame)
    }

    fn receive(&mut self) -> io::Result<Bytes> {
        let mut part = vec![0; 8 << 10];
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(io::Error::other)? {
                return Ok(frame);
            }
            let read = self.stream.read(&mut part)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.frames.feed(part.get(..read).unwrap_or_default());
        }
    }
}

fn open_stream(address: &str) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for place in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, ANSWER_MAX) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn newest_of_both(spoken: &[ApiVersion], api: ApiKey, ours: &RangeInclusive<i16>) -> Option<i16> {
    let theirs = spoken.iter().find(|row| row.api_key == api.code())?;
    let newest = theirs.max_version.min(*ours.end());
    (newest >= theirs.min_version.max(*ours.start())).then_some(newest)
}
