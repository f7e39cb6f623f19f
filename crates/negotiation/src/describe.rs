//! Writes an agreement as a description of ours (signaling.md section 6.1).

use crate::agreement::{Agreement, DATA_FORMAT, DATA_PROTOCOL, RTP_PROTOCOL};
use crate::sdp::{Direction, MediaDescription, Msid, SessionDescription, Setup, SsrcAttribute};
use crate::sections::{Content, Line, MediaLine};
use crate::session::{DtlsRole, MediaKind, Send};
use crate::{DescriptionType, LocalParameters};

/// Port of every section that is not rejected: the addresses are in the candidates (RFC 9429
/// section 5.2.1).
const PORT: u16 = 9;
/// Largest message we take, bytes: the engine passes on no larger ones, so nothing that a client
/// may send is lost on the way to the others.
const MESSAGE_SIZE_MAX: u64 = 65_536;

/// The description of `agreement`, `version` being its `sess-version`.
pub(crate) fn describe(
    agreement: &Agreement,
    kind: DescriptionType,
    local: &LocalParameters,
    id: u64,
    version: u64,
) -> SessionDescription {
    let setup = match (kind, agreement.dtls_role) {
        (DescriptionType::Offer, _) => Setup::ActPass,
        (DescriptionType::Answer, DtlsRole::Server) => Setup::Passive,
        (DescriptionType::Answer, DtlsRole::Client) => Setup::Active,
    };
    let mut media: Vec<_> = agreement.lines.iter().map(section).collect();
    let mut bundle = Vec::new();
    for section in media.iter_mut().filter(|section| !section.is_rejected()) {
        section.ice = Some(agreement.local_ice.clone());
        section.fingerprint = Some(local.fingerprint.clone());
        section.setup = Some(setup);
        if bundle.is_empty() {
            section.candidates = local.candidates.to_vec();
        }
        bundle.extend(section.mid.clone());
    }
    SessionDescription {
        id,
        version,
        ice_lite: true,
        extmap_allow_mixed: agreement.extmap_allow_mixed,
        bundle,
        media,
    }
}

fn section(line: &Line) -> MediaDescription {
    let mut section = match &line.content {
        Content::Media(media) => media_section(media),
        Content::Data { .. } => {
            let formats = vec![DATA_FORMAT.to_owned()];
            let mut section = MediaDescription::new("application", PORT, DATA_PROTOCOL, formats);
            section.sctp_port = Some(5000);
            section.max_message_size = Some(MESSAGE_SIZE_MAX);
            section
        }
        Content::Rejected {
            media,
            protocol,
            format,
        } => {
            let mut section = MediaDescription::new(media, 0, protocol, vec![format.clone()]);
            section.direction = Direction::Inactive;
            section
        }
    };
    section.mid.clone_from(&line.mid);
    section
}

/// We receive wherever the client sends, and send wherever a track is placed, each by itself.
fn media_section(media: &MediaLine) -> MediaDescription {
    let name = match media.kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    let mut section = MediaDescription::new(name, PORT, RTP_PROTOCOL, Vec::new());
    section.direction = Direction::new(media.send.is_some(), media.client_sends);
    section.rtcp_mux = true;
    section.rtcp_rsize = media.rtcp_rsize;
    media.formats.write(&mut section);
    if let Some(send) = &media.send {
        write_send(send, &mut section);
    }
    section
}

/// Stream and track, both always: a msid of one word leaves the track unknown to the SDK.
fn write_send(send: &Send, section: &mut MediaDescription) {
    let (stream, track) = (send.stream_id.to_string(), send.track_id.to_string());
    let msid = format!("{stream} {track}");
    section.msid = Some(Msid {
        stream,
        track: Some(track),
    });
    if let Some(rtx) = send.layer.rtx {
        section.ssrc_groups.push(("FID".to_owned(), vec![send.layer.ssrc, rtx]));
    }
    for ssrc in std::iter::once(send.layer.ssrc).chain(send.layer.rtx) {
        for (name, value) in [("cname", send.cname.to_string()), ("msid", msid.clone())] {
            section.ssrcs.push(SsrcAttribute {
                ssrc,
                name: name.to_owned(),
                value,
            });
        }
    }
}
