//! Clients as tests and fuzz targets make them up: sessions, addresses and checks, without a network.

use std::net::SocketAddr;
#[cfg(test)]
use std::sync::Arc;

use negotiation::{
    Codec, CodecFormat, DtlsRole, Feedback, Fingerprint, IceCredentials, Layer, MediaKind, NegotiatedSession, Receive,
    Section, Send,
};

use crate::engine::{Bindings, ReceiveBinding, RecvHandle, SendBinding, SendHandle};
use crate::ice::Path;
use crate::stun::nominating_request;

/// A format on the clock of video, with the feedback that browsers agree on for it.
pub(crate) fn codec(payload_type: u8, format: CodecFormat) -> Codec {
    Codec {
        payload_type,
        rtx: None,
        format,
        clock_rate: 90_000,
        feedback: Feedback {
            nack: true,
            pli: true,
            ..Feedback::default()
        },
    }
}

/// A section of video that carries nothing yet.
pub(crate) fn video(mid: &str) -> Section {
    Section {
        mid: mid.into(),
        kind: MediaKind::Video,
        codecs: vec![codec(96, CodecFormat::Vp8)],
        extensions: Vec::new(),
        receive: None,
        send: None,
    }
}

/// What a client sends.
pub(crate) fn receive(track_id: &str, ssrcs: impl IntoIterator<Item = u32>) -> Option<Receive> {
    Some(Receive {
        track_id: track_id.into(),
        layers: ssrcs.into_iter().map(|ssrc| Layer { ssrc, rtx: None }).collect(),
    })
}

/// What a client is sent.
pub(crate) fn send(track_id: &str, ssrc: u32) -> Option<Send> {
    Some(Send {
        track_id: track_id.into(),
        stream_id: "s".into(),
        cname: "c".into(),
        layer: Layer { ssrc, rtx: None },
    })
}

/// The session of client `id`, whose checks are [`check`].
pub(crate) fn session(id: u64, number: u64, sections: Vec<Section>) -> NegotiatedSession {
    let credentials = |side: &str| IceCredentials {
        ufrag: format!("{side}{id}"),
        pwd: "password".into(),
    };
    NegotiatedSession {
        number,
        local_ice: credentials("s"),
        remote_ice: credentials("c"),
        remote_fingerprint: Fingerprint([0; 32]),
        dtls_role: DtlsRole::Server,
        sctp: None,
        sections,
    }
}

/// The same with one section, in which a client publishes `cam` and may be sent `seen`.
#[cfg(test)]
pub(crate) fn camera(id: u64, number: u64, layers: impl IntoIterator<Item = u32>, seen: u32) -> Arc<NegotiatedSession> {
    let section = Section {
        receive: receive("cam", layers),
        send: send("seen", seen),
        ..video("0")
    };
    Arc::new(session(id, number, vec![section]))
}

/// Where client `id` is.
pub(crate) fn path(id: u64) -> Path {
    Path {
        remote: SocketAddr::from(([192, 0, 2, 1], 1000 + id as u16)),
        local: None,
    }
}

/// A check of client `id` that nominates its address.
pub(crate) fn check(id: u64) -> Vec<u8> {
    nominating_request(&format!("s{id}:c{id}"), "password", [1; 12])
}

/// What an engine makes of a session: each stream's handle is its SSRC.
pub(crate) fn bindings(session: &NegotiatedSession) -> Bindings {
    let mut bindings = Bindings::default();
    for section in &session.sections {
        bindings
            .receives
            .extend(section.receive.iter().map(|receive| ReceiveBinding {
                track_id: receive.track_id.as_str().into(),
                kind: section.kind,
                layers: receive.layers.iter().map(|layer| RecvHandle(layer.ssrc)).collect(),
                codecs: section.codecs.clone(),
            }));
        bindings.sends.extend(section.send.iter().map(|send| SendBinding {
            track_id: send.track_id.clone(),
            kind: section.kind,
            stream: SendHandle(send.layer.ssrc),
            codecs: section.codecs.clone(),
        }));
    }
    bindings
}
