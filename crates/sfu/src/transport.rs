//! One client's transport as the plane holds it, and its engine behind a wall that stops panics.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{MediaKind, NegotiatedSession};
use rustc_hash::FxHashMap;

use crate::channels::Channels;
use crate::clock::PublisherClock;
use crate::codec::PayloadMap;
use crate::engine::{Engine, EngineError, RecvHandle, SendBinding, SendHandle};
use crate::forwarder::Forwarder;
use crate::ice::IceLite;
use crate::keyframe::KeyframeBudget;
use crate::limits;
use crate::loudest::Standing;
use crate::track::TrackKey;
use crate::wheel::Timer;
use crate::wire::Kind;
use crate::{Route, TransportId};

/// An engine whose panics end its transport and nothing else.
pub(crate) struct Guarded<E> {
    engine: E,
    failed: bool,
}

impl<E: Engine> Guarded<E> {
    pub(crate) fn new(engine: E) -> Self {
        Self { engine, failed: false }
    }

    /// Reads what a call of [`Engine::send`] will read; it is of no use for anything else.
    pub(crate) fn touch(&self, stream: SendHandle) -> u64 {
        self.engine.touch(stream) ^ u64::from(self.failed)
    }

    /// Calls the engine. After a failure it is not called again: its state may be torn.
    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut E) -> Result<R, EngineError>) -> Result<R, EngineError> {
        if self.failed {
            return Err(EngineError::Failed("it failed before".into()));
        }
        let result = guard(|| call(&mut self.engine));
        self.failed = result.is_err();
        result
    }
}

/// Turns a panic into an error.
pub(crate) fn guard<R>(call: impl FnOnce() -> Result<R, EngineError>) -> Result<R, EngineError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or(panic.downcast_ref::<String>().map(String::as_str));
        Err(EngineError::Failed(format!(
            "panic: {}",
            message.unwrap_or("without a message")
        )))
    })
}

/// How far a transport is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No valid check yet.
    Waiting,
    /// Checks arrive, DTLS is not up.
    Handshaking {
        since: Instant,
    },
    Connected,
    /// It was connected; checks stopped.
    Interrupted,
}

/// A transport.
pub(crate) struct Transport<E> {
    pub(crate) engine: Guarded<E>,
    pub(crate) ice: IceLite,
    pub(crate) session: Arc<NegotiatedSession>,
    pub(crate) phase: Phase,
    pub(crate) made: Instant,
    /// Publisher side.
    pub(crate) receives: FxHashMap<RecvHandle, (TrackKey, usize)>,
    pub(crate) tracks: HashMap<Arc<str>, TrackKey>,
    pub(crate) clock: PublisherClock,
    /// Subscriber side.
    pub(crate) sends: FxHashMap<SendHandle, SendSlot>,
    pub(crate) send_ids: HashMap<Arc<str>, SendHandle>,
    pub(crate) routes: HashMap<TransportId, Vec<Route>>,
    pub(crate) channels: Channels,
    /// When the engine wants to be called, and its timer, never later.
    pub(crate) deadline: Option<Instant>,
    pub(crate) timer: Option<Timer>,
    /// When anything came from it last.
    pub(crate) last_heard: Option<Instant>,
    /// Payload types of sound, a bit each.
    pub(crate) sound: u128,
    /// What it may still send in this tick.
    pub(crate) allowance: Allowance,
    /// DTLS datagrams of it that wait.
    pub(crate) waiting_handshakes: usize,
    /// Something was sent through it in this turn.
    pub(crate) dirty: bool,
    /// Some sound is not sent to it.
    pub(crate) has_quiet: bool,
}

/// The payload types of sound in a session, a bit each. They mean the same in all sections.
pub(crate) fn sound(session: &NegotiatedSession) -> u128 {
    let sections = session
        .sections
        .iter()
        .filter(|section| section.kind == MediaKind::Audio);
    let codecs = sections.flat_map(|section| &section.codecs);
    codecs.fold(0, |sound, codec| sound | 1 << (codec.payload_type & 0x7f))
}

/// How much of a client is read in a tick: a flood is dropped before it costs a decryption.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    datagrams: u32,
    rtcp_bytes: usize,
}

impl Allowance {
    /// Whether this datagram is within what the client may send.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> bool {
        self.datagrams = self.datagrams.saturating_add(1);
        if Kind::of(datagram) == Some(Kind::Rtcp) {
            self.rtcp_bytes = self.rtcp_bytes.saturating_add(datagram.len());
        }
        self.datagrams <= limits::DATAGRAMS_PER_TICK && self.rtcp_bytes <= limits::RTCP_BYTES_PER_TICK
    }
}

/// A stream towards a subscriber.
pub(crate) struct SendSlot {
    pub(crate) binding: SendBinding,
    pub(crate) forwarder: Forwarder,
    pub(crate) source: Option<(TransportId, TrackKey)>,
    pub(crate) map: PayloadMap,
    pub(crate) keyframes: KeyframeBudget,
    /// Of sound.
    pub(crate) standing: Standing,
}

impl<E> Transport<E> {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Interrupted)
    }

    /// Whether a datagram of media is of sound, as its header says in the clear.
    pub(crate) fn is_sound(&self, datagram: &[u8]) -> bool {
        datagram
            .get(1)
            .is_some_and(|byte| self.sound & (1 << (byte & 0x7f)) != 0)
    }

    /// Whether nothing at all came from it for so long that what was sent to it meanwhile was lost, too. Checks alone do
    /// not tell: those of a client that sends media may be lost.
    pub(crate) fn was_dark(&self, now: Instant) -> bool {
        self.is_silent_for(limits::CHECK_GAP, now)
    }

    /// Whether nothing at all came from it for longer than this.
    pub(crate) fn is_silent_for(&self, time: Duration, now: Instant) -> bool {
        let last = self.ice.last_check().max(self.last_heard);
        last.is_none_or(|at| now.saturating_duration_since(at) > time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_and_rtcp_sooner() {
        let media = [0x80, 96, 0, 0];
        let mut allowance = Allowance::default();
        let taken = (0..10 * limits::DATAGRAMS_PER_TICK)
            .filter(|_| allowance.take(&media))
            .count();
        assert_eq!(taken, limits::DATAGRAMS_PER_TICK as usize);
        let mut report = vec![0; 1000];
        report[..2].copy_from_slice(&[0x80, 205]);
        let mut allowance = Allowance::default();
        let taken = (0..1000).filter(|_| allowance.take(&report)).count();
        assert_eq!(taken, limits::RTCP_BYTES_PER_TICK / report.len());
        assert!(
            !Allowance {
                rtcp_bytes: usize::MAX,
                ..allowance
            }
            .take(&media)
        );
    }

    #[test]
    fn a_panic_is_an_error() {
        let result: Result<(), _> = guard(|| panic!("as {}", "documented"));
        assert!(matches!(result, Err(EngineError::Failed(message)) if message == "panic: as documented"));
    }
}
