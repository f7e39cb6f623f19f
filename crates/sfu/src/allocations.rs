//! In steady state a packet costs no heap allocation: written, sealed, sent, received, opened, accounted for, told of.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use negotiation::DtlsRole;

use crate::feedback::arrivals::Arrivals;
use crate::feedback::missing::Missing;
use crate::feedback::reception::Reception;
use crate::feedback::sent::Sent;
use crate::ice::Path;
use crate::srtp::{Keys, Opener, Profile, Sealer};
use crate::udp::{Bound, Outbox, Socket};
use crate::wire::extension::transport_sequence;
use crate::wire::rtcp::{Rtcp, RtcpWriter, packets};
use crate::wire::rtp::{ExtensionForm, Rtp, RtpHeader, RtpWriter};

const SSRC: u32 = 7;
const NUMBER_ID: u8 = 3;

/// Two ends with everything that they remember of each other.
struct Ends {
    sockets: [Socket; 2],
    paths: [Path; 2],
    outbox: Outbox,
    sealers: [Sealer; 2],
    openers: [Opener; 2],
    sent: Sent,
    arrivals: Arrivals,
    missing: Missing,
    reception: Reception,
    asked: Vec<u16>,
    now: Instant,
    sequence: u64,
    received: u64,
    told: u64,
}

impl Ends {
    fn new(profile: Profile) -> Self {
        let material: Vec<u8> = (0..profile.exported_bytes()).map(|i| i as u8).collect();
        let keys =
            [DtlsRole::Client, DtlsRole::Server].map(|role| Keys::from_exported(profile, &material, role).unwrap());
        let sockets = [(); 2].map(|()| Bound::new(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap());
        let paths = [0, 1].map(|end: usize| Path {
            remote: sockets[end].local_addr(),
            local: None,
        });
        let now = Instant::now();
        let mut openers = [0, 1].map(|end: usize| Opener::new(&keys[end]).unwrap());
        openers[1].declare([SSRC], 0);
        Self {
            sockets: sockets.map(Socket::new),
            paths,
            outbox: Outbox::default(),
            sealers: [0, 1].map(|end: usize| {
                let mut sealer = Sealer::new(&keys[end]).unwrap();
                sealer.open_stream(SSRC).unwrap();
                sealer
            }),
            openers,
            sent: Sent::new(now),
            arrivals: Arrivals::new(now),
            missing: Missing::default(),
            reception: Reception::new(SSRC, 90_000),
            asked: Vec::new(),
            now,
            sequence: 65_000,
            received: 0,
            told: 0,
        }
    }

    /// A frame of five packets, of which one in ten is lost, and what comes back.
    fn turn(&mut self) {
        self.now += Duration::from_millis(33);
        for _ in 0..5 {
            self.sequence += 1;
            if !self.sequence.is_multiple_of(10) {
                self.send();
            }
        }
        self.sockets[0].sender.flush(&mut self.outbox);
        self.sockets[1].receiver.receive().unwrap();
        let mut buffer = [0; 2048];
        for (_, datagram) in self.sockets[1].receiver.datagrams() {
            let packet = &mut buffer[..datagram.len()];
            packet.copy_from_slice(datagram);
            let opened = self.openers[1].open_rtp(packet).unwrap();
            let packet = Rtp::parse(&packet[..opened.length]).unwrap();
            assert_eq!(packet.payload().map(<[u8]>::len), Some(1000));
            let (_, number) = packet.extensions().find(|(id, _)| *id == NUMBER_ID).unwrap();
            self.arrivals.received(transport_sequence(number).unwrap(), self.now);
            self.missing.received(opened.sequence, self.now);
            self.reception.received(opened.sequence, packet.timestamp(), self.now);
            self.received += 1;
        }
        self.report();
        self.sockets[1].sender.flush(&mut self.outbox);
        self.sockets[0].receiver.receive().unwrap();
        for (_, datagram) in self.sockets[0].receiver.datagrams() {
            let packet = &mut buffer[..datagram.len()];
            packet.copy_from_slice(datagram);
            let length = self.openers[0].open_rtcp(packet).unwrap();
            for packet in packets(&packet[..length]) {
                match packet {
                    Rtcp::TransportWide(feedback) => self.sent.feedback(&feedback, self.now, |outcome| {
                        self.told += u64::from(outcome.arrived_us.is_some());
                    }),
                    Rtcp::Nack { lost, .. } => assert!(lost.count() > 0),
                    Rtcp::ReceiverReport { blocks, .. } => assert_eq!(blocks.count(), 1),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn send(&mut self) {
        let (sealer, sent, now, sequence) = (&mut self.sealers[0], &mut self.sent, self.now, self.sequence);
        let header = RtpHeader {
            payload_type: 96,
            marker: false,
            sequence: sequence as u16,
            timestamp: sequence as u32,
            ssrc: SSRC,
        };
        let written = self.outbox.push_with(self.paths[1], |room| {
            let mut writer = RtpWriter::new(room, &header, ExtensionForm::OneByte)?;
            writer.extension(NUMBER_ID, &sent.send(1000, now).to_be_bytes());
            let header_len = writer.finish();
            let length = header_len + 1000;
            room[header_len..length].fill(sequence as u8);
            sealer.seal_rtp(room, length, header_len, sequence).ok()
        });
        assert!(written);
    }

    fn report(&mut self) {
        self.asked.clear();
        self.missing.take_due(self.now, None, &mut self.asked);
        let block = self.reception.report(self.now);
        let (sealer, arrivals, asked) = (&mut self.sealers[1], &mut self.arrivals, &self.asked);
        self.outbox.push_with(self.paths[0], |room| {
            let mut writer = RtcpWriter::new(&mut room[..1200]);
            writer.receiver_report(1, block.as_slice());
            writer.nack(1, SSRC, asked);
            while arrivals.write(1, SSRC, &mut writer) {}
            let length = writer.len();
            sealer.seal_rtcp(room, length).ok()
        });
    }
}

#[test]
fn a_packet_costs_no_allocation() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1, "the allocator counts");
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80] {
        let mut ends = Ends::new(profile);
        // Buffers and tables grow to what they need; the counter of packets wraps meanwhile.
        for _ in 0..300 {
            ends.turn();
        }
        let received = ends.received;
        let allocated = allocation_counter::measure(|| {
            for _ in 0..200 {
                ends.turn();
            }
        });
        assert_eq!(ends.received - received, 900);
        assert_eq!(ends.told, ends.received);
        assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0), "{profile:?}");
    }
}
