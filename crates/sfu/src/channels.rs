//! Data channels of one transport: those its client opened, and those we opened for routes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::engine::{ChannelHandle, Delivery, Engine, Reliability, Written};
use crate::limits;

/// A message on its way to one or more subscribers.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) binary: bool,
    pub(crate) bytes: Arc<[u8]>,
}

/// What a channel that opened is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Ours, for this route id.
    Ours,
    /// The client's, under this label.
    Theirs(Arc<str>),
    /// The client's, over the bound or a second one of that label: to be closed.
    Refused,
    /// As [`Opened::Refused`], and once too often.
    Abused,
}

/// The channels of one transport.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// What the client opened, by label.
    sources: HashMap<Arc<str>, Reliability>,
    /// What we opened, by route id.
    outs: HashMap<Arc<str>, Out>,
    by_handle: HashMap<ChannelHandle, Role>,
    refused: usize,
}

#[derive(Debug)]
struct Out {
    channel: ChannelHandle,
    reliable: bool,
    open: bool,
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
}

#[derive(Debug, Clone)]
enum Role {
    Source(Arc<str>),
    Out(Arc<str>),
}

impl Channels {
    /// A channel is open.
    pub(crate) fn opened(&mut self, channel: ChannelHandle, label: &str, reliability: Reliability) -> Opened {
        if let Some(Role::Out(id)) = self.by_handle.get(&channel) {
            if let Some(out) = self.outs.get_mut(id) {
                out.open = true;
            }
            return Opened::Ours;
        }
        if self.sources.len() >= limits::CHANNELS_PER_TRANSPORT_MAX || self.sources.contains_key(label) {
            self.refused += 1;
            return match self.refused {
                0..=limits::CHANNELS_REFUSED_MAX => Opened::Refused,
                _ => Opened::Abused,
            };
        }
        let label: Arc<str> = label.into();
        self.sources.insert(label.clone(), reliability);
        self.by_handle.insert(channel, Role::Source(label.clone()));
        Opened::Theirs(label)
    }

    /// A channel is gone; returns the label if it was the client's.
    pub(crate) fn closed(&mut self, channel: ChannelHandle) -> Option<Arc<str>> {
        match self.by_handle.remove(&channel)? {
            Role::Source(label) => {
                self.sources.remove(&label);
                Some(label)
            }
            Role::Out(id) => {
                self.outs.remove(&id);
                None
            }
        }
    }

    /// The label of a channel that the client opened.
    pub(crate) fn label(&self, channel: ChannelHandle) -> Option<Arc<str>> {
        match self.by_handle.get(&channel)? {
            Role::Source(label) => Some(label.clone()),
            Role::Out(_) => None,
        }
    }

    /// The reliability of a channel that the client opened.
    pub(crate) fn source(&self, label: &str) -> Option<&Reliability> {
        self.sources.get(label)
    }

    /// Whether we opened a channel for this route id.
    pub(crate) fn has_out(&self, id: &str) -> bool {
        self.outs.contains_key(id)
    }

    /// Route ids for which we opened channels.
    pub(crate) fn out_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.outs.keys()
    }

    /// Opens a channel for a route.
    pub(crate) fn open(&mut self, engine: &mut impl Engine, id: &Arc<str>, reliability: &Reliability) {
        let channel = engine.open_channel(id, reliability.clone());
        let reliable = reliability.limit == Delivery::Reliable;
        let out = Out {
            channel,
            reliable,
            open: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        self.outs.insert(id.clone(), out);
        self.by_handle.insert(channel, Role::Out(id.clone()));
    }

    /// Closes the channel of a route.
    pub(crate) fn close(&mut self, engine: &mut impl Engine, id: &str) {
        if let Some(out) = self.outs.remove(id) {
            self.by_handle.remove(&out.channel);
            engine.close_channel(out.channel);
        }
    }

    /// Sends a message on the channel of a route; false if it was dropped.
    pub(crate) fn write(&mut self, engine: &mut impl Engine, id: &str, message: &Message) -> bool {
        let Some(out) = self.outs.get_mut(id) else { return false };
        if out.open && out.waiting.is_empty() {
            match engine.write_channel(out.channel, message.binary, &message.bytes) {
                Written::Accepted => return true,
                Written::Closed => return false,
                Written::Full if !out.reliable => return false,
                Written::Full => {}
            }
        }
        if out.waiting_bytes + message.bytes.len() <= limits::CHANNEL_BUFFER_BYTES_MAX {
            out.waiting_bytes += message.bytes.len();
            out.waiting.push_back(message.clone());
            return true;
        }
        if out.reliable {
            tracing::info!(id, "closed a reliable data channel whose receiver does not keep up");
            self.close(engine, id);
        }
        false
    }

    /// Sends what waited for the channel to open or to drain.
    pub(crate) fn drain(&mut self, engine: &mut impl Engine, channel: ChannelHandle) {
        let Some(Role::Out(id)) = self.by_handle.get(&channel) else {
            return;
        };
        let Some(out) = self.outs.get_mut(id).filter(|out| out.open) else {
            return;
        };
        while let Some(message) = out.waiting.front() {
            if engine.write_channel(out.channel, message.binary, &message.bytes) == Written::Full {
                return;
            }
            out.waiting_bytes -= message.bytes.len();
            out.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use negotiation::NegotiatedSession;

    use super::*;
    use crate::engine::{Bindings, EngineError, Polled, Received, RecvHandle, SendHandle, SendPacket, Sent};

    /// An engine whose client takes nothing while it is `full`.
    #[derive(Default)]
    struct Client {
        full: bool,
        opened: u32,
        taken: Vec<usize>,
        closed: Vec<ChannelHandle>,
    }

    impl Engine for Client {
        fn apply(&mut self, _: &Arc<NegotiatedSession>, _: Instant) -> Result<Bindings, EngineError> {
            Ok(Bindings::default())
        }

        fn start(&mut self, _: Instant) -> Result<(), EngineError> {
            Ok(())
        }

        fn receive(&mut self, _: &[u8], _: Instant) -> Result<Received, EngineError> {
            Ok(Received::Taken)
        }

        fn handle_timeout(&mut self, _: Instant) -> Result<(), EngineError> {
            Ok(())
        }

        fn poll(&mut self) -> Result<Polled, EngineError> {
            Err(EngineError::Failed("nobody polls it".into()))
        }

        fn send(&mut self, _: SendHandle, _: &SendPacket, _: Instant, _: &mut [u8]) -> Sent {
            Sent::Refused
        }

        fn wants_run(&self) -> bool {
            true
        }

        fn request_keyframe(&mut self, _: RecvHandle) {}

        fn open_channel(&mut self, _: &str, _: Reliability) -> ChannelHandle {
            self.opened += 1;
            ChannelHandle(self.opened)
        }

        fn write_channel(&mut self, _: ChannelHandle, _: bool, message: &[u8]) -> Written {
            if self.full {
                return Written::Full;
            }
            self.taken.push(message.len());
            Written::Accepted
        }

        fn close_channel(&mut self, channel: ChannelHandle) {
            self.closed.push(channel);
        }

        fn close(&mut self, _: Instant) -> Result<(), EngineError> {
            Ok(())
        }
    }

    fn reliability(limit: Delivery) -> Reliability {
        Reliability {
            ordered: true,
            limit,
            protocol: String::new(),
        }
    }

    fn message(bytes: usize) -> Message {
        Message {
            binary: true,
            bytes: vec![7; bytes].into(),
        }
    }

    /// The channel of one route, open, towards a client that takes nothing.
    fn stuck(limit: Delivery) -> (Channels, Client, Arc<str>) {
        let (mut channels, mut client) = (Channels::default(), Client::default());
        let id: Arc<str> = Arc::from("out");
        channels.open(&mut client, &id, &reliability(limit));
        assert_eq!(
            channels.opened(ChannelHandle(1), "out", reliability(limit)),
            Opened::Ours
        );
        client.full = true;
        (channels, client, id)
    }

    #[test]
    fn a_client_opens_so_many_channels_and_each_label_once() {
        let mut channels = Channels::default();
        let mut open =
            |number: u32, label: &str| channels.opened(ChannelHandle(number), label, reliability(Delivery::Reliable));
        assert!(matches!(open(0, "0"), Opened::Theirs(_)));
        assert_eq!(open(1, "0"), Opened::Refused);
        for number in 1..limits::CHANNELS_PER_TRANSPORT_MAX as u32 {
            assert!(matches!(open(number, &number.to_string()), Opened::Theirs(_)));
        }
        for number in 1..limits::CHANNELS_REFUSED_MAX as u32 {
            assert_eq!(open(10_000 + number, "one more"), Opened::Refused);
        }
        assert_eq!(open(9999, "once too often"), Opened::Abused);
    }

    #[test]
    fn a_reliable_channel_that_does_not_keep_up_waits_and_is_closed() {
        let (mut channels, mut client, id) = stuck(Delivery::Reliable);
        let fit = limits::CHANNEL_BUFFER_BYTES_MAX / limits::MESSAGE_BYTES_MAX;
        let message = message(limits::MESSAGE_BYTES_MAX);
        for _ in 0..fit {
            assert!(channels.write(&mut client, &id, &message));
        }
        assert!(client.closed.is_empty());
        assert!(!channels.write(&mut client, &id, &message));
        assert_eq!(client.closed, [ChannelHandle(1)]);
        assert!(!channels.has_out(&id));
    }

    #[test]
    fn what_waited_is_sent_in_order_when_there_is_room() {
        let (mut channels, mut client, id) = stuck(Delivery::Reliable);
        for bytes in 1..=3 {
            assert!(channels.write(&mut client, &id, &message(bytes)));
        }
        client.full = false;
        channels.drain(&mut client, ChannelHandle(1));
        assert!(channels.write(&mut client, &id, &message(4)));
        assert_eq!(client.taken, [1, 2, 3, 4]);
    }

    #[test]
    fn an_unreliable_channel_drops_and_lives() {
        let (mut channels, mut client, id) = stuck(Delivery::Retransmits(0));
        assert!(!channels.write(&mut client, &id, &message(1)));
        client.full = false;
        assert!(channels.write(&mut client, &id, &message(2)));
        assert_eq!((client.taken, client.closed.len()), (vec![2], 0));
    }
}
