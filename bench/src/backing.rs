//! Memory that is really there when a broker writes into it.
//!
//! The host of a virtual machine may take back what the guest has freed, and gives
//! it again a page at a time when it is written to, which takes several times as
//! long as all that a broker does with those bytes. A second after a run, the
//! page cache of the next one begins without memory. So a program that holds
//! memory lets go of it as fast as a broker may want it.

use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::machine;

const PIECE_BYTES: usize = 64 << 20;
/// More than any broker has written on two cores.
const PIECES_PER_SECOND: u32 = 16;
/// What a broker finds before it has written anything.
const AHEAD: usize = 8;

/// Holds memory and lets go of it piece by piece; all of it when dropped.
#[derive(Debug)]
pub(crate) struct Backing {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backing {
    /// As much as a broker can write within `duration`, if half of what is
    /// available is that much.
    pub(crate) fn for_so_long(duration: Duration) -> Self {
        let wanted = duration.as_millis() * u128::from(PIECES_PER_SECOND) / 1000;
        let wanted = AHEAD + usize::try_from(wanted).unwrap_or(usize::MAX / 2);
        let pieces = wanted.min(available_bytes() / 2 / PIECE_BYTES);
        // Written to, so that there is memory behind every page.
        let mut held: Vec<Vec<u8>> = (0..pieces).map(|_| vec![1; PIECE_BYTES]).collect();
        held.truncate(pieces.saturating_sub(AHEAD));
        let (end, ended) = channel();
        let thread = std::thread::spawn(move || let_go(held, &ended));
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("letting go of memory does not panic");
        }
    }
}

fn let_go(mut held: Vec<Vec<u8>>, ended: &Receiver<()>) {
    let pause = Duration::from_secs(1) / PIECES_PER_SECOND;
    while held.pop().is_some() {
        match ended.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Memory that programs can have without anything being swapped out.
fn available_bytes() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available: Option<usize> = machine::kibibytes(&text, "MemAvailable");
    available.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_is_gone_with_its_holder() {
        let resident = || {
            let text = fs::read_to_string("/proc/self/statm").unwrap();
            let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
            pages * rustix::param::page_size()
        };
        let before = resident();
        let backing = Backing::for_so_long(Duration::from_millis(500));
        assert!(
            resident() > before + 4 * PIECE_BYTES,
            "eight pieces are held"
        );
        drop(backing);
        assert!(resident() < before + PIECE_BYTES, "none is left");
    }
}
