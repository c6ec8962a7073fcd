//! One connection: frames out, frames in, nothing decided.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::codec;
use crate::schema::Api;
use crate::value::Value;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What came, or did not.
#[derive(Debug)]
pub enum Answer {
    /// A frame, without its size.
    Frame(Vec<u8>),
    Closed,
    Nothing,
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_correlation: i32,
}

impl Connection {
    /// # Errors
    /// If nobody listens.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            next_correlation: 1,
        })
    }

    /// A request's frame with its size; and the number that its answer will bear.
    ///
    /// # Errors
    /// If the request does not fit the API.
    pub fn frame(
        &mut self,
        api: &Api,
        version: i16,
        request: &Value,
        client: Option<&str>,
    ) -> anyhow::Result<(Vec<u8>, i32)> {
        let correlation = self.next_correlation;
        self.next_correlation += 1;
        let body = codec::encode(&api.request, version, request)
            .with_context(|| format!("encoding {} v{version}", api.name))?;
        let header = header(api, version, correlation, client);
        Ok((framed(&[header, body].concat()), correlation))
    }

    /// # Errors
    /// If the other side is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// The next frame that comes within that time.
    ///
    /// # Errors
    /// If it breaks off in the middle.
    pub fn read(&mut self, within: Duration) -> anyhow::Result<Answer> {
        self.stream.set_read_timeout(Some(within))?;
        let mut size = [0; 4];
        match self.stream.read(&mut size[..1]) {
            Ok(0) => return Ok(Answer::Closed),
            Ok(_) => {}
            Err(error) if is_one_of(&error, [ErrorKind::WouldBlock, ErrorKind::TimedOut]) => {
                return Ok(Answer::Nothing);
            }
            Err(error)
                if is_one_of(&error, [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]) =>
            {
                return Ok(Answer::Closed);
            }
            Err(error) => return Err(error.into()),
        }
        self.stream.set_read_timeout(Some(PATIENCE))?;
        self.stream.read_exact(&mut size[1..])?;
        let size = i32::from_be_bytes(size);
        let size = usize::try_from(size).context("the size of the answer")?;
        ensure!(size < 1 << 27, "an answer of {size} bytes");
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame)?;
        Ok(Answer::Frame(frame))
    }

    /// Asks and decodes, for what no transcript shows.
    ///
    /// # Errors
    /// If there is no answer that fits.
    pub fn ask(&mut self, api: &Api, version: i16, request: &Value) -> anyhow::Result<Value> {
        let (frame, correlation) = self.frame(api, version, request, Some(CLIENT))?;
        self.write(&frame)?;
        let answer = self.read(PATIENCE)?;
        let Answer::Frame(frame) = answer else {
            bail!("{} v{version} is answered with {answer:?}", api.name);
        };
        decode(api, version, correlation, &frame)
    }
}

fn is_one_of(error: &io::Error, kinds: [ErrorKind; 2]) -> bool {
    kinds.contains(&error.kind())
}

/// The client id of every request that has no reason to bear another one.
pub const CLIENT: &str = "oracle";

/// A request's header.
pub fn header(api: &Api, version: i16, correlation: i32, client: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(api.key.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(correlation.to_be_bytes());
    match client {
        Some(client) => {
            let size = i16::try_from(client.len()).unwrap_or(i16::MAX);
            out.extend(size.to_be_bytes());
            out.extend(client.as_bytes());
        }
        None => out.extend((-1_i16).to_be_bytes()),
    }
    if api.is_flexible(version) {
        out.push(0);
    }
    out
}

/// Bytes behind their size.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let size = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    [&size.to_be_bytes()[..], bytes].concat()
}

/// The message in an answer's frame.
///
/// # Errors
/// If it answers another request, or has another form.
pub fn decode(api: &Api, version: i16, correlation: i32, frame: &[u8]) -> anyhow::Result<Value> {
    let (number, mut rest) = frame
        .split_first_chunk()
        .context("an answer without a header")?;
    let number = i32::from_be_bytes(*number);
    ensure!(
        number == correlation,
        "it answers request {number}, not {correlation}"
    );
    // ApiVersions is read by clients that do not know yet what the broker speaks.
    if api.is_flexible(version) && api.name != "ApiVersions" {
        let tags = codec::take_varint(&mut rest)?;
        ensure!(tags == 0, "{tags} tagged fields in the header");
    }
    codec::decode(&api.response, version, rest)
}
