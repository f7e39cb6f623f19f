//! A model of the SDK's side of one peer connection (signaling.md section 5.2), with a browser
//! reduced to its transceivers. It writes and reads SDP by itself, and checks what it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use negotiation::{Description, DescriptionType, MediaKind};

/// Which browser: they differ in numbers, retransmissions and how they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    Chromium,
    /// No retransmissions, and a section that always sends and is no published track.
    Firefox,
}

#[derive(Debug)]
pub(crate) struct Transceiver {
    pub(crate) kind: MediaKind,
    /// `sendrecv` with a track, else `recvonly`.
    pub(crate) track: Option<String>,
    line: Option<usize>,
    /// Media and retransmission, lowest layer first.
    pub(crate) layers: Vec<(u32, Option<u32>)>,
    /// What the far side sends here now: msid track id.
    pub(crate) heard: Option<String>,
    /// Both sides agreed that we send.
    sends: bool,
}

#[derive(Debug, Clone, Copy)]
enum Line {
    Media(usize),
    Data,
}

#[derive(Debug)]
struct PendingOffer {
    sdp: String,
    /// What each section is, the lines to come included.
    lines: Vec<(String, Line)>,
    restarts: u32,
}

#[derive(Debug)]
pub(crate) struct Client {
    browser: Browser,
    revision: u64,
    stable: u64,
    needs_answer: bool,
    is_restarting: bool,
    should_restart: bool,
    should_offer: bool,
    queued: Option<Description>,
    pending: Option<PendingOffer>,
    latest: Option<(DescriptionType, String)>,
    pub(crate) transceivers: Vec<Transceiver>,
    recycled: Vec<usize>,
    lines: Vec<(String, Line)>,
    mids: u32,
    wants_data: bool,
    restarts: u32,
    remote_ufrag: Option<String>,
    /// What it wants to tell the server.
    pub(crate) out: VecDeque<Description>,
    /// Ids of browser `track` events.
    pub(crate) events: Vec<String>,
}

impl Client {
    /// A client that publishes these tracks from the start.
    pub(crate) fn new(browser: Browser, tracks: &[(MediaKind, String)]) -> Self {
        let mut client = Self {
            browser,
            revision: 0,
            stable: 0,
            needs_answer: false,
            is_restarting: false,
            should_restart: false,
            should_offer: false,
            queued: None,
            pending: None,
            latest: None,
            transceivers: Vec::new(),
            recycled: Vec::new(),
            lines: Vec::new(),
            mids: 0,
            wants_data: false,
            restarts: 0,
            remote_ufrag: None,
            out: VecDeque::new(),
            events: Vec::new(),
        };
        if browser == Browser::Firefox {
            client.add_transceiver(MediaKind::Audio, Some("dummy".to_owned()));
        }
        for (kind, track) in tracks {
            client.add_transceiver(*kind, Some(track.clone()));
        }
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if client.transceivers.iter().all(|transceiver| transceiver.kind != kind) {
                client.add_transceiver(kind, None);
            }
        }
        client.make_offer();
        client
    }

    pub(crate) fn publish(&mut self, kind: MediaKind, track: &str) {
        match self
            .recycled
            .iter()
            .position(|index| self.transceivers[*index].kind == kind)
        {
            Some(position) => {
                let index = self.recycled.remove(position);
                self.transceivers[index].track = Some(track.to_owned());
            }
            None => self.add_transceiver(kind, Some(track.to_owned())),
        }
        self.offer();
    }

    pub(crate) fn unpublish(&mut self, track: &str) {
        for transceiver in &mut self.transceivers {
            if transceiver.track.as_deref() == Some(track) {
                transceiver.track = None;
            }
        }
        self.offer();
    }

    pub(crate) fn publish_data(&mut self) {
        self.wants_data = true;
        if !self.has_data(&self.lines) {
            self.offer();
        }
    }

    pub(crate) fn restart_ice(&mut self) {
        self.should_restart = true;
        self.offer();
    }

    /// What `sync` tells.
    pub(crate) fn latest(&self) -> Option<Description> {
        let (kind, sdp) = self.latest.clone()?;
        let revision = match kind {
            DescriptionType::Answer => self.stable,
            DescriptionType::Offer => self.revision,
        };
        Some(Description { kind, revision, sdp })
    }

    pub(crate) fn is_settled(&self) -> bool {
        !self.needs_answer && self.pending.is_none() && !self.should_offer && !self.should_restart
    }

    pub(crate) fn ufrag(&self) -> String {
        format!("client{}", self.restarts)
    }

    pub(crate) fn remote_ufrag(&self) -> Option<&str> {
        self.remote_ufrag.as_deref()
    }

    pub(crate) fn handle(&mut self, description: Description) {
        match description.kind {
            DescriptionType::Answer => {
                if description.revision != self.revision || self.pending.is_none() {
                    return;
                }
                let pending = self.pending.take().unwrap();
                self.accept_answer(&pending, &description.sdp);
                self.stable = description.revision;
                self.needs_answer = false;
                self.after_exchange(&pending.sdp);
            }
            DescriptionType::Offer => {
                if description.revision <= self.stable {
                    return;
                }
                if self.pending.is_some() && self.needs_answer && self.stable == 0 {
                    self.queued = Some(description);
                    return;
                }
                self.revision = description.revision;
                if self.pending.take().is_none() {
                    self.answer(&description.sdp);
                    return;
                }
                self.should_restart |= std::mem::take(&mut self.is_restarting);
                self.needs_answer = false;
                if !self.answer(&description.sdp) {
                    self.make_offer();
                }
            }
        }
    }

    fn add_transceiver(&mut self, kind: MediaKind, track: Option<String>) {
        let first = 1000 * (self.transceivers.len() as u32 + 1);
        let count = if kind == MediaKind::Video && self.transceivers.len() % 2 == 1 {
            3
        } else {
            1
        };
        let with_rtx = kind == MediaKind::Video && self.browser == Browser::Chromium;
        let count = if with_rtx { count } else { 1 };
        let layers = (0..count).map(|layer| {
            let ssrc = first + 2 * layer;
            (ssrc, with_rtx.then_some(ssrc + 1))
        });
        let layers = layers.collect();
        self.transceivers.push(Transceiver {
            kind,
            track,
            line: None,
            layers,
            heard: None,
            sends: false,
        });
    }

    fn offer(&mut self) {
        if self.needs_answer || self.is_restarting {
            self.should_offer = true;
        } else {
            self.make_offer();
        }
    }

    fn make_offer(&mut self) {
        self.needs_answer = true;
        let mut restarts = self.restarts;
        if std::mem::take(&mut self.should_restart) {
            self.is_restarting = true;
            restarts += 1;
        }
        self.should_offer = false;
        let mut lines = self.lines.clone();
        for index in 0..self.transceivers.len() {
            if self.transceivers[index].line.is_none() {
                lines.push((self.new_mid(), Line::Media(index)));
            }
        }
        if self.wants_data && !self.has_data(&lines) {
            lines.push((self.new_mid(), Line::Data));
        }
        let mut sdp = self.session_lines(&lines);
        for (mid, line) in &lines {
            let direction = match line {
                Line::Media(index) if self.transceivers[*index].track.is_some() => "sendrecv",
                _ => "recvonly",
            };
            self.write_section(&mut sdp, mid, *line, direction, "actpass", restarts, None);
        }
        self.revision += 1;
        self.tell(DescriptionType::Offer, sdp.clone());
        self.pending = Some(PendingOffer { sdp, lines, restarts });
    }

    /// Says whether an offer followed.
    fn answer(&mut self, offer: &str) -> bool {
        let sections = self.check(offer, "actpass");
        assert!(sections.len() >= self.lines.len(), "the offer lost sections");
        for (index, section) in sections.iter().enumerate() {
            match self.lines.get(index) {
                Some((mid, _)) => assert_eq!(mid, &section.mid, "mids stay"),
                None => {
                    let line = self.new_line(index, section);
                    self.lines.push((section.mid.clone(), line));
                    self.mids = self.mids.max(section.mid.parse::<u32>().unwrap() + 1);
                }
            }
        }
        let mut sdp = self.session_lines(&self.lines);
        for (index, section) in sections.iter().enumerate() {
            let (mid, line) = self.lines[index].clone();
            let mut direction = "";
            if let Line::Media(transceiver) = line {
                self.hear(transceiver, section);
                let transceiver = &mut self.transceivers[transceiver];
                if transceiver.sends && transceiver.track.is_some() {
                    assert!(section.receives(), "the offer switches off {mid}, where we send");
                }
                transceiver.sends = transceiver.track.is_some() && section.receives();
                direction = match (transceiver.sends, section.sends()) {
                    (true, true) => "sendrecv",
                    (true, false) => "sendonly",
                    (false, true) => "recvonly",
                    (false, false) => "inactive",
                };
            }
            self.write_section(&mut sdp, &mid, line, direction, "active", self.restarts, Some(section));
        }
        self.check_ufrag(&sections, false);
        self.stable = self.revision;
        self.tell(DescriptionType::Answer, sdp.clone());
        self.after_exchange(&sdp)
    }

    fn accept_answer(&mut self, pending: &PendingOffer, answer: &str) {
        let sections = self.check(answer, "passive");
        assert_eq!(sections.len(), pending.lines.len(), "as many sections as offered");
        self.lines = pending.lines.clone();
        for (index, ((mid, line), section)) in pending.lines.iter().zip(&sections).enumerate() {
            assert_eq!(mid, &section.mid, "mids are those of the offer");
            assert_ne!(section.port, 0, "nothing was to be rejected");
            if let Line::Media(transceiver) = *line {
                self.hear(transceiver, section);
                let transceiver = &mut self.transceivers[transceiver];
                transceiver.line = Some(index);
                let offered = split(&pending.sdp)[index].sends();
                assert_eq!(offered, section.receives(), "received where offered, in {mid}");
                transceiver.sends = offered;
            }
        }
        let restarted = pending.restarts != self.restarts;
        self.check_ufrag(&sections, restarted);
        self.restarts = pending.restarts;
        self.is_restarting = false;
    }

    fn after_exchange(&mut self, local: &str) -> bool {
        let idle = |index: &usize| self.transceivers[*index].track.is_none();
        self.recycled = (0..self.transceivers.len()).filter(idle).collect();
        if let Some(queued) = self.queued.take() {
            self.handle(queued);
        }
        let sections = split(local);
        let lacks = |kind: MediaKind| {
            let sending = sections
                .iter()
                .filter(|section| section.kind() == Some(kind) && section.sends());
            let live = self.transceivers.iter().filter(|t| t.kind == kind && t.track.is_some());
            sending.count() < live.count()
        };
        let reoffer = self.should_offer
            || lacks(MediaKind::Audio)
            || lacks(MediaKind::Video)
            || (self.wants_data && !self.has_data(&self.lines));
        if reoffer {
            self.make_offer();
        }
        reoffer
    }

    /// A browser fires `track` when a section starts to send, not when its msid changes.
    fn hear(&mut self, transceiver: usize, section: &Section) {
        let transceiver = &mut self.transceivers[transceiver];
        let now = section.sends().then(|| section.track_id());
        match (&transceiver.heard, &now) {
            (None, Some(track)) => self.events.push(track.clone()),
            (Some(before), Some(track)) => assert_eq!(before, track, "msid swapped in place"),
            (_, None) => {}
        }
        transceiver.heard = now;
    }

    fn new_line(&mut self, index: usize, section: &Section) -> Line {
        let Some(kind) = section.kind() else { return Line::Data };
        self.add_transceiver(kind, None);
        let transceiver = self.transceivers.len() - 1;
        self.transceivers[transceiver].line = Some(index);
        Line::Media(transceiver)
    }

    fn has_data(&self, lines: &[(String, Line)]) -> bool {
        lines.iter().any(|(_, line)| matches!(line, Line::Data))
    }

    fn new_mid(&mut self) -> String {
        self.mids += 1;
        (self.mids - 1).to_string()
    }

    fn tell(&mut self, kind: DescriptionType, sdp: String) {
        self.latest = Some((kind, sdp.clone()));
        self.out.push_back(Description {
            kind,
            revision: self.revision,
            sdp,
        });
    }

    fn check_ufrag(&mut self, sections: &[Section], restarted: bool) {
        let ufrag = sections[0].value("ice-ufrag").unwrap().to_owned();
        if let Some(before) = &self.remote_ufrag {
            assert_eq!(before != &ufrag, restarted, "credentials change with a restart only");
        }
        self.remote_ufrag = Some(ufrag);
    }

    /// What every description of the server must hold to.
    fn check(&self, sdp: &str, setup: &str) -> Vec<Section> {
        assert_eq!(sdp.matches('\n').count(), sdp.matches("\r\n").count(), "CRLF");
        assert!(sdp.contains("\r\na=ice-lite\r\n"));
        let sections = split(sdp);
        let bundle = sdp
            .lines()
            .find_map(|line| line.strip_prefix("a=group:BUNDLE "))
            .unwrap();
        let bundle: Vec<_> = bundle.split(' ').collect();
        let mut ssrcs: BTreeSet<u32> = self
            .transceivers
            .iter()
            .flat_map(|t| t.layers.iter().map(|layer| layer.0))
            .collect();
        let mut mids = BTreeSet::new();
        for section in &sections {
            assert!(mids.insert(&section.mid));
            assert!(bundle.contains(&section.mid.as_str()));
            assert_eq!(section.value("setup"), Some(setup));
            assert!(section.value("fingerprint").is_some() && section.value("ice-pwd").is_some());
            let Some(kind) = section.kind() else { continue };
            let known = self.format_lines(kind).concat();
            for line in section.lines.iter().filter(|line| is_format_line(line)) {
                assert!(known.contains(&format!("{line}\r\n")), "{line} is not ours");
            }
            for ssrc in section.ssrcs() {
                assert!(ssrcs.insert(ssrc), "SSRC {ssrc} is used twice");
            }
            assert_eq!(section.ssrcs().is_empty(), !section.sends());
        }
        sections
    }

    fn session_lines(&self, lines: &[(String, Line)]) -> String {
        let mids: Vec<_> = lines.iter().map(|(mid, _)| mid.as_str()).collect();
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=extmap-allow-mixed\r\n",
            mids.join(" ")
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn write_section(
        &self,
        sdp: &mut String,
        mid: &str,
        line: Line,
        direction: &str,
        setup: &str,
        restarts: u32,
        offered: Option<&Section>,
    ) {
        let transport = format!(
            "c=IN IP4 0.0.0.0\r\na=ice-ufrag:client{restarts}\r\na=ice-pwd:{}\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:{setup}\r\na=mid:{mid}\r\n",
            "p".repeat(24),
            ["AB"; 32].join(":"),
        );
        let Line::Media(index) = line else {
            write!(
                sdp,
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}\
                 a=sctp-port:5000\r\na=max-message-size:262144\r\n"
            )
            .unwrap();
            return;
        };
        let transceiver = &self.transceivers[index];
        let formats = self.format_lines(transceiver.kind);
        let taken = |payload_type: &str| {
            offered.is_none_or(|offered| offered.payload_types.iter().any(|pt| pt == payload_type))
        };
        let formats: Vec<_> = formats
            .iter()
            .filter(|lines| payload_type(lines).is_none_or(taken))
            .map(String::as_str)
            .collect();
        let payload_types: Vec<_> = formats.iter().filter_map(|lines| payload_type(lines)).collect();
        let media = match transceiver.kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        write!(
            sdp,
            "m={media} 9 UDP/TLS/RTP/SAVPF {}\r\n{transport}a={direction}\r\na=rtcp-mux\r\n{}",
            payload_types.join(" "),
            formats.concat()
        )
        .unwrap();
        if let Some(track) = &transceiver.track {
            self.write_track(sdp, transceiver, track);
        }
    }

    fn write_track(&self, sdp: &mut String, transceiver: &Transceiver, track: &str) {
        writeln!(sdp, "a=msid:- {track}\r").unwrap();
        for (ssrc, rtx) in &transceiver.layers {
            writeln!(sdp, "a=ssrc:{ssrc} cname:c\r").unwrap();
            if let Some(rtx) = rtx {
                writeln!(sdp, "a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{rtx} cname:c\r").unwrap();
            }
        }
        if transceiver.layers.len() > 1 {
            let members: Vec<_> = transceiver.layers.iter().map(|(ssrc, _)| ssrc.to_string()).collect();
            writeln!(sdp, "a=ssrc-group:SIM {}\r", members.join(" ")).unwrap();
        }
    }

    /// Lines of each payload type, then those of the header extensions.
    fn format_lines(&self, kind: MediaKind) -> Vec<String> {
        let extensions = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n".to_owned();
        let video = |pt: u8, name: &str, fmtp: &str| {
            let feedback = ["transport-cc", "ccm fir", "nack", "nack pli"];
            let feedback = feedback.map(|what| format!("a=rtcp-fb:{pt} {what}\r\n")).concat();
            format!("a=rtpmap:{pt} {name}/90000\r\n{feedback}{fmtp}")
        };
        let rtx = |pt: u8, of: u8| format!("a=rtpmap:{pt} rtx/90000\r\na=fmtp:{pt} apt={of}\r\n");
        let h264 = |pt: u8| {
            let parameters = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
            video(pt, "H264", &format!("a=fmtp:{pt} {parameters}\r\n"))
        };
        let opus = |pt: u8| {
            format!(
                "a=rtpmap:{pt} opus/48000/2\r\na=rtcp-fb:{pt} transport-cc\r\n\
                 a=fmtp:{pt} minptime=10;useinbandfec=1\r\n"
            )
        };
        match (kind, self.browser) {
            (MediaKind::Audio, Browser::Chromium) => {
                let red = "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n".to_owned();
                vec![opus(111), red, extensions]
            }
            (MediaKind::Video, Browser::Chromium) => {
                vec![video(96, "VP8", ""), rtx(97, 96), h264(108), rtx(109, 108), extensions]
            }
            (MediaKind::Audio, Browser::Firefox) => vec![opus(109), extensions],
            (MediaKind::Video, Browser::Firefox) => vec![video(120, "VP8", ""), h264(126), extensions],
        }
    }
}

fn payload_type(lines: &str) -> Option<&str> {
    lines.strip_prefix("a=rtpmap:")?.split(' ').next()
}

fn is_format_line(line: &str) -> bool {
    ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"]
        .iter()
        .any(|prefix| line.starts_with(prefix))
}

/// A section as the SDK's regular expressions see it.
pub(crate) struct Section {
    pub(crate) media: String,
    pub(crate) port: u16,
    pub(crate) mid: String,
    payload_types: Vec<String>,
    lines: Vec<String>,
}

impl Section {
    pub(crate) fn kind(&self) -> Option<MediaKind> {
        match self.media.as_str() {
            "audio" => Some(MediaKind::Audio),
            "video" => Some(MediaKind::Video),
            _ => None,
        }
    }

    pub(crate) fn sends(&self) -> bool {
        self.has("a=sendrecv") || self.has("a=sendonly")
    }

    fn receives(&self) -> bool {
        self.has("a=sendrecv") || self.has("a=recvonly")
    }

    fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|other| other == line)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let prefix = format!("a={name}:");
        self.lines.iter().find_map(|line| line.strip_prefix(prefix.as_str()))
    }

    fn track_id(&self) -> String {
        let msid = self.value("msid").expect("msid where the server sends");
        let words: Vec<_> = msid.split(' ').collect();
        assert_eq!(words.len(), 2, "two words in msid");
        words[1].to_owned()
    }

    fn ssrcs(&self) -> BTreeSet<u32> {
        let lines = self.lines.iter().filter_map(|line| line.strip_prefix("a=ssrc:"));
        lines
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }
}

pub(crate) fn split(sdp: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    for text in sdp.split("\r\nm=").skip(1) {
        let mut lines = text.split("\r\n").map(str::to_owned);
        let first = lines.next().unwrap();
        let words: Vec<_> = first.split(' ').collect();
        let mut section = Section {
            media: words[0].to_owned(),
            port: words[1].parse().unwrap(),
            mid: String::new(),
            payload_types: words[3..].iter().map(|word| (*word).to_owned()).collect(),
            lines: lines.collect(),
        };
        section.mid = section.value("mid").expect("a mid in every section").to_owned();
        sections.push(section);
    }
    sections
}

/// How many sections of each kind a description has.
pub(crate) fn count(sdp: &str) -> BTreeMap<MediaKind, usize> {
    let mut counts = BTreeMap::new();
    for kind in split(sdp).iter().filter_map(Section::kind) {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}
