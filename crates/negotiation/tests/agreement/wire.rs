//! Client and peer connection with a network between them that delays and loses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use negotiation::stream_index;
use negotiation::{
    Description, DescriptionType, DesiredTrack, Fingerprint, IceCredentials, LocalParameters, MediaKind,
    NegotiatedSession, Output, PeerConnection, VideoFormats,
};

use crate::client::{Browser, Client, count};

pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) server: PeerConnection,
    pub(crate) now: Instant,
    desired: Vec<DesiredTrack>,
    tracks: u32,
    to_client: VecDeque<Description>,
    to_server: VecDeque<Description>,
    connected: bool,
    /// The client's newest description while it is not connected.
    kept: Option<Description>,
    pub(crate) session: Option<Arc<NegotiatedSession>>,
    pub(crate) sections: BTreeMap<MediaKind, usize>,
    pub(crate) peak: BTreeMap<MediaKind, usize>,
    /// Revisions of client offers that were answered.
    answered: BTreeSet<u64>,
    highest: u64,
    outstanding: Option<u64>,
    offered_at: Option<Instant>,
    pub(crate) offers: usize,
    pub(crate) last_offer: String,
    /// SSRCs of ours with their tracks.
    ssrcs: BTreeMap<u32, Arc<str>>,
    /// By the index of the stream.
    highest_ssrcs: BTreeMap<usize, u32>,
}

impl Wire {
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn new(browser: Browser, tracks: &[(MediaKind, String)]) -> Self {
        let server = PeerConnection::new(LocalParameters {
            fingerprint: Fingerprint([1; 32]),
            candidates: ["192.0.2.1:8081".parse().unwrap()].into(),
            ice: IceCredentials {
                ufrag: "serverufrag0".to_owned(),
                pwd: "s".repeat(32),
            },
            seed: [3; 32],
            video_formats: VideoFormats {
                vp8: true,
                h264: true,
                vp9: true,
                av1: true,
            },
            first_revision: 0,
        });
        let mut wire = Self {
            client: Client::new(browser, tracks),
            server,
            now: Instant::now(),
            desired: Vec::new(),
            tracks: 0,
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            connected: true,
            kept: None,
            session: None,
            sections: BTreeMap::new(),
            peak: BTreeMap::new(),
            answered: BTreeSet::new(),
            highest: 0,
            outstanding: None,
            offered_at: None,
            offers: 0,
            last_offer: String::new(),
            ssrcs: BTreeMap::new(),
            highest_ssrcs: BTreeMap::new(),
        };
        wire.pump_client();
        wire
    }

    pub(crate) fn publish(&mut self, kind: MediaKind) {
        self.tracks += 1;
        let track = format!("own{}", self.tracks);
        self.client.publish(kind, &track);
        self.pump_client();
    }

    pub(crate) fn unpublish(&mut self, choice: usize) {
        let published: Vec<_> = self.published();
        if let Some(track) = published.get(choice % published.len().max(1)) {
            self.client.unpublish(track);
            self.pump_client();
        }
    }

    pub(crate) fn with_client(&mut self, act: impl FnOnce(&mut Client)) {
        act(&mut self.client);
        self.pump_client();
    }

    pub(crate) fn subscribe(&mut self, kind: MediaKind) {
        self.tracks += 1;
        let track_id = format!("far{}", self.tracks).into();
        self.desired.push(DesiredTrack {
            track_id,
            stream_id: "stream".into(),
            kind,
        });
        let count = self.desired.iter().filter(|track| track.kind == kind).count();
        let peak = self.peak.entry(kind).or_default();
        *peak = count.max(*peak);
        self.set_desired();
    }

    pub(crate) fn unsubscribe(&mut self, choice: usize) {
        if !self.desired.is_empty() {
            self.desired.remove(choice % self.desired.len());
            self.set_desired();
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.server.poll_timeout().is_some_and(|due| due <= self.now) {
            self.server.handle_timeout(self.now);
            self.pump_server(false);
        }
    }

    pub(crate) fn has_mail(&self) -> bool {
        !self.to_server.is_empty() || !self.to_client.is_empty()
    }

    pub(crate) fn deliver_to_server(&mut self) {
        if let Some(description) = self.to_server.pop_front() {
            self.note_delivered(&description);
            self.server.handle_description(&description, self.now).unwrap();
            self.pump_server(false);
        }
    }

    pub(crate) fn deliver_to_client(&mut self) {
        if let Some(description) = self.to_client.pop_front() {
            self.client.handle(description);
            self.pump_client();
        }
    }

    /// The socket is gone with all that was on its way.
    pub(crate) fn disconnect(&mut self) {
        // Without `connected` there is no session to resume.
        if self.answered.contains(&1) && self.client.remote_ufrag().is_some() {
            self.connected = false;
            self.to_client.clear();
            self.to_server.clear();
        }
    }

    /// `sync`, and then what the client collected meanwhile.
    pub(crate) fn resume(&mut self) {
        if std::mem::replace(&mut self.connected, true) {
            return;
        }
        let latest = self.client.latest();
        if let Some(latest) = &latest {
            self.note_delivered(latest);
        }
        self.server.handle_sync(latest.as_ref(), self.now).unwrap();
        self.pump_server(true);
        self.to_server.extend(self.kept.take());
    }

    /// Lets everything arrive until nobody has more to say, then compares both sides.
    pub(crate) fn settle_and_check(&mut self) {
        self.resume();
        for _ in 0..200 {
            while self.has_mail() {
                self.deliver_to_server();
                self.deliver_to_client();
            }
            if self.server.poll_timeout().is_none() {
                self.check();
                return;
            }
            self.pass(Duration::from_millis(100));
        }
        panic!("they never come to an end");
    }

    fn check(&self) {
        assert!(self.client.is_settled(), "the client waits for something");
        assert_eq!(self.outstanding, None, "the server waits for an answer");
        let session = self.session.as_ref().unwrap();
        assert_eq!(session.remote_ice.ufrag, self.client.ufrag());
        assert_eq!(Some(session.local_ice.ufrag.as_str()), self.client.remote_ufrag());
        assert!(session.sctp.is_some());
        let desired: Vec<&str> = sorted(self.desired.iter().map(|track| &*track.track_id));
        let sends = session.sections.iter().filter_map(|section| section.send.as_ref());
        assert_eq!(
            sorted(sends.map(|send| &*send.track_id)),
            desired,
            "what the session sends"
        );
        let heard = self.client.transceivers.iter().filter_map(|t| t.heard.as_deref());
        assert_eq!(sorted(heard), desired, "what the client hears");
        for track in desired {
            let events = self.client.events.iter().filter(|event| *event == track).count();
            assert_eq!(events, 1, "one `track` event for {track}");
        }
        let mut published = Vec::new();
        for transceiver in &self.client.transceivers {
            let Some(track) = &transceiver.track else { continue };
            let layers = transceiver.layers.clone();
            published.push((track.clone(), layers));
        }
        let receives = session.sections.iter().filter_map(|section| section.receive.as_ref());
        let received = receives.map(|receive| {
            let layers = receive.layers.iter().map(|layer| (layer.ssrc, layer.rtx)).collect();
            (receive.track_id.clone(), layers)
        });
        assert_eq!(
            sorted(received),
            sorted(published.into_iter()),
            "what the session receives"
        );
        assert!(self.server.unplaceable().is_empty());
    }

    fn published(&self) -> Vec<String> {
        let tracks = self.client.transceivers.iter().filter_map(|t| t.track.clone());
        tracks.filter(|track| track != "dummy").collect()
    }

    fn set_desired(&mut self) {
        self.server.set_desired(self.desired.clone(), self.now);
        self.pump_server(false);
    }

    fn pump_client(&mut self) {
        while let Some(description) = self.client.out.pop_front() {
            if self.connected {
                self.to_server.push_back(description);
            } else {
                self.kept = Some(description);
            }
        }
    }

    fn note_delivered(&mut self, description: &Description) {
        if description.kind == DescriptionType::Answer && self.outstanding == Some(description.revision) {
            self.outstanding = None;
        }
        if description.kind == DescriptionType::Offer
            && self.outstanding.is_some_and(|revision| revision < description.revision)
        {
            self.outstanding = None;
        }
        self.highest = self.highest.max(description.revision);
    }

    fn pump_server(&mut self, repeats: bool) {
        while let Some(output) = self.server.poll() {
            match output {
                Output::Apply(session) => {
                    let before = self.session.as_ref().map_or(0, |session| session.number);
                    assert!(session.number > before, "sessions count up");
                    self.check_ssrcs(&session);
                    self.session = Some(session);
                }
                Output::Describe(description) => {
                    self.check_description(&description, repeats);
                    if self.connected {
                        self.to_client.push_back(description);
                    }
                }
            }
        }
    }

    /// Each is of one track for ever, and the new ones of an index lie above all before.
    fn check_ssrcs(&mut self, session: &NegotiatedSession) {
        let sends = session.sections.iter().filter_map(|section| section.send.as_ref());
        for send in sends {
            for ssrc in std::iter::once(send.layer.ssrc).chain(send.layer.rtx) {
                match self.ssrcs.get(&ssrc) {
                    Some(track) => assert_eq!(*track, send.track_id),
                    None => {
                        let highest = self.highest_ssrcs.entry(stream_index(ssrc)).or_default();
                        assert!(ssrc > *highest, "{ssrc} of {} is new", send.track_id);
                        *highest = ssrc;
                        self.ssrcs.insert(ssrc, Arc::clone(&send.track_id));
                    }
                }
            }
        }
    }

    fn check_description(&mut self, description: &Description, repeats: bool) {
        let revision = description.revision;
        match description.kind {
            DescriptionType::Answer => {
                assert!(self.answered.insert(revision) || repeats, "answered once");
                assert!(revision <= self.highest && self.outstanding.is_none_or(|ours| ours > revision));
            }
            DescriptionType::Offer if self.outstanding == Some(revision) => assert!(repeats),
            DescriptionType::Offer => {
                assert_eq!(self.outstanding.replace(revision), None, "one offer at a time");
                assert_eq!(revision, self.highest + 1, "the next revision");
                self.highest = revision;
                self.offers += 1;
                self.last_offer.clone_from(&description.sdp);
                let since = self.offered_at.replace(self.now).map(|at| self.now - at);
                assert!(
                    since.is_none_or(|since| since >= Duration::from_millis(400)),
                    "offers coalesce"
                );
            }
        }
        let sections = count(&description.sdp);
        if description.kind == DescriptionType::Offer {
            for (kind, count) in &sections {
                let before = self.sections.get(kind).copied().unwrap_or_default();
                let peak = self.peak.get(kind).copied().unwrap_or_default();
                assert!(*count <= before.max(peak), "no more sections than tracks at the peak");
            }
        }
        self.sections = sections;
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.collect();
    items.sort();
    items
}
