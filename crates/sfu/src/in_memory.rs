//! The media plane over our own engine, without socket, thread and clock; for `examples/forward_instructions.rs`. Not part of
//! the interface.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use negotiation::Fingerprint;

use crate::Command;
use crate::engine::{Engines, LinkEngines};
use crate::ice::Path;
use crate::plane::Plane;

/// A plane that is given datagrams and time, and whose datagrams are taken out.
pub struct InMemory {
    plane: Plane<LinkEngines>,
    fingerprint: Fingerprint,
}

impl InMemory {
    /// # Errors
    /// If no certificate can be made.
    pub fn new(now: Instant) -> io::Result<Self> {
        let engines = LinkEngines::new().map_err(io::Error::other)?;
        Ok(Self {
            fingerprint: engines.fingerprint(),
            plane: Plane::new(engines, |_| (), now),
        })
    }

    /// Hash of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// What those above want.
    pub fn command(&mut self, command: Command, now: Instant) {
        self.plane.handle_command(command, now);
    }

    /// One turn of the worker: these datagrams arrive, what is due is done, and all that has to be sent waits.
    pub fn turn<'a>(&mut self, datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>, now: Instant) {
        for (remote, datagram) in datagrams {
            self.plane.handle_datagram(Path { remote, local: None }, datagram, now);
        }
        self.plane.finish_turn(now);
    }

    /// Takes out what waits.
    pub fn take(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) {
        for (path, datagram) in self.plane.outgoing.iter() {
            each(path.remote, datagram);
        }
        self.plane.outgoing.clear();
    }

    /// Packets forwarded so far, counted for each receiver.
    pub fn forwarded(&self) -> u64 {
        self.plane.stats.packets_forwarded
    }
}
