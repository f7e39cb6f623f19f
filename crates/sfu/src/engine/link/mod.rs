//! Our own engine: the secured link to one client, hop by hop. DTLS comes from `dimpl`, SCTP from `sctp-proto`; SRTP, RTP,
//! RTCP and DCEP are ours.
//!
//! ```text
//!   datagram ──► Association (DTLS) ──► Channels (SCTP, DCEP)
//!            ──► Opener (SRTP) ──► Inbound ──► packets, reports
//!            ◄── Sealer ◄── Outbound ◄── packets to the client
//! ```

mod association;
mod channels;
mod clock;
mod dcep;
mod history;
mod inbound;
mod outbound;
mod reports;
mod sections;
mod slots;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use dimpl::SrtpProfile;
use negotiation::{DtlsRole, Fingerprint, NegotiatedSession};

use self::association::{Association, Identity, Keying, Told};
use self::channels::Channels;
use self::clock::Clock;
use self::inbound::{Heard, Inbound};
use self::outbound::Outbound;
use self::reports::Reports;
use self::sections::Sections;
use super::{
    Bindings, ChannelHandle, Engine, EngineError, Engines, Output, Polled, Received, RecvHandle, Reliability,
    SendHandle, SendPacket, Sent, Written,
};
use crate::limits;
use crate::srtp::{Keys, OpenError, Opener, Profile, Sealer};
use crate::wire::Kind;
use crate::wire::rtcp::{self, Rtcp};

/// How long a link with nothing to do may be left alone.
const IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Makes links that share one certificate.
#[derive(Debug, Clone)]
pub(crate) struct LinkEngines {
    identity: Identity,
    clock: Clock,
}

impl LinkEngines {
    /// Makes the certificate of this process.
    pub(crate) fn new() -> Result<Self, EngineError> {
        Ok(Self {
            identity: Identity::new()?,
            clock: Clock::read(),
        })
    }
}

impl Engines for LinkEngines {
    type Engine = Link;

    fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    fn create(&self, session: &NegotiatedSession, now: Instant) -> Result<Link, EngineError> {
        let association = Association::new(
            self.identity.clone(),
            session.dtls_role,
            session.remote_fingerprint.clone(),
        );
        Ok(Link {
            association,
            channels: Channels::default(),
            srtp: None,
            connected: false,
            closed: false,
            data_agreed: false,
            sections: Sections::default(),
            inbound: Inbound::new(self.clock.epoch()),
            outbound: Outbound::new(self.clock),
            reports: Reports::new(self.clock),
            scratch: Vec::new(),
            pending: VecDeque::new(),
            moved: false,
            first_known: None,
            now,
        })
    }
}

/// One client's link.
pub(crate) struct Link {
    association: Association,
    channels: Channels,
    srtp: Option<Srtp>,
    connected: bool,
    /// The end was told.
    closed: bool,
    data_agreed: bool,
    sections: Sections,
    inbound: Inbound,
    outbound: Outbound,
    reports: Reports,
    /// Where datagrams are opened.
    scratch: Vec<u8>,
    pending: VecDeque<Output>,
    /// DTLS or SCTP may have something to say.
    moved: bool,
    /// The stream without a report that the deadline last told is right for.
    first_known: Option<Instant>,
    now: Instant,
}

/// What seals and opens, once there are keys.
struct Srtp {
    sealer: Sealer,
    opener: Opener,
}

impl Link {
    /// Lets DTLS and SCTP say what they have to say.
    fn pump(&mut self) -> Result<(), EngineError> {
        if !std::mem::take(&mut self.moved) {
            return Ok(());
        }
        loop {
            self.pump_association()?;
            let packets = self.channels.poll(self.now, &mut self.pending);
            if packets.is_empty() {
                return Ok(());
            }
            for packet in packets {
                // The association holds back a few datagrams only: each is taken before the next.
                self.association.send(&packet)?;
                self.pump_association()?;
            }
        }
    }

    fn pump_association(&mut self) -> Result<(), EngineError> {
        loop {
            match self.association.poll()? {
                Told::Nothing => return Ok(()),
                Told::Transmit(datagram) => self.pending.push_back(Output::Transmit(datagram)),
                Told::Keys(keying) => self.take_keys(&keying)?,
                Told::Connected => {
                    self.connected = true;
                    self.pending.push_back(Output::Connected);
                    self.start_channels()?;
                }
                Told::Data(packet) => self.channels.receive(packet, self.now),
                Told::Closed => {
                    if !std::mem::replace(&mut self.closed, true) {
                        self.pending.push_back(Output::Closed);
                    }
                }
            }
        }
    }

    fn take_keys(&mut self, keying: &Keying) -> Result<(), EngineError> {
        let profile = match keying.profile {
            SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
            SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            other => {
                return Err(EngineError::Dtls(format!(
                    "nobody asked for the SRTP profile {other:?}"
                )));
            }
        };
        let refused = |error: crate::srtp::KeyError| EngineError::Failed(error.to_string());
        let keys = Keys::from_exported(profile, &keying.material, self.association.role()).map_err(refused)?;
        let mut opener = Opener::new(&keys).map_err(refused)?;
        self.inbound.declare(&mut opener);
        let mut sealer = Sealer::new(&keys).map_err(refused)?;
        open_streams(&mut sealer, &self.outbound.ssrcs());
        self.srtp = Some(Srtp { sealer, opener });
        Ok(())
    }

    fn start_channels(&mut self) -> Result<(), EngineError> {
        if self.data_agreed && self.connected {
            self.channels.start(self.association.role() == DtlsRole::Client)?;
            self.moved = true;
        }
        Ok(())
    }

    fn receive_rtp(&mut self, datagram: &[u8]) -> Received {
        let Some(srtp) = &mut self.srtp else {
            return Received::Taken;
        };
        self.scratch.clear();
        self.scratch.extend_from_slice(datagram);
        let opened = match srtp.opener.open_rtp(&mut self.scratch) {
            Ok(opened) => opened,
            Err(OpenError::Undeclared) => return Received::Undeclared,
            Err(error) => {
                tracing::trace!(%error, "ignored a packet");
                return Received::Taken;
            }
        };
        let packet = &self.scratch[..opened.length];
        match self.inbound.receive(packet, opened.sequence, self.now) {
            Heard::Packet(packet) => {
                self.pending.push_back(Output::Packet(packet));
                Received::Taken
            }
            Heard::Nothing => Received::Taken,
            Heard::Stranger => Received::Undeclared,
        }
    }

    fn receive_rtcp(&mut self, datagram: &[u8]) {
        let Some(srtp) = &mut self.srtp else { return };
        self.scratch.clear();
        self.scratch.extend_from_slice(datagram);
        let length = match srtp.opener.open_rtcp(&mut self.scratch) {
            Ok(length) => length,
            Err(error) => return tracing::trace!(%error, "ignored a report"),
        };
        let compound = std::mem::take(&mut self.scratch);
        for packet in rtcp::packets(&compound[..length]) {
            self.handle_rtcp(&packet);
        }
        self.scratch = compound;
    }

    fn handle_rtcp(&mut self, packet: &Rtcp<'_>) {
        match packet {
            Rtcp::SenderReport { report, blocks } => {
                if let Some(report) = self.inbound.handle_sender_report(report, self.now) {
                    self.pending.push_back(Output::SenderReport(report));
                }
                self.handle_blocks(blocks.clone());
            }
            Rtcp::ReceiverReport { blocks, .. } => self.handle_blocks(blocks.clone()),
            Rtcp::Nack { media, lost } => self.repair(*media, lost.clone()),
            Rtcp::Pli { media } => self.want_keyframe(*media),
            Rtcp::Fir(entries) => {
                for (media, number) in entries.clone().take(limits::FIR_ENTRIES_MAX) {
                    if let Some(stream) = self.outbound.by_ssrc(media)
                        && self.outbound.is_new_fir(stream, number)
                    {
                        self.pending.push_back(Output::KeyframeWanted(stream));
                    }
                }
            }
            Rtcp::TransportWide(feedback) => self.outbound.handle_feedback(feedback, self.now),
            // A source that ends is told by the next session.
            Rtcp::SourceDescription(_) | Rtcp::Bye(_) => {}
        }
    }

    fn handle_blocks(&mut self, blocks: rtcp::ReportBlocks<'_>) {
        for block in blocks {
            if let Some(rtt) = self.reports.round_trip(&block, self.now) {
                self.inbound.set_round_trip(rtt);
            }
        }
    }

    fn want_keyframe(&mut self, media: u32) {
        if let Some(stream) = self.outbound.by_ssrc(media) {
            self.pending.push_back(Output::KeyframeWanted(stream));
        }
    }

    /// Sends again what the client lacks, as much as one turn may bring.
    fn repair(&mut self, media: u32, lost: rtcp::Lost<'_>) {
        let (Some(stream), Some(srtp)) = (self.outbound.by_ssrc(media), &mut self.srtp) else {
            return;
        };
        for sequence in lost {
            if self.pending.len() >= limits::RESEND_QUEUE_MAX {
                return;
            }
            let datagram = self.outbound.send_again(stream, sequence, &mut srtp.sealer, self.now);
            self.pending.extend(datagram.map(Output::Transmit));
        }
    }

    /// Sends the reports and requests that are due.
    fn report(&mut self) {
        let Some(srtp) = &mut self.srtp else { return };
        let seal = transmitting(&mut srtp.sealer, &mut self.pending);
        self.reports.run(self.now, &mut self.inbound, &mut self.outbound, seal);
    }

    fn say_goodbye(&mut self) {
        if let Some(srtp) = &mut self.srtp {
            let seal = transmitting(&mut srtp.sealer, &mut self.pending);
            Reports::say_goodbye(&mut self.outbound, seal);
        }
    }

    fn deadline(&self) -> Instant {
        let dates = [
            self.association.deadline(),
            self.channels.deadline(),
            self.srtp
                .as_ref()
                .and_then(|_| self.reports.deadline(&self.inbound, &self.outbound)),
        ];
        let next = dates.into_iter().flatten().min();
        next.unwrap_or(self.now + IDLE_MAX)
    }
}

/// Streams begin. One that cannot stays silent.
fn open_streams(sealer: &mut Sealer, ssrcs: &[u32]) {
    for ssrc in ssrcs {
        if let Err(error) = sealer.open_stream(*ssrc) {
            tracing::error!(ssrc, %error, "nothing can be sent on a stream");
        }
    }
}

/// Seals a compound packet of this length in its room, and sends it.
fn transmitting(sealer: &mut Sealer, pending: &mut VecDeque<Output>) -> impl FnMut(&mut [u8], usize) {
    |room, length| match sealer.seal_rtcp(room, length) {
        Ok(sealed) => pending.push_back(Output::Transmit(room[..sealed].to_vec())),
        Err(error) => tracing::debug!(%error, "a report was not sealed"),
    }
}

impl Engine for Link {
    fn apply(&mut self, session: &Arc<NegotiatedSession>, now: Instant) -> Result<Bindings, EngineError> {
        self.now = now;
        self.association.announce(&session.remote_fingerprint);
        self.inbound.agree(session);
        let (bindings, turnover) = self.sections.apply(session, &mut self.inbound, &mut self.outbound);
        if let Some(srtp) = &mut self.srtp {
            self.inbound.declare(&mut srtp.opener);
            for ssrc in turnover.given_up {
                srtp.sealer.end_stream(ssrc);
            }
            open_streams(&mut srtp.sealer, &turnover.begun);
        }
        self.data_agreed |= session.sctp.is_some();
        self.start_channels()?;
        self.pump()?;
        Ok(bindings)
    }

    fn start(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        self.association.start(now)?;
        self.moved = true;
        self.pump()
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Received, EngineError> {
        self.now = now;
        match Kind::of(datagram) {
            Some(Kind::Rtp) => return Ok(self.receive_rtp(datagram)),
            Some(Kind::Rtcp) => self.receive_rtcp(datagram),
            Some(Kind::Dtls) => {
                self.association.receive(datagram, now)?;
                self.moved = true;
                self.pump()?;
            }
            Some(Kind::Stun) | None => {}
        }
        Ok(Received::Taken)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        if self.association.deadline().is_some_and(|at| at <= now) {
            self.association.handle_timeout(now)?;
            self.moved = true;
        }
        if self.channels.deadline().is_some_and(|at| at <= now) {
            self.channels.handle_timeout(now);
            self.moved = true;
        }
        self.pump()?;
        self.report();
        Ok(())
    }

    fn poll(&mut self) -> Result<Polled, EngineError> {
        Ok(match self.pending.pop_front() {
            Some(output) => Polled::Output(output),
            None => {
                self.first_known = self.outbound.first_unreported;
                Polled::Timeout(self.deadline())
            }
        })
    }

    fn send(&mut self, stream: SendHandle, packet: &SendPacket, now: Instant, room: &mut [u8]) -> Sent {
        self.now = now;
        let Some(srtp) = &mut self.srtp else {
            return Sent::Refused;
        };
        let sent = self.outbound.send(stream, packet, &mut srtp.sealer, now, room);
        sent.map_or(Sent::Refused, Sent::Written)
    }

    fn touch(&self, stream: SendHandle) -> u64 {
        self.outbound.touch(stream, self.srtp.as_ref().map(|srtp| &srtp.sealer))
    }

    fn wants_run(&self) -> bool {
        // The first report of a stream follows soon.
        self.moved || self.outbound.first_unreported != self.first_known
    }

    fn request_keyframe(&mut self, stream: RecvHandle) {
        self.inbound.request_keyframe(stream);
    }

    fn path_changed(&mut self) {
        self.inbound.miss_nothing();
        self.outbound.keep_nothing();
    }

    fn open_channel(&mut self, label: &str, reliability: Reliability) -> ChannelHandle {
        self.moved = true;
        self.channels.open(label, reliability)
    }

    fn write_channel(&mut self, channel: ChannelHandle, binary: bool, message: &[u8]) -> Written {
        self.moved = true;
        self.channels.write(channel, binary, message)
    }

    fn close_channel(&mut self, channel: ChannelHandle) {
        self.moved = true;
        if self.channels.close(channel) {
            self.pending.push_back(Output::ChannelClosed(channel));
        }
    }

    fn close(&mut self, now: Instant) -> Result<(), EngineError> {
        self.now = now;
        self.say_goodbye();
        self.association.close()?;
        self.moved = true;
        self.pump()
    }
}
