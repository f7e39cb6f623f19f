//! What sealing a packet and handing it to the kernel costs; for `examples/seal_cost.rs`. Not part of the interface.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use negotiation::DtlsRole;

use crate::ice::Path;
use crate::srtp::{Keys, Profile, Sealer};
use crate::udp::{Bound, Outbox, Socket};
use crate::wire::rtp::{ExtensionForm, RtpHeader, RtpWriter};

/// How far the packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A header is written, the payload copied and sealed.
    Seal,
    /// They are handed to the kernel, a message each.
    SendApart,
    /// They are handed to the kernel, those of one size and destination in one message.
    SendJoined,
}

/// Sealers for some receivers, and the socket to them.
pub struct Fan {
    socket: Socket,
    outbox: Outbox,
    receivers: Vec<(Path, Sealer)>,
    sequence: u64,
    stage: Stage,
}

/// Of all packets.
const SSRC: u32 = 7;

/// The SRTP profiles by name.
const PROFILES: [(&str, Profile); 3] = [
    ("AEAD_AES_128_GCM", Profile::AeadAes128Gcm),
    ("AEAD_AES_256_GCM", Profile::AeadAes256Gcm),
    ("AES128_CM_HMAC_SHA1_80", Profile::Aes128CmSha1_80),
];

/// The names of the SRTP profiles.
pub fn profiles() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

impl Fan {
    /// # Errors
    /// If there is no such profile, or no socket.
    pub fn new(profile: &str, stage: Stage, receivers: &[SocketAddr]) -> io::Result<Self> {
        let profile = PROFILES
            .iter()
            .find(|(name, _)| *name == profile)
            .map(|(_, profile)| *profile);
        let profile = profile.ok_or(io::Error::other("no such profile"))?;
        let mut socket = Socket::new(Bound::new(SocketAddr::from(([127, 0, 0, 1], 0)))?);
        socket.sender.set_splits(stage == Stage::SendJoined);
        let receiver = |(number, remote): (usize, &SocketAddr)| {
            let material: Vec<u8> = (0..profile.exported_bytes()).map(|i| (i + number) as u8).collect();
            let keys = Keys::from_exported(profile, &material, DtlsRole::Server).map_err(io::Error::other)?;
            let path = Path {
                remote: *remote,
                local: None,
            };
            let mut sealer = Sealer::new(&keys).map_err(io::Error::other)?;
            sealer.open_stream(SSRC).map_err(io::Error::other)?;
            Ok((path, sealer))
        };
        Ok(Self {
            receivers: receivers.iter().enumerate().map(receiver).collect::<io::Result<_>>()?,
            socket,
            outbox: Outbox::default(),
            sequence: 1000,
            stage,
        })
    }

    /// Sends a frame of so many packets to each, packet by packet as they would arrive; returns how many were sent.
    pub fn frame(&mut self, packets: usize, payload: &[u8]) -> u64 {
        let mut sealed = 0;
        for _ in 0..packets {
            self.sequence += 1;
            let sequence = self.sequence;
            for (path, sealer) in &mut self.receivers {
                let header = RtpHeader {
                    payload_type: 96,
                    marker: false,
                    sequence: sequence as u16,
                    timestamp: sequence as u32,
                    ssrc: SSRC,
                };
                let write = |room: &mut [u8]| {
                    let mut writer = RtpWriter::new(room, &header, ExtensionForm::OneByte)?;
                    writer.extension(3, &(sequence as u16).to_be_bytes());
                    let header_len = writer.finish();
                    let length = header_len + payload.len();
                    room.get_mut(header_len..length)?.copy_from_slice(payload);
                    sealer.seal_rtp(room, length, header_len, sequence).ok()
                };
                sealed += u64::from(self.outbox.push_with(*path, write));
            }
        }
        match self.stage {
            Stage::Seal => {
                self.outbox.clear();
                sealed
            }
            Stage::SendApart | Stage::SendJoined => self.socket.sender.flush(&mut self.outbox).datagrams,
        }
    }
}

/// Processor time of this thread.
///
/// # Errors
/// If the kernel does not tell.
pub fn thread_cpu() -> io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    ns.map(Duration::from_nanos)
        .ok_or(io::Error::other("an empty schedstat"))
}
