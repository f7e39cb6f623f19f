//! When what is told about the media, and the compound packets that tell it.

use std::time::{Duration, Instant};

use super::clock::{Clock, ntp_middle};
use super::inbound::Inbound;
use super::outbound::{Latest, Outbound, SendStream};
use crate::feedback::reception::round_trip;
use crate::wire::rtcp::{ReportBlock, RtcpWriter, SenderReport};

/// Reports are sent so often; players move by them for lip sync.
const INTERVAL: Duration = Duration::from_secs(1);

/// The first report on a stream follows its first packet this soon.
const FIRST_AFTER: Duration = Duration::from_millis(50);

/// A stream on which nothing was sent for so long is not reported any more.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// Bytes of a compound packet before it is sealed.
const COMPOUND_BYTES_MAX: usize = 1100;

/// Room behind it for what sealing adds.
const OVERHEAD_BYTES_MAX: usize = 32;

/// Blocks in one report (RFC 3550 section 6.4.1).
const BLOCKS_MAX: usize = 31;

/// A sender report and the name of its source, but for the letters.
const SENDER_BYTES: usize = 28 + 16;

/// What a receiver that sends nothing calls itself, as browsers do.
const SILENT_SSRC: u32 = 1;

/// The schedule of one transport.
pub(super) struct Reports {
    clock: Clock,
    next: Option<Instant>,
    lost: Vec<u16>,
}

impl Reports {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            next: None,
            lost: Vec::new(),
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self, inbound: &Inbound, outbound: &Outbound) -> Option<Instant> {
        let feedback = inbound.arrivals.as_ref().and_then(|arrivals| arrivals.due_at());
        let first = outbound.first_unreported.map(|at| at + FIRST_AFTER);
        [self.next, feedback, inbound.ask_at, first].into_iter().flatten().min()
    }

    /// The time to the client and back, as one of its reports tells.
    pub(super) fn round_trip(&self, block: &ReportBlock, now: Instant) -> Option<Duration> {
        round_trip(block, ntp_middle(self.clock.ntp(now)))
    }

    /// Writes what is due; `seal` gets each compound packet with its length.
    pub(super) fn run(
        &mut self,
        now: Instant,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
        mut seal: impl FnMut(&mut [u8], usize),
    ) {
        if self.deadline(inbound, outbound).is_none_or(|at| at > now) && !inbound.keyframes_wanted {
            self.next.get_or_insert(now + INTERVAL);
            return;
        }
        let sender = outbound.any_ssrc().unwrap_or(SILENT_SSRC);
        let mut room = [0; COMPOUND_BYTES_MAX + OVERHEAD_BYTES_MAX];
        let mut compound = |write: &mut dyn FnMut(&mut RtcpWriter<'_>)| {
            let mut writer = RtcpWriter::new(&mut room[..COMPOUND_BYTES_MAX]);
            write(&mut writer);
            let length = writer.len();
            if length > 0 {
                seal(&mut room, length);
            }
        };
        self.request_keyframes(sender, inbound, &mut compound);
        self.request_lost(sender, now, inbound, &mut compound);
        feed_back(sender, now, inbound, &mut compound);
        let first_due = outbound.first_unreported.is_some_and(|at| at + FIRST_AFTER <= now);
        if first_due || self.next.is_none_or(|at| at <= now) {
            self.next = Some(now + INTERVAL);
            outbound.first_unreported = None;
            self.report(sender, now, inbound, outbound, &mut compound);
        }
    }

    /// Says that our streams are over.
    pub(super) fn say_goodbye(outbound: &mut Outbound, mut seal: impl FnMut(&mut [u8], usize)) {
        let ssrcs: Vec<u32> = outbound.streams().map(|stream| stream.layer.ssrc).collect();
        for ssrcs in ssrcs.chunks(BLOCKS_MAX) {
            let mut room = [0; COMPOUND_BYTES_MAX + OVERHEAD_BYTES_MAX];
            let mut writer = RtcpWriter::new(&mut room);
            // A compound packet begins with a report (RFC 3550 section 6.1).
            if writer.receiver_report(ssrcs[0], &[]) && writer.bye(ssrcs) {
                let length = writer.len();
                seal(&mut room, length);
            }
        }
    }

    fn request_keyframes(&self, sender: u32, inbound: &mut Inbound, compound: &mut Compound<'_>) {
        if !std::mem::take(&mut inbound.keyframes_wanted) {
            return;
        }
        for stream in inbound.streams.iter_mut() {
            let wanted = std::mem::take(&mut stream.keyframe_wanted);
            let Some(media) = stream.ssrc.filter(|_| wanted) else {
                continue;
            };
            if stream.knows_pli() {
                compound(&mut |writer| {
                    writer.pli(sender, media);
                });
            } else {
                stream.fir = stream.fir.wrapping_add(1);
                compound(&mut |writer| {
                    writer.fir(sender, media, stream.fir);
                });
            }
        }
    }

    fn request_lost(&mut self, sender: u32, now: Instant, inbound: &mut Inbound, compound: &mut Compound<'_>) {
        if inbound.ask_at.is_none_or(|at| at > now) {
            return;
        }
        let mut next: Option<Instant> = None;
        for stream in inbound.streams.iter_mut() {
            if stream.missing.due_at().is_some_and(|at| at <= now)
                && let Some(media) = stream.ssrc
            {
                self.lost.clear();
                stream.missing.take_due(now, inbound.round_trip, &mut self.lost);
                let mut lost = &self.lost[..];
                while !lost.is_empty() {
                    let mut written = 0;
                    compound(&mut |writer| written = writer.nack(sender, media, lost));
                    if written == 0 {
                        break;
                    }
                    lost = &lost[written..];
                }
            }
            next = [next, stream.missing.due_at()].into_iter().flatten().min();
        }
        inbound.ask_at = next;
    }

    /// Reports on what we send, each with the name of its source, and on what we receive.
    fn report(
        &self,
        sender: u32,
        now: Instant,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
        compound: &mut Compound<'_>,
    ) {
        let blocks: Vec<ReportBlock> = inbound
            .streams
            .iter_mut()
            .filter_map(|stream| stream.report(now))
            .collect();
        for blocks in blocks.chunks(BLOCKS_MAX) {
            compound(&mut |writer| {
                writer.receiver_report(sender, blocks);
            });
        }
        let mut reports = Vec::new();
        for stream in outbound.streams() {
            stream.expire(now);
            reports.extend(
                self.sender_report(stream, now)
                    .map(|report| (report, stream.cname.clone())),
            );
        }
        let mut reports = &reports[..];
        while !reports.is_empty() {
            compound(&mut |writer| {
                while let [(report, cname), rest @ ..] = reports
                    && (writer.len() == 0 || writer.len() + SENDER_BYTES + cname.len() <= COMPOUND_BYTES_MAX)
                {
                    writer.sender_report(report, &[]);
                    writer.source_description(report.ssrc, cname.as_bytes());
                    reports = rest;
                }
            });
        }
    }

    /// What relates a stream to our clock, of which the capture times are.
    fn sender_report(&self, stream: &SendStream, now: Instant) -> Option<SenderReport> {
        let latest = stream
            .latest
            .filter(|latest| now.saturating_duration_since(latest.sent) <= SILENT_AFTER)?;
        Some(SenderReport {
            ssrc: stream.layer.ssrc,
            ntp: self.clock.ntp(now),
            timestamp: extrapolated(&latest, now),
            packets: stream.packets,
            octets: stream.octets,
        })
    }
}

/// Gets what writes a compound packet, and sends it.
type Compound<'c> = dyn FnMut(&mut dyn FnMut(&mut RtcpWriter<'_>)) + 'c;

/// Transport-wide feedback.
fn feed_back(sender: u32, now: Instant, inbound: &mut Inbound, compound: &mut Compound<'_>) {
    let media = inbound.any_ssrc();
    let Some(arrivals) = inbound
        .arrivals
        .as_mut()
        .filter(|arrivals| arrivals.due_at().is_some_and(|at| at <= now))
    else {
        return;
    };
    let mut more = true;
    while more {
        more = false;
        compound(&mut |writer| {
            while arrivals.write(sender, media, writer) {}
            more = arrivals.due_at().is_some() && writer.len() > 0;
        });
    }
}

/// The timestamp that a packet captured now would have.
fn extrapolated(latest: &Latest, now: Instant) -> u32 {
    let passed = now.saturating_duration_since(latest.captured);
    let ticks = passed.as_nanos() * u128::from(latest.clock_rate) / 1_000_000_000;
    latest.timestamp.wrapping_add(ticks as u32)
}
