//! The client's side of descriptions: what a scripted client offers and answers, and the session
//! that both sides then have.

use std::net::SocketAddr;
use std::sync::Arc;

use negotiation::sdp::{self, Direction, MediaDescription, Msid, SessionDescription, Setup, SsrcAttribute};
use negotiation::{
    DescriptionError, DtlsRole, Fingerprint, IceCredentials, Layer, MediaKind, NegotiatedSession, Receive, Sctp,
    Section, Send,
};

use crate::peer::Far;

/// Header extensions and formats as Chromium offers them, for what is sent here.
const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
    a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n";
const VIDEO: &str = "a=mid:1\r\n\
    a=extmap:13 urn:3gpp:video-orientation\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\n";
const CHANNELS: &str = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n\
    a=max-message-size:262144\r\n";
const FEEDBACK: [&str; 4] = ["transport-cc", "ccm fir", "nack", "nack pli"];

/// A format of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// RFC 7741.
    Vp8,
    /// RFC 6184, constrained baseline, packetization mode 1.
    H264,
}

impl VideoCodec {
    /// Payload type in what we offer; its retransmissions have the next.
    fn payload_type(self) -> u8 {
        match self {
            Self::Vp8 => 96,
            Self::H264 => 102,
        }
    }

    /// As options and the REST interface write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::H264 => "H264",
        }
    }
}

/// A track that a client publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Names it in signaling and in the msid.
    pub id: String,
    /// Its streams, lowest first.
    pub layers: Vec<Layer>,
}

/// What goes into descriptions.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Of the client's certificate.
    pub fingerprint: Fingerprint,
    /// Of the client.
    pub ice: IceCredentials,
    /// The microphone, if it publishes one.
    pub audio: Option<Published>,
    /// The camera, if it publishes one.
    pub video: Option<Published>,
    /// Most wanted first.
    pub codecs: Vec<VideoCodec>,
    /// Takes what others send on its own sections too.
    pub receives: bool,
    /// Where it is, for servers that want to know; one that is ICE-lite learns it by itself.
    pub candidates: Vec<SocketAddr>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum NoSession {
    /// The server's description cannot be read.
    #[error("reading the server's description")]
    Unreadable(#[source] DescriptionError),
    /// It lacks something.
    #[error("the server's description has no {0}")]
    Lacks(&'static str),
    /// Its sections are not ours.
    #[error("the server's answer has not the sections of the offer")]
    Sections,
}

/// The client's side of one peer connection.
#[derive(Debug, Clone)]
pub struct Descriptions {
    wishes: Wishes,
    /// Offers data channels, too.
    channels: bool,
    /// The sections of our last description.
    ours: Vec<MediaDescription>,
    dtls_role: DtlsRole,
    far: Option<Far>,
    number: u64,
}

impl Descriptions {
    /// Nothing is offered yet.
    pub fn new(wishes: Wishes) -> Self {
        Self {
            wishes,
            channels: false,
            ours: Vec::new(),
            dtls_role: DtlsRole::Server,
            far: None,
            number: 0,
        }
    }

    /// Offers data channels, too.
    pub fn with_channels(mut self) -> Self {
        self.channels = true;
        self
    }

    /// The first offer: a section of each kind, but for those on which nothing would go either way.
    pub fn offer(&mut self) -> Result<String, NoSession> {
        let channels = if self.channels { CHANNELS } else { "" };
        let text = format!("v=0\r\n{AUDIO}{}{channels}", video_template(&self.wishes.codecs));
        let template = sdp::parse(&text).map_err(NoSession::Unreadable)?;
        let sections = template.media.into_iter().filter_map(|mut section| {
            let track = self.published(&section).cloned();
            section.direction = Direction::new(track.is_some(), self.wishes.receives);
            self.finish(&mut section, track.as_ref(), Setup::ActPass);
            // Janus makes a stream without a format of a section on which nothing goes, and then no offer for its subscribers.
            let is_media = section.media != "application";
            (!is_media || section.direction != Direction::Inactive).then_some(section)
        });
        self.ours = sections.collect();
        Ok(self.text())
    }

    /// Takes the answer to the offer.
    pub fn accept(&mut self, answer: &str) -> Result<Arc<NegotiatedSession>, NoSession> {
        let remote = sdp::parse(answer).map_err(NoSession::Unreadable)?;
        let mids = |media: &[MediaDescription]| media.iter().map(|media| media.mid.clone()).collect::<Vec<_>>();
        if mids(&remote.media) != mids(&self.ours) {
            return Err(NoSession::Sections);
        }
        let setup = remote.media.iter().find_map(|media| media.setup);
        self.dtls_role = match setup {
            Some(Setup::Active) => DtlsRole::Client,
            _ => DtlsRole::Server,
        };
        self.learn_far(answer, &remote)?;
        self.session(&remote)
    }

    /// Answers an offer of the server's.
    pub fn answer(&mut self, offer: &str) -> Result<(String, Arc<NegotiatedSession>), NoSession> {
        let remote = sdp::parse(offer).map_err(NoSession::Unreadable)?;
        if self.far.is_none() {
            self.learn_far(offer, &remote)?;
        }
        let setup = match self.dtls_role {
            DtlsRole::Server => Setup::Active,
            DtlsRole::Client => Setup::Passive,
        };
        let sections = remote.media.iter().map(|offered| {
            let mut section = offered.clone();
            let track = self
                .published(offered)
                .filter(|_| offered.direction.receives())
                .cloned();
            section.direction = Direction::new(track.is_some(), offered.direction.sends());
            self.finish(&mut section, track.as_ref(), setup);
            section
        });
        self.ours = sections.collect();
        let session = self.session(&remote)?;
        Ok((self.text(), session))
    }

    /// Where the server is, once it has described itself.
    pub fn far(&self) -> Option<&Far> {
        self.far.as_ref()
    }

    /// The track that we publish on a section; its mid is that of our first offer.
    fn published(&self, section: &MediaDescription) -> Option<&Published> {
        match (section.media.as_str(), section.mid.as_deref()) {
            ("audio", Some("0")) => self.wishes.audio.as_ref(),
            ("video", Some("1")) => self.wishes.video.as_ref(),
            _ => None,
        }
    }

    fn finish(&self, section: &mut MediaDescription, track: Option<&Published>, setup: Setup) {
        section.ice = Some(self.wishes.ice.clone());
        section.fingerprint = Some(self.wishes.fingerprint.clone());
        section.setup = Some(setup);
        section.candidates.clone_from(&self.wishes.candidates);
        section.msid = None;
        section.ssrcs.clear();
        section.ssrc_groups.clear();
        let Some(Published { id, layers }) = track else { return };
        section.msid = Some(Msid {
            stream: "-".into(),
            track: Some(id.clone()),
        });
        for layer in layers {
            if let Some(rtx) = layer.rtx {
                section.ssrc_groups.push(("FID".into(), vec![layer.ssrc, rtx]));
            }
            for ssrc in std::iter::once(layer.ssrc).chain(layer.rtx) {
                for (name, value) in [("cname", "scripted".to_owned()), ("msid", format!("- {id}"))] {
                    let name = name.to_owned();
                    section.ssrcs.push(SsrcAttribute { ssrc, name, value });
                }
            }
        }
        if layers.len() > 1 {
            let primaries = layers.iter().map(|layer| layer.ssrc).collect();
            section.ssrc_groups.push(("SIM".into(), primaries));
        }
    }

    fn text(&self) -> String {
        let description = SessionDescription {
            id: 1,
            version: self.number + 1,
            bundle: self.ours.iter().filter_map(|media| media.mid.clone()).collect(),
            media: self.ours.clone(),
            ..SessionDescription::default()
        };
        description.to_string()
    }

    fn learn_far(&mut self, text: &str, remote: &SessionDescription) -> Result<(), NoSession> {
        let address = candidate(text).ok_or(NoSession::Lacks("UDP candidate"))?;
        let fingerprint = remote.media.iter().find_map(|media| media.fingerprint.clone());
        let fingerprint = fingerprint.ok_or(NoSession::Lacks("fingerprint"))?;
        self.far = Some(Far { address, fingerprint });
        Ok(())
    }

    /// The session as the server has it too.
    fn session(&mut self, remote: &SessionDescription) -> Result<Arc<NegotiatedSession>, NoSession> {
        let ice = remote.media.iter().find_map(|media| media.ice.clone());
        let sctp = remote
            .media
            .iter()
            .find(|media| media.media == "application" && !media.is_rejected());
        let pairs = remote.media.iter().zip(&self.ours);
        self.number += 1;
        Ok(Arc::new(NegotiatedSession {
            number: self.number,
            local_ice: ice.ok_or(NoSession::Lacks("ICE credentials"))?,
            remote_ice: self.wishes.ice.clone(),
            remote_fingerprint: self.wishes.fingerprint.clone(),
            dtls_role: self.dtls_role,
            sctp: sctp.and_then(|media| {
                Some(Sctp {
                    mid: media.mid.clone()?,
                    max_message_size: media.max_message_size.unwrap_or_default(),
                })
            }),
            sections: pairs.filter_map(|(theirs, ours)| section(theirs, ours)).collect(),
        }))
    }
}

fn section(theirs: &MediaDescription, ours: &MediaDescription) -> Option<Section> {
    let kind = match theirs.media.as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => return None,
    };
    let (codecs, extensions) = sdp::formats(theirs);
    let sent = sdp::receive(ours).filter(|_| theirs.direction.receives());
    let heard = sdp::receive(theirs).filter(|_| ours.direction.receives());
    Some(Section {
        mid: theirs.mid.clone().filter(|_| !theirs.is_rejected())?,
        kind,
        codecs,
        extensions,
        receive: sent,
        send: heard.and_then(|Receive { track_id, layers }| {
            Some(Send {
                track_id: track_id.into(),
                stream_id: "-".into(),
                cname: "".into(),
                layer: *layers.first()?,
            })
        }),
    })
}

fn video_template(codecs: &[VideoCodec]) -> String {
    let numbers = codecs.iter().map(|codec| codec.payload_type());
    let formats: String = numbers
        .clone()
        .map(|number| format!(" {number} {}", number + 1))
        .collect();
    let mut text = format!("m=video 9 UDP/TLS/RTP/SAVPF{formats}\r\n{VIDEO}");
    for (codec, number) in codecs.iter().zip(numbers) {
        text += &format!("a=rtpmap:{number} {}/90000\r\n", codec.name());
        for feedback in FEEDBACK {
            text += &format!("a=rtcp-fb:{number} {feedback}\r\n");
        }
        if *codec == VideoCodec::H264 {
            text +=
                &format!("a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n");
        }
        let rtx = number + 1;
        text += &format!("a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={number}\r\n");
    }
    text
}

/// The first host candidate over UDP that an IPv4 socket reaches, else the first at all.
fn candidate(text: &str) -> Option<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
        match words[..] {
            [_, "1", protocol, _, ip, port, "typ", "host", ..] if protocol.eq_ignore_ascii_case("udp") => {
                Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
            }
            _ => None,
        }
    });
    let addresses: Vec<SocketAddr> = addresses.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first()).copied()
}
