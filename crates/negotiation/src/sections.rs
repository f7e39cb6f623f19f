//! The m= lines of a peer connection, and which track each of them sends next.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::DesiredTrack;
use crate::codecs::MediaFormats;
use crate::session::{MediaKind, Receive, Section, Send};
use crate::ssrcs::Ssrcs;

/// One m= line. Lines are never removed, a later description may give one a new meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `None` only if rejected.
    pub(crate) mid: Option<String>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Media(MediaLine),
    /// The data-channel association, with the largest message the client takes, bytes.
    Data {
        max_message_size: u64,
    },
    /// Given up by either side: what the m= line says stays.
    Rejected {
        media: String,
        protocol: String,
        format: String,
    },
}

/// A line of audio or video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaLine {
    pub(crate) kind: MediaKind,
    pub(crate) formats: MediaFormats,
    /// Reduced-size RTCP (RFC 5506).
    pub(crate) rtcp_rsize: bool,
    /// The client's direction lets us send here.
    pub(crate) client_receives: bool,
    /// The client's direction says that it sends here, be it a named track or not.
    pub(crate) client_sends: bool,
    pub(crate) receive: Option<Receive>,
    pub(crate) send: Option<Send>,
}

impl Line {
    pub(crate) fn media(&self) -> Option<&MediaLine> {
        match &self.content {
            Content::Media(media) => Some(media),
            _ => None,
        }
    }

    pub(crate) fn media_mut(&mut self) -> Option<&mut MediaLine> {
        match &mut self.content {
            Content::Media(media) => Some(media),
            _ => None,
        }
    }

    pub(crate) fn is_rejected(&self) -> bool {
        matches!(self.content, Content::Rejected { .. })
    }

    /// The line as media engines see it.
    pub(crate) fn section(&self) -> Option<Section> {
        let media = self.media()?;
        Some(Section {
            mid: self.mid.clone()?,
            kind: media.kind,
            codecs: media
                .formats
                .payloads
                .iter()
                .map(|payload| payload.codec.clone())
                .collect(),
            extensions: media.formats.extensions.clone(),
            receive: media.receive.clone(),
            send: media.send.clone(),
        })
    }

    /// Every SSRC in use on the line, either way.
    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = u32> {
        let media = self.media();
        let received = media.and_then(|media| media.receive.as_ref()).into_iter();
        let received = received.flat_map(|receive| receive.layers.iter());
        let sent = media.and_then(|media| media.send.as_ref()).map(|send| &send.layer);
        received
            .chain(sent)
            .flat_map(|layer| std::iter::once(layer.ssrc).chain(layer.rtx))
    }
}

impl MediaLine {
    /// A line that we add.
    pub(crate) fn ours(kind: MediaKind, formats: MediaFormats) -> Self {
        Self {
            kind,
            formats,
            rtcp_rsize: true,
            client_receives: true,
            client_sends: false,
            receive: None,
            send: None,
        }
    }

    fn can_send(&self, kind: MediaKind) -> bool {
        self.kind == kind && self.client_receives && !self.formats.payloads.is_empty()
    }
}

/// What has to change for every desired track to be sent.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Placement {
    /// Lines whose track is no longer wanted. They fall silent in this exchange and can take
    /// another track in a later one: browsers tell of a track only when a section starts to send
    /// (signaling.md section 6.2).
    pub(crate) freed: Vec<usize>,
    /// Tracks for lines that were silent.
    pub(crate) placed: Vec<(usize, DesiredTrack)>,
    /// Tracks that need a line of their own, oldest first; those that fit into freed lines later
    /// are not among them, so there are never more lines of a kind than there were tracks at once.
    pub(crate) added: Vec<DesiredTrack>,
}

impl Placement {
    /// Compares what the lines send with what is desired; `refused` tracks are left out, and lines whose `ssrcs` are used
    /// up take no other.
    pub(crate) fn of(lines: &[Line], desired: &[DesiredTrack], refused: &BTreeSet<Arc<str>>, ssrcs: &Ssrcs) -> Self {
        let wanted: BTreeSet<(&str, MediaKind)> = desired
            .iter()
            .filter(|track| !refused.contains(&track.track_id))
            .map(|track| (&*track.track_id, track.kind))
            .collect();
        let mut placement = Self::default();
        let mut settled = BTreeSet::new();
        let mut idle = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(media) = line.media() else { continue };
            match &media.send {
                Some(send) if media.client_receives && wanted.contains(&(&*send.track_id, media.kind)) => {
                    settled.insert(&*send.track_id);
                }
                Some(_) => placement.freed.push(index),
                None => idle.push(index),
            }
        }
        let mut reusable = placement.freed.clone();
        let take = |of: &mut Vec<usize>, kind| {
            let can_send = |index: &usize| lines[*index].media().is_some_and(|media| media.can_send(kind));
            let position = of.iter().position(|index| can_send(index) && ssrcs.are_left(*index))?;
            Some(of.remove(position))
        };
        for track in desired {
            if !wanted.contains(&(&*track.track_id, track.kind)) || !settled.insert(&track.track_id) {
                continue;
            }
            if let Some(index) = take(&mut idle, track.kind) {
                placement.placed.push((index, track.clone()));
            } else if take(&mut reusable, track.kind).is_none() {
                placement.added.push(track.clone());
            }
        }
        placement
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.freed.is_empty() && self.placed.is_empty() && self.added.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::codecs::PayloadFormat;
    use crate::session::{Codec, CodecFormat, Feedback, Layer};

    fn track(id: &str) -> DesiredTrack {
        DesiredTrack {
            track_id: id.into(),
            stream_id: "s".into(),
            kind: MediaKind::Audio,
        }
    }

    fn line(send: Option<&str>) -> Line {
        let codec = Codec {
            payload_type: 111,
            rtx: None,
            format: CodecFormat::Opus { inband_fec: true },
            clock_rate: 48_000,
            feedback: Feedback::default(),
        };
        let payloads = vec![PayloadFormat {
            codec,
            parameters: None,
        }];
        let mut media = MediaLine::ours(
            MediaKind::Audio,
            MediaFormats {
                payloads,
                extensions: vec![],
            },
        );
        media.send = send.map(|id| Send {
            track_id: id.into(),
            stream_id: "s".into(),
            cname: "c".into(),
            layer: Layer { ssrc: 1, rtx: None },
        });
        Line {
            mid: Some("0".to_owned()),
            content: Content::Media(media),
        }
    }

    fn check(sends: &[Option<&str>], desired: &[&str], expected: (&[usize], &[(usize, &str)], &[&str])) {
        let lines: Vec<Line> = sends.iter().map(|send| line(*send)).collect();
        let desired: Vec<_> = desired.iter().map(|id| track(id)).collect();
        let placement = Placement::of(&lines, &desired, &BTreeSet::new(), &Ssrcs::new(0));
        let placed = expected.1.iter().map(|(index, id)| (*index, track(id))).collect();
        let added = expected.2.iter().map(|id| track(id)).collect();
        assert_eq!(
            placement,
            Placement {
                freed: expected.0.to_vec(),
                placed,
                added
            }
        );
    }

    #[test]
    fn tracks_stay_where_they_are() {
        check(&[Some("a"), Some("b")], &["b", "a"], (&[], &[], &[]));
    }

    #[test]
    fn silent_lines_are_taken_in_order_of_age_before_new_ones_are_added() {
        check(
            &[None, Some("a"), None],
            &["a", "b", "c", "d"],
            (&[], &[(0, "b"), (2, "c")], &["d"]),
        );
    }

    #[test]
    fn a_freed_line_is_waited_for() {
        check(&[Some("a")], &["b"], (&[0], &[], &[]));
        check(&[Some("a")], &["b", "c"], (&[0], &[], &["c"]));
    }

    #[test]
    fn a_line_whose_ssrcs_are_used_up_takes_no_other_track() {
        let mut ssrcs = Ssrcs::new(u32::MAX);
        while ssrcs.are_left(0) {
            ssrcs.next(0, false, &BTreeSet::new());
        }
        let placement =
            |lines: &[Line], desired: &[DesiredTrack]| Placement::of(lines, desired, &BTreeSet::new(), &ssrcs);
        let idle = placement(&[line(None), line(None)], &[track("a"), track("b")]);
        assert_eq!((idle.placed, idle.added), (vec![(1, track("a"))], vec![track("b")]));
        let freed = placement(&[line(Some("a"))], &[track("b")]);
        assert_eq!((freed.freed, freed.added), (vec![0], vec![track("b")]));
        assert!(placement(&[line(Some("a"))], &[track("a")]).is_empty(), "it goes on");
    }

    #[test]
    fn a_track_named_twice_is_sent_once() {
        check(&[None, None], &["a", "a"], (&[], &[(0, "a")], &[]));
    }

    #[test]
    fn a_line_the_client_does_not_receive_on_is_left() {
        let mut lines = [line(Some("a"))];
        lines[0].media_mut().unwrap().client_receives = false;
        let placement = Placement::of(&lines, &[track("a")], &BTreeSet::new(), &Ssrcs::new(0));
        assert_eq!((placement.freed, placement.added), (vec![0], vec![track("a")]));
    }
}
