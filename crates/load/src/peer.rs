//! A scripted peer connection: a media engine that is given the same negotiated session as the
//! server, from the other side. It does no I/O.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::{CodecFormat, DtlsRole, Extension, Fingerprint, MediaKind, NegotiatedSession};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::format::{Codec, CodecConfig, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Frequency, Mid, Pt, Rid};
use str0m::rtp::{self, ExtensionMap, Ssrc};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

/// Why there is no peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The cipher library makes no certificates.
    #[error("making a certificate")]
    Certificate,
    /// An address is no candidate.
    #[error("using {address} as a candidate")]
    Candidate {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: str0m::RtcError,
    },
    /// The engine refused to start DTLS.
    #[error("starting DTLS")]
    Dtls(#[source] str0m::RtcError),
}

/// A DTLS certificate; many peers may share one.
#[derive(Clone)]
pub struct Identity {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Identity {
    /// A new one.
    pub fn new() -> Result<Self, PeerError> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or(PeerError::Certificate)?;
        Ok(Self { crypto, certificate })
    }

    /// What descriptions name.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.crypto.sha256_provider.sha256(&self.certificate.certificate))
    }
}

/// Where a peer's datagrams go, and who answers there.
#[derive(Debug, Clone)]
pub struct Far {
    /// The server's address.
    pub address: SocketAddr,
    /// Hash of its certificate.
    pub fingerprint: Fingerprint,
}

/// A media engine with the session that it was given last.
pub struct Peer {
    rtc: Rtc,
    session: Arc<NegotiatedSession>,
    connected: bool,
    sctp_started: bool,
}

impl Peer {
    /// A peer at `local` that is about to connect as `session` says.
    pub fn new(
        identity: &Identity,
        local: SocketAddr,
        far: &Far,
        session: &Arc<NegotiatedSession>,
        now: Instant,
    ) -> Result<Self, PeerError> {
        Self::with(identity, local, far, session, now, false)
    }

    /// The same, whose engine tells of each packet as it is on the wire, too.
    pub fn observing(
        identity: &Identity,
        local: SocketAddr,
        far: &Far,
        session: &Arc<NegotiatedSession>,
        now: Instant,
    ) -> Result<Self, PeerError> {
        Self::with(identity, local, far, session, now, true)
    }

    fn with(
        identity: &Identity,
        local: SocketAddr,
        far: &Far,
        session: &Arc<NegotiatedSession>,
        now: Instant,
        observing: bool,
    ) -> Result<Self, PeerError> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(identity.crypto.clone())
            .set_dtls_cert(identity.certificate.clone())
            .set_dtls_version(DtlsVersion::Dtls12)
            .set_local_ice_credentials(creds(&session.remote_ice))
            .set_rtp_mode(true)
            .enable_raw_packets(observing)
            .set_extension_map(extension_map(session))
            .set_rtcp_report_interval_audio(Duration::from_millis(500))
            .set_rtcp_report_interval_video(Duration::from_millis(500));
        *config.codec_config() = CodecConfig::new_from_payload_params(payload_params(session));
        let mut rtc = config.build(now);
        rtc.add_local_candidate(candidate(local)?);
        rtc.add_remote_candidate(candidate(far.address)?);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(creds(&session.local_ice));
        api.set_remote_fingerprint(str0m::config::Fingerprint {
            hash_func: "sha-256".into(),
            bytes: far.fingerprint.0.to_vec(),
        });
        api.enable_twcc_feedback();
        api.start_dtls(session.dtls_role == DtlsRole::Server)
            .map_err(PeerError::Dtls)?;
        let mut peer = Self {
            rtc,
            session: session.clone(),
            connected: false,
            sctp_started: false,
        };
        peer.update(&BTreeSet::new());
        Ok(peer)
    }

    /// The engine: fed with datagrams and time, and polled.
    pub fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    /// The session that it has.
    pub fn session(&self) -> &Arc<NegotiatedSession> {
        &self.session
    }

    /// DTLS is up.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Takes a later session of the same peer connection.
    pub fn apply(&mut self, session: &Arc<NegotiatedSession>) {
        if session.remote_ice != self.session.remote_ice {
            let mut api = self.rtc.direct_api();
            api.set_local_ice_credentials(creds(&session.remote_ice));
            api.set_remote_ice_credentials(creds(&session.local_ice));
        }
        let before = streams(&self.session);
        for (ssrc, sends, _) in before.difference(&streams(session)) {
            match sends {
                true => self.rtc.direct_api().remove_stream_tx(Ssrc::from(*ssrc)),
                false => self.rtc.direct_api().remove_stream_rx(Ssrc::from(*ssrc)),
            };
        }
        self.session = session.clone();
        self.update(&before);
    }

    /// To be called when the engine says that DTLS is up.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.start_sctp();
    }

    /// The SSRC of a stream that it sends, as the engine names it.
    pub fn ssrc_sent(&mut self, mid: Mid, rid: Option<Rid>) -> Option<u32> {
        Some(*self.rtc.direct_api().stream_tx_by_mid(mid, rid)?.ssrc())
    }

    /// Whether it sends on this stream.
    pub fn sends(&self, ssrc: u32) -> bool {
        let mut sections = self.session.sections.iter();
        sections.any(|section| {
            section
                .receive
                .iter()
                .any(|receive| receive.layers.iter().any(|layer| layer.ssrc == ssrc))
        })
    }

    /// Whether it is sent this stream, retransmissions apart.
    pub(crate) fn hears(&self, ssrc: u32) -> bool {
        let mut sent = self.session.sections.iter().filter_map(|section| section.send.as_ref());
        sent.any(|send| send.layer.ssrc == ssrc)
    }

    /// Declares what the session has and `before` had not.
    fn update(&mut self, before: &BTreeSet<(u32, bool, String)>) {
        let session = self.session.clone();
        for section in &session.sections {
            let mid = Mid::from(section.mid.as_str());
            let kind = match section.kind {
                MediaKind::Audio => str0m::media::MediaKind::Audio,
                MediaKind::Video => str0m::media::MediaKind::Video,
            };
            if self.rtc.media(mid).is_none() {
                self.rtc.direct_api().declare_media(mid, kind);
            }
            let added = |ssrc: u32, sends: bool| !before.contains(&(ssrc, sends, section.mid.clone()));
            let layers = section.receive.iter().flat_map(|receive| &receive.layers);
            for (index, layer) in layers.enumerate().filter(|(_, layer)| added(layer.ssrc, true)) {
                // str0m finds streams to send on by mid and rid; no rid is written without its extension.
                let rid = Rid::from(format!("r{index}").as_str());
                let mut api = self.rtc.direct_api();
                api.declare_stream_tx(Ssrc::from(layer.ssrc), layer.rtx.map(Ssrc::from), mid, Some(rid));
            }
            if let Some(send) = section.send.as_ref().filter(|send| added(send.layer.ssrc, false)) {
                let mut api = self.rtc.direct_api();
                api.expect_stream_rx(Ssrc::from(send.layer.ssrc), send.layer.rtx.map(Ssrc::from), mid, None);
            }
        }
        self.start_sctp();
    }

    fn start_sctp(&mut self) {
        if self.connected && self.session.sctp.is_some() && !self.sctp_started {
            self.sctp_started = true;
            self.rtc
                .direct_api()
                .start_sctp(self.session.dtls_role == DtlsRole::Server);
        }
    }
}

fn candidate(address: SocketAddr) -> Result<Candidate, PeerError> {
    Candidate::host(address, "udp").map_err(|source| PeerError::Candidate {
        address,
        source: source.into(),
    })
}

/// SSRC, whether the client sends it, and where.
fn streams(session: &NegotiatedSession) -> BTreeSet<(u32, bool, String)> {
    let mut streams = BTreeSet::new();
    for section in &session.sections {
        for layer in section.receive.iter().flat_map(|receive| &receive.layers) {
            streams.insert((layer.ssrc, true, section.mid.clone()));
        }
        if let Some(send) = &section.send {
            streams.insert((send.layer.ssrc, false, section.mid.clone()));
        }
    }
    streams
}

fn creds(credentials: &negotiation::IceCredentials) -> IceCreds {
    IceCreds {
        ufrag: credentials.ufrag.clone(),
        pass: credentials.pwd.clone(),
    }
}

fn extension_map(session: &NegotiatedSession) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    for (id, extension) in session.sections.iter().flat_map(|section| &section.extensions) {
        let extension = match extension {
            Extension::AudioLevel => rtp::Extension::AudioLevel,
            Extension::AbsSendTime => rtp::Extension::AbsoluteSendTime,
            Extension::TransportWideCc => rtp::Extension::TransportSequenceNumber,
            Extension::Mid => rtp::Extension::RtpMid,
            Extension::VideoOrientation => rtp::Extension::VideoOrientation,
            Extension::PlayoutDelay => rtp::Extension::PlayoutDelay,
        };
        map.set(*id, extension);
    }
    map
}

fn payload_params(session: &NegotiatedSession) -> Vec<PayloadParams> {
    let codecs = session.sections.iter().flat_map(|section| &section.codecs);
    let params = codecs.map(|codec| {
        let audio = matches!(codec.format, CodecFormat::Opus { .. } | CodecFormat::Red { .. });
        let spec = CodecSpec {
            codec: if audio { Codec::Opus } else { Codec::Vp8 },
            clock_rate: if audio {
                Frequency::FORTY_EIGHT_KHZ
            } else {
                Frequency::NINETY_KHZ
            },
            channels: audio.then_some(2),
            format: FormatParams::default(),
        };
        PayloadParams::new(Pt::from(codec.payload_type), codec.rtx.map(Pt::from), spec)
    });
    let mut seen = BTreeSet::new();
    params.filter(|param| seen.insert(*param.pt())).collect()
}
