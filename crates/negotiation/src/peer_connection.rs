//! One peer connection: revisions, glare, and desired against actual.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::agreement::Agreement;
use crate::codecs::MediaFormats;
use crate::derive::Seed;
use crate::describe::describe;
use crate::limits::{OFFER_INTERVAL, REVISION_MAX, SECTIONS_MAX};
use crate::sdp;
use crate::sections::{Content, Line, MediaLine, Placement};
use crate::session::{CodecFormat, MediaKind, NegotiatedSession, Send};
use crate::ssrcs::Ssrcs;
use crate::{Description, DescriptionError, DescriptionType, DesiredTrack, LocalParameters, Output};

/// One peer connection of one client. `handle_*`, then `poll` until `None`.
#[derive(Debug)]
pub struct PeerConnection {
    local: LocalParameters,
    seed: Seed,
    exchange: Exchange,
    /// Highest revision seen or used (signaling.md section 5.2).
    revision: u64,
    /// Our last answer, to repeat when it may have been lost.
    answer: Option<Description>,
    desired: Vec<DesiredTrack>,
    /// Tracks whose own section the client did not take.
    refused: BTreeSet<Arc<str>>,
    data_refused: bool,
    /// Kinds of sections that the client offered.
    offered: BTreeSet<MediaKind>,
    /// What the client takes, by kind: new sections use the same numbers.
    formats: BTreeMap<MediaKind, MediaFormats>,
    descriptions: u64,
    ssrcs: Ssrcs,
    mids: u32,
    offered_at: Option<Instant>,
    offer_due: Option<Instant>,
    session: Option<Arc<NegotiatedSession>>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Exchange {
    /// The client has not offered yet.
    New,
    /// Nothing of either side is unanswered.
    Settled(Agreement),
    /// Our offer is unanswered.
    Offered(Box<Offered>),
}

#[derive(Debug)]
struct Offered {
    agreed: Agreement,
    proposed: Agreement,
    offer: Description,
}

impl PeerConnection {
    /// A peer connection that has seen nothing yet.
    pub fn new(local: LocalParameters) -> Self {
        let seed = Seed::new(local.seed);
        Self {
            ssrcs: Ssrcs::new(seed.ssrc_start()),
            seed,
            local,
            exchange: Exchange::New,
            revision: 0,
            answer: None,
            desired: Vec::new(),
            refused: BTreeSet::new(),
            data_refused: false,
            offered: BTreeSet::new(),
            formats: BTreeMap::new(),
            descriptions: 0,
            mids: 0,
            offered_at: None,
            offer_due: None,
            session: None,
            outputs: VecDeque::new(),
        }
    }

    /// The revision for a `create-offer` that makes the client open this peer connection
    /// (signaling.md section 5.5); its first offer has a higher one. Only before that offer.
    pub fn request_offer(&mut self) -> u64 {
        self.next_revision()
    }

    /// Says which tracks this client is to receive from now on, all of them, in order of age.
    pub fn set_desired(&mut self, tracks: Vec<DesiredTrack>, now: Instant) {
        let ids: BTreeSet<&Arc<str>> = tracks.iter().map(|track| &track.track_id).collect();
        self.refused.retain(|id| ids.contains(id));
        self.desired = tracks;
        self.reconcile(now);
    }

    /// A description arrived. Stale ones are ignored without an error; after an error nothing has
    /// changed.
    pub fn handle_description(&mut self, description: &Description, now: Instant) -> Result<(), DescriptionError> {
        self.take(description, now).map(|_| ())
    }

    /// The client resumed its session and told its latest local description (signaling.md
    /// section 10): repeats what may have been lost.
    pub fn handle_sync(&mut self, latest: Option<&Description>, now: Instant) -> Result<(), DescriptionError> {
        if let Some(latest) = latest {
            let answer = self.answer.as_ref().filter(|answer| answer.revision == latest.revision);
            if let (DescriptionType::Offer, Some(answer)) = (latest.kind, answer) {
                self.outputs.push_back(Output::Describe(answer.clone()));
            } else if self.take(latest, now)? {
                return Ok(());
            }
        }
        if let Exchange::Offered(offered) = &self.exchange {
            let offer = offered.offer.clone();
            self.outputs.push_back(Output::Describe(offer));
        }
        Ok(())
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.reconcile(now);
    }

    /// The next thing to do. Where both come of one description, [`Output::Apply`] comes before
    /// the answer, so that the media engine knows whom the answer lets in.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.offer_due
    }

    /// Formats of this kind that the client can receive and we allow, most wanted first. Empty
    /// before its first offer, and if there is none in common.
    pub fn formats(&self, kind: MediaKind) -> Vec<CodecFormat> {
        let payloads = self
            .formats
            .get(&kind)
            .into_iter()
            .flat_map(|formats| &formats.payloads);
        payloads.map(|payload| payload.codec.format.clone()).collect()
    }

    /// Ids of the desired tracks that cannot be sent to this client, for want of a format or
    /// because it refused: to be told as error 53404 (signaling.md section 11). Empty before its
    /// first offer.
    pub fn unplaceable(&self) -> Vec<Arc<str>> {
        if matches!(self.exchange, Exchange::New) {
            return Vec::new();
        }
        let unplaceable =
            |track: &&DesiredTrack| !self.formats.contains_key(&track.kind) || self.refused.contains(&track.track_id);
        self.desired
            .iter()
            .filter(unplaceable)
            .map(|track| track.track_id.clone())
            .collect()
    }

    /// Whether the client offered sections of this kind, and none of them has a format that we allow.
    pub fn lacks(&self, kind: MediaKind) -> bool {
        self.offered.contains(&kind) && !self.formats.contains_key(&kind)
    }

    /// Says whether the description was used.
    fn take(&mut self, description: &Description, now: Instant) -> Result<bool, DescriptionError> {
        let used = match description.kind {
            DescriptionType::Offer => self.take_offer(description)?,
            DescriptionType::Answer => self.take_answer(description)?,
        };
        self.reconcile(now);
        Ok(used)
    }

    /// An offer not above the revision of ours that is unanswered lost the glare: the client rolls
    /// it back. One above it shows that the client took ours and that its answer got lost.
    fn take_offer(&mut self, description: &Description) -> Result<bool, DescriptionError> {
        let first = matches!(self.exchange, Exchange::New);
        if description.revision <= self.revision && !first {
            return Ok(false);
        }
        if description.revision > REVISION_MAX {
            return Err(DescriptionError::TooLarge("REVISION_MAX"));
        }
        let offer = sdp::parse(&description.sdp)?;
        let before = match &self.exchange {
            Exchange::New => None,
            Exchange::Settled(agreed) => Some(agreed),
            Exchange::Offered(offered) => {
                let taken = offer.media.len() >= offered.proposed.lines.len();
                Some(if taken { &offered.proposed } else { &offered.agreed })
            }
        };
        let mut agreed = Agreement::after_offer(before, &offer, &self.local, &self.seed, &self.formats)?;

        self.revision = self.revision.max(description.revision);
        self.note_refusals(&agreed);
        self.offered.extend(offered_kinds(&offer));
        self.learn(&agreed.lines);
        let placement = Placement {
            added: Vec::new(),
            ..self.placement(&agreed)
        };
        self.place(&mut agreed, placement);
        let sdp = self.write(&agreed, DescriptionType::Answer);
        let answer = Description {
            kind: DescriptionType::Answer,
            revision: description.revision,
            sdp,
        };
        self.settle(agreed);
        self.answer = Some(answer.clone());
        self.outputs.push_back(Output::Describe(answer));
        Ok(true)
    }

    fn take_answer(&mut self, description: &Description) -> Result<bool, DescriptionError> {
        let Exchange::Offered(offered) = &self.exchange else {
            return Ok(false);
        };
        if description.revision != offered.offer.revision {
            return Ok(false);
        }
        let answer = sdp::parse(&description.sdp)?;
        let agreed = offered.proposed.after_answer(&answer, &self.local)?;
        self.note_refusals(&agreed);
        self.settle(agreed);
        Ok(true)
    }

    /// Sends an offer if what is agreed is not what is desired, but not too often.
    fn reconcile(&mut self, now: Instant) {
        self.offer_due = None;
        let Exchange::Settled(agreed) = &self.exchange else {
            return;
        };
        let placement = self.placement(agreed);
        let adds_data = self.wants_data(agreed);
        if placement.is_empty() && !adds_data {
            return;
        }
        let due = self.offered_at.map_or(now, |at| at + OFFER_INTERVAL);
        if now < due {
            self.offer_due = Some(due);
            return;
        }
        self.offer(agreed.clone(), placement, adds_data);
        self.offered_at = Some(now);
    }

    fn offer(&mut self, agreed: Agreement, placement: Placement, adds_data: bool) {
        let mut proposed = agreed.clone();
        self.place(&mut proposed, placement);
        if adds_data {
            let mid = Some(self.new_mid(&proposed.lines));
            proposed.lines.push(Line {
                mid,
                content: Content::Data { max_message_size: 0 },
            });
        }
        let sdp = self.write(&proposed, DescriptionType::Offer);
        let revision = self.next_revision();
        let offer = Description {
            kind: DescriptionType::Offer,
            revision,
            sdp,
        };
        self.outputs.push_back(Output::Describe(offer.clone()));
        self.exchange = Exchange::Offered(Box::new(Offered {
            agreed,
            proposed,
            offer,
        }));
    }

    /// What to change, without what cannot be: tracks without a format, lines beyond the bound.
    fn placement(&self, agreed: &Agreement) -> Placement {
        let mut placement = Placement::of(&agreed.lines, &self.desired, &self.refused, &self.ssrcs);
        placement.added.retain(|track| self.formats.contains_key(&track.kind));
        let reserved = agreed.lines.len() + usize::from(self.wants_data(agreed));
        placement.added.truncate(SECTIONS_MAX.saturating_sub(reserved));
        placement
    }

    /// Media signaling and data tracks of others need the association even if the client has
    /// nothing to send over it (signaling.md section 5.2).
    fn wants_data(&self, agreed: &Agreement) -> bool {
        !self.data_refused && !agreed.has_data() && agreed.lines.len() < SECTIONS_MAX
    }

    fn place(&mut self, agreement: &mut Agreement, placement: Placement) {
        for index in placement.freed {
            if let Some(media) = agreement.lines[index].media_mut() {
                media.send = None;
            }
        }
        let taken: BTreeSet<u32> = agreement.lines.iter().flat_map(Line::ssrcs).collect();
        for (index, track) in placement.placed {
            if let Some(media) = agreement.lines[index].media_mut() {
                media.send = self.send(index, &track, media.formats.has_rtx(), &taken);
            }
        }
        for track in placement.added {
            let index = agreement.lines.len();
            let formats = self.formats.get(&track.kind).cloned().unwrap_or_default();
            let mut media = MediaLine::ours(track.kind, formats);
            media.send = self.send(index, &track, media.formats.has_rtx(), &taken);
            let mid = Some(self.new_mid(&agreement.lines));
            agreement.lines.push(Line {
                mid,
                content: Content::Media(media),
            });
        }
    }

    fn send(&mut self, index: usize, track: &DesiredTrack, has_rtx: bool, taken: &BTreeSet<u32>) -> Option<Send> {
        Some(Send {
            track_id: track.track_id.clone(),
            stream_id: track.stream_id.clone(),
            cname: self.seed.cname(&track.stream_id).into(),
            layer: self.ssrcs.next(index, has_rtx, taken)?,
        })
    }

    /// Counts on, as browsers do: short, since each packet may carry it, and never twice.
    fn new_mid(&mut self, lines: &[Line]) -> String {
        loop {
            let mid = self.mids.to_string();
            self.mids += 1;
            if lines.iter().all(|line| line.mid.as_ref() != Some(&mid)) {
                return mid;
            }
        }
    }

    fn next_revision(&mut self) -> u64 {
        self.revision = self.revision.max(self.local.first_revision) + 1;
        self.revision
    }

    /// Remembers what the client takes, from its first section of each kind that has any.
    fn learn(&mut self, lines: &[Line]) {
        for media in lines.iter().filter_map(Line::media) {
            self.formats.entry(media.kind).or_insert_with(|| media.formats.clone());
        }
    }

    /// Lines that we offered to add and that the client did not take are not offered again.
    fn note_refusals(&mut self, now_agreed: &Agreement) {
        let Exchange::Offered(offered) = &self.exchange else {
            return;
        };
        let Offered { agreed, proposed, .. } = &**offered;
        let lines = proposed.lines.iter().zip(&now_agreed.lines).skip(agreed.lines.len());
        for (offered, line) in lines {
            match &offered.content {
                Content::Data { .. } if line.is_rejected() => self.data_refused = true,
                Content::Media(MediaLine { send: Some(send), .. })
                    if line.media().is_none_or(|media| !media.client_receives) =>
                {
                    self.refused.insert(send.track_id.clone());
                }
                _ => {}
            }
        }
    }

    fn write(&mut self, agreement: &Agreement, kind: DescriptionType) -> String {
        self.descriptions += 1;
        let id = self.seed.session_id();
        describe(agreement, kind, &self.local, id, self.descriptions).to_string()
    }

    fn settle(&mut self, agreed: Agreement) {
        let number = self.session.as_ref().map_or(0, |session| session.number);
        let mut session = agreed.session(number);
        if self.session.as_deref() != Some(&session) {
            session.number += 1;
            let session = Arc::new(session);
            self.session = Some(session.clone());
            self.outputs.push_back(Output::Apply(session));
        }
        self.exchange = Exchange::Settled(agreed);
    }
}

fn offered_kinds(offer: &sdp::SessionDescription) -> impl Iterator<Item = MediaKind> {
    let sections = offer.media.iter().filter(|media| !media.is_rejected());
    sections.filter_map(|media| match media.media.as_str() {
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    })
}
