//! Negotiated sessions built by hand, as negotiation would have made them from two descriptions.

use std::sync::Arc;

use negotiation::{
    Codec, CodecFormat, DtlsRole, Extension, Feedback, Fingerprint, IceCredentials, Layer, MediaKind,
    NegotiatedSession, Receive, Sctp, Section, Send,
};

/// Opus under a payload type.
pub fn opus(payload_type: u8) -> Codec {
    let feedback = Feedback {
        transport_cc: true,
        ..Feedback::default()
    };
    Codec {
        payload_type,
        rtx: None,
        format: CodecFormat::Opus { inband_fec: true },
        clock_rate: 48_000,
        feedback,
    }
}

/// RED around an Opus payload type.
pub fn red(payload_type: u8, of: u8) -> Codec {
    Codec {
        format: CodecFormat::Red { of },
        ..opus(payload_type)
    }
}

/// VP8 under a payload type, with retransmissions under another or on the stream itself.
pub fn vp8(payload_type: u8, rtx: Option<u8>) -> Codec {
    let feedback = Feedback {
        nack: true,
        pli: true,
        fir: true,
        transport_cc: true,
    };
    Codec {
        payload_type,
        rtx,
        format: CodecFormat::Vp8,
        clock_rate: 90_000,
        feedback,
    }
}

/// Builds the sessions of one peer connection, each from the one before.
#[derive(Debug, Clone)]
pub struct SessionBuilder {
    session: NegotiatedSession,
    name: String,
    ice_generation: u32,
}

impl SessionBuilder {
    /// An empty session of a client of this name; `dtls_role` is that of the server.
    pub fn new(name: &str, client_fingerprint: Fingerprint, dtls_role: DtlsRole) -> Self {
        let mut builder = Self {
            session: NegotiatedSession {
                number: 0,
                local_ice: IceCredentials {
                    ufrag: String::new(),
                    pwd: String::new(),
                },
                remote_ice: IceCredentials {
                    ufrag: String::new(),
                    pwd: String::new(),
                },
                remote_fingerprint: client_fingerprint,
                dtls_role,
                sctp: None,
                sections: Vec::new(),
            },
            name: name.to_owned(),
            ice_generation: 0,
        };
        builder.restart_ice();
        builder
    }

    /// New ICE credentials on both sides.
    pub fn restart_ice(&mut self) -> &mut Self {
        self.ice_generation += 1;
        let credentials = |side: &str| IceCredentials {
            ufrag: format!("{side}{}{}", self.name, self.ice_generation),
            pwd: format!("password-of-{side}-{}-{}-long", self.name, self.ice_generation),
        };
        let (local, remote) = (credentials("s"), credentials("c"));
        self.session.local_ice = local;
        self.session.remote_ice = remote;
        self
    }

    /// Agrees on data channels.
    pub fn data(&mut self) -> &mut Self {
        self.session.sctp = Some(Sctp {
            mid: "data".into(),
            max_message_size: 262_144,
        });
        self
    }

    /// Adds or replaces a section without media.
    pub fn section(&mut self, mid: &str, kind: MediaKind, codecs: Vec<Codec>) -> &mut Self {
        let mut extensions = vec![(3, Extension::TransportWideCc), (4, Extension::Mid)];
        extensions.push(match kind {
            MediaKind::Audio => (1, Extension::AudioLevel),
            MediaKind::Video => (13, Extension::VideoOrientation),
        });
        let section = Section {
            mid: mid.into(),
            kind,
            codecs,
            extensions,
            receive: None,
            send: None,
        };
        match self.session.sections.iter_mut().find(|section| section.mid == mid) {
            Some(old) => *old = section,
            None => self.session.sections.push(section),
        }
        self
    }

    /// What the client sends on a section.
    pub fn receive(&mut self, mid: &str, track_id: &str, layers: &[Layer]) -> &mut Self {
        self.at(mid).receive = Some(Receive {
            track_id: track_id.into(),
            layers: layers.to_vec(),
        });
        self
    }

    /// What the client is sent on a section.
    pub fn send(&mut self, mid: &str, track_id: &str, layer: Layer) -> &mut Self {
        let (track_id, stream_id, cname) = (Arc::from(track_id), Arc::from("stream"), Arc::from("cname"));
        self.at(mid).send = Some(Send {
            track_id,
            stream_id,
            cname,
            layer,
        });
        self
    }

    /// Ends a direction, or both, of a section.
    pub fn stop(&mut self, mid: &str, receive: bool, send: bool) -> &mut Self {
        let section = self.at(mid);
        if receive {
            section.receive = None;
        }
        if send {
            section.send = None;
        }
        self
    }

    /// The session as it is now, with the next number.
    pub fn build(&mut self) -> Arc<NegotiatedSession> {
        self.session.number += 1;
        Arc::new(self.session.clone())
    }

    fn at(&mut self, mid: &str) -> &mut Section {
        let found = self.session.sections.iter_mut().find(|section| section.mid == mid);
        #[expect(clippy::panic, reason = "a test that names a section it did not add must stop here")]
        found.unwrap_or_else(|| panic!("no section {mid}"))
    }
}
