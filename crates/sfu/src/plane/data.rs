//! Data routes: channels opened, fed and closed as their publisher's are.

use std::sync::Arc;
use std::time::Instant;

use super::Plane;
use crate::channels::{Channels, Message, Opened};
use crate::engine::{ChannelHandle, Engine, EngineError, Engines, Reliability};
use crate::transport::Transport;
use crate::{RouteMedia, TransportId, limits};

impl<E: Engines> Plane<E> {
    pub(super) fn handle_channel_open(
        &mut self,
        id: TransportId,
        channel: ChannelHandle,
        label: &str,
        reliability: Reliability,
        now: Instant,
    ) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        match transport.channels.opened(channel, label, reliability) {
            Opened::Ours => self.drain_channel(id, channel),
            Opened::Theirs(_) => {
                for listener in self.listeners.get(&id).cloned().unwrap_or_default() {
                    self.reconcile(listener, id, now);
                }
            }
            Opened::Refused => {
                tracing::debug!(label, "closed a data channel over the bound");
                self.with_engine(id, |_, engine| engine.close_channel(channel));
            }
            Opened::Abused => {
                let reason = "it opens data channels without end".to_owned();
                self.failed.push((id, EngineError::Failed(reason)));
            }
        }
    }

    pub(super) fn handle_channel_closed(&mut self, id: TransportId, channel: ChannelHandle, now: Instant) {
        let Some(transport) = self.transports.get_mut(&id) else {
            return;
        };
        if transport.channels.closed(channel).is_some() {
            for listener in self.listeners.get(&id).cloned().unwrap_or_default() {
                self.reconcile(listener, id, now);
            }
        }
    }

    /// A message of a publisher goes to all who receive its channel.
    pub(super) fn forward_message(
        &mut self,
        source: TransportId,
        channel: ChannelHandle,
        binary: bool,
        message: &[u8],
    ) {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            self.stats.dropped_messages += 1;
            return;
        }
        let Some(label) = self
            .transports
            .get(&source)
            .and_then(|transport| transport.channels.label(channel))
        else {
            return;
        };
        let message = Message {
            binary,
            bytes: Arc::from(message),
        };
        for listener in self.listeners.get(&source).cloned().unwrap_or_default() {
            for (_, id) in self
                .data_routes(listener, source)
                .into_iter()
                .filter(|(from, _)| *from == label)
            {
                let too_large = self
                    .transports
                    .get(&listener)
                    .is_some_and(|t| exceeds_client(t, message.bytes.len()));
                let sent = !too_large
                    && self
                        .with_engine(listener, |channels, engine| channels.write(engine, &id, &message))
                        .unwrap_or(false);
                match sent {
                    true => self.stats.messages_forwarded += 1,
                    false => self.stats.dropped_messages += 1,
                }
            }
        }
    }

    pub(super) fn drain_channel(&mut self, id: TransportId, channel: ChannelHandle) {
        self.with_engine(id, |channels, engine| channels.drain(engine, channel));
    }

    /// Opens and closes channels so that they are those of the routes whose sources are open.
    pub(super) fn reconcile_channels(&mut self, id: TransportId, source: TransportId) {
        let Some(transport) = self.transports.get(&id) else {
            return;
        };
        let can_open = transport.session.sctp.is_some();
        let mut missing = Vec::new();
        for (label, route_id) in self.data_routes(id, source) {
            let publisher = self.transports.get(&source);
            match publisher.and_then(|publisher| publisher.channels.source(&label)) {
                Some(reliability) if can_open && !transport.channels.has_out(&route_id) => {
                    missing.push((route_id, reliability.clone()));
                }
                _ => {}
            }
        }
        for (route_id, reliability) in missing {
            self.with_engine(id, |channels, engine| channels.open(engine, &route_id, &reliability));
        }
        self.close_stale_channels(id);
    }

    /// A source is going: its channels towards a subscriber go too.
    pub(super) fn close_channels_from(&mut self, id: TransportId, source: TransportId) {
        for (_, route_id) in self.data_routes(id, source) {
            self.with_engine(id, |channels, engine| channels.close(engine, &route_id));
        }
    }

    fn close_stale_channels(&mut self, id: TransportId) {
        let Some(transport) = self.transports.get(&id) else {
            return;
        };
        let live = |route_id: &Arc<str>| {
            transport.routes.iter().any(|(source, routes)| {
                let publisher = self.transports.get(source);
                routes.iter().any(|route| {
                    route.media == RouteMedia::Data
                        && route.id == *route_id
                        && publisher.is_some_and(|publisher| publisher.channels.source(&route.source_id).is_some())
                })
            })
        };
        let stale: Vec<Arc<str>> = transport
            .channels
            .out_ids()
            .filter(|route_id| !live(route_id))
            .cloned()
            .collect();
        for route_id in stale {
            self.with_engine(id, |channels, engine| channels.close(engine, &route_id));
        }
    }

    /// Lets the channels of a transport use its engine.
    fn with_engine<R>(&mut self, id: TransportId, call: impl FnOnce(&mut Channels, &mut E::Engine) -> R) -> Option<R> {
        let transport = self.transports.get_mut(&id)?;
        let channels = &mut transport.channels;
        let result: Result<R, EngineError> = transport.engine.call(|engine| Ok(call(channels, engine)));
        match result {
            Ok(result) => {
                self.mark_dirty(id);
                Some(result)
            }
            Err(error) => {
                self.failed.push((id, error));
                None
            }
        }
    }
}

/// Whether the client said that it takes no message of this size.
fn exceeds_client<T>(transport: &Transport<T>, bytes: usize) -> bool {
    let max = transport.session.sctp.as_ref().map_or(0, |sctp| sctp.max_message_size);
    max != 0 && bytes as u64 > max
}
