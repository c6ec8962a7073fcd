//! What whoever causes the faults says on the standard input, and what it is
//! told on the standard output.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Note(String),
    End,
    /// Nobody will say anything any more.
    Silence,
}

pub(super) struct Orders(Receiver<Order>);

impl Orders {
    pub(super) fn listen() -> Result<Self> {
        let (tx, rx) = mpsc::sync_channel(16);
        thread::Builder::new()
            .name("orders".to_owned())
            .spawn(move || {
                for line in io::stdin().lock().lines().map_while(Result::ok) {
                    let order = match line.split_once(' ') {
                        Some(("note", text)) => Order::Note(text.to_owned()),
                        _ if line == "end" => Order::End,
                        _ => Order::Note(format!("not understood: {line}")),
                    };
                    if tx.send(order).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self(rx))
    }

    pub(super) fn next_within(&self, time: Duration) -> Option<Order> {
        match self.0.recv_timeout(time) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::Silence),
        }
    }
}

pub(super) fn say_acked(count: u64) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "acked {count}")?;
    out.flush()
}
