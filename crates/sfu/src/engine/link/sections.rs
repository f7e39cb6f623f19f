//! The sections of a session, and which streams they have: a later session is compared with the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use negotiation::{Layer, MediaKind, NegotiatedSession, Section};

use super::super::{Bindings, ReceiveBinding, RecvHandle, SendBinding, SendHandle};
use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::limits;

/// SSRCs of ours that a session gave up, and those that it began to use.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    pub(super) given_up: Vec<u32>,
    pub(super) begun: Vec<u32>,
}

/// By mid.
#[derive(Debug, Default)]
pub(super) struct Sections(BTreeMap<String, State>);

/// A section as it is now.
#[derive(Debug)]
struct State {
    kind: MediaKind,
    receive: Option<ReceiveState>,
    send: Option<(Layer, SendHandle)>,
}

#[derive(Debug)]
struct ReceiveState {
    track_id: Arc<str>,
    /// `None` is a stream to be found by its mid.
    layers: Vec<(Option<Layer>, RecvHandle)>,
}

impl Sections {
    /// Takes a session; handles of streams that stay are the same as before.
    pub(super) fn apply(
        &mut self,
        session: &NegotiatedSession,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
    ) -> (Bindings, Turnover) {
        let given_up = self.remove_stale(session, inbound, outbound);
        for section in &session.sections {
            let state = self.0.entry(section.mid.clone()).or_insert_with(|| State {
                kind: section.kind,
                receive: None,
                send: None,
            });
            state.apply_receive(section, inbound);
            state.apply_send(section, outbound);
        }
        let begun = outbound.take_begun();
        (self.bindings(session), Turnover { given_up, begun })
    }

    /// Removes what the session does not have any more, first, so that an SSRC may move between sections.
    fn remove_stale(
        &mut self,
        session: &NegotiatedSession,
        inbound: &mut Inbound,
        outbound: &mut Outbound,
    ) -> Vec<u32> {
        let mut given_up = Vec::new();
        let sections: BTreeMap<&str, &Section> = session.sections.iter().map(|s| (&*s.mid, s)).collect();
        let mut forget = |receive: Option<ReceiveState>, send: Option<(Layer, SendHandle)>| {
            for (_, handle) in receive.into_iter().flat_map(|receive| receive.layers) {
                inbound.remove(handle);
            }
            if let Some((layer, handle)) = send {
                outbound.remove(handle);
                given_up.extend(std::iter::once(layer.ssrc).chain(layer.rtx));
            }
        };
        self.0.retain(|mid, state| {
            let Some(section) = sections.get(&**mid).filter(|section| section.kind == state.kind) else {
                forget(state.receive.take(), state.send.take());
                return false;
            };
            let receive = state.receive.take_if(|receive| !receive.matches(section));
            // A send side that only pauses is parked: if the same SSRC comes back it goes on.
            let another =
                |(layer, _): &mut (Layer, SendHandle)| section.send.as_ref().is_some_and(|send| send.layer != *layer);
            let send = state.send.take_if(another);
            forget(receive, send);
            true
        });
        given_up
    }

    fn bindings(&self, session: &NegotiatedSession) -> Bindings {
        let mut bindings = Bindings::default();
        for section in &session.sections {
            let Some(state) = self.0.get(&section.mid) else {
                continue;
            };
            if let (Some(receive), Some(_)) = (&state.receive, &section.receive) {
                bindings.receives.push(ReceiveBinding {
                    track_id: receive.track_id.clone(),
                    kind: section.kind,
                    layers: receive.layers.iter().map(|(_, handle)| *handle).collect(),
                    codecs: section.codecs.clone(),
                });
            }
            match (&state.send, &section.send) {
                (Some((_, stream)), None) => bindings.paused.push(*stream),
                (Some((_, stream)), Some(send)) => bindings.sends.push(SendBinding {
                    track_id: send.track_id.clone(),
                    kind: section.kind,
                    stream: *stream,
                    codecs: section.codecs.clone(),
                }),
                (None, _) => {}
            }
        }
        bindings
    }
}

impl State {
    fn apply_receive(&mut self, section: &Section, inbound: &mut Inbound) {
        let Some(receive) = &section.receive else { return };
        if let Some(state) = &self.receive {
            for (_, handle) in &state.layers {
                inbound.update(*handle, section);
            }
            return;
        }
        let declared = receive.layers.iter().take(limits::LAYERS_MAX).map(|layer| Some(*layer));
        // Without SSRCs one stream is expected, to be found by its mid.
        let undeclared = receive.layers.is_empty().then_some(None);
        let layers = declared
            .chain(undeclared)
            .filter_map(|layer| Some((layer, inbound.add(section, layer)?)));
        self.receive = Some(ReceiveState {
            track_id: receive.track_id.as_str().into(),
            layers: layers.collect(),
        });
    }

    fn apply_send(&mut self, section: &Section, outbound: &mut Outbound) {
        let Some(send) = &section.send else { return };
        match self.send {
            Some((_, handle)) => outbound.update(handle, section),
            None => self.send = outbound.add(section, send).map(|handle| (send.layer, handle)),
        }
    }
}

impl ReceiveState {
    /// Whether the section still means the same streams.
    fn matches(&self, section: &Section) -> bool {
        let Some(receive) = &section.receive else { return false };
        let wanted = receive.layers.iter().take(limits::LAYERS_MAX);
        *self.track_id == *receive.track_id
            && self.layers.iter().filter_map(|(layer, _)| layer.as_ref()).eq(wanted)
            && receive.layers.is_empty() == self.layers.iter().all(|(layer, _)| layer.is_none())
    }
}
