//! Two participants with real media, who keep account of every frame.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use load::description::{Descriptions, Published, VideoCodec, Wishes};
use negotiation::{Fingerprint, IceCredentials, Layer, MediaKind, NegotiatedSession};
use room::{ParticipantStatus, RoomSid};
use serde_json::{Value, json};
use store::{PageRequest, ParticipantFilter};
use testkit::media::{Client as Media, Far, Video};
use testkit::signaling::{Client as Signaling, Gone, track};
use tokio::task::JoinHandle;

use crate::World;

/// Where attackers go.
pub(crate) const ROOM: &str = "attacked";

/// Who attacks with keys.
const ATTACKER: &str = "mallory-with-keys";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a member receives: by kind, the SSRC.
type Received = Arc<Mutex<BTreeMap<bool, u32>>>;

pub(crate) struct Call {
    members: Vec<Member>,
    room: RoomSid,
    /// Where its media goes.
    pub(crate) media_addr: SocketAddr,
}

/// Somebody with real media in the call's room.
pub(crate) struct Member {
    sid: String,
    pub(crate) media: Arc<Media>,
    received: Received,
    signaling: JoinHandle<Gone>,
    /// The first session.
    pub(crate) session: Arc<NegotiatedSession>,
    /// SSRC of its microphone and of its camera.
    pub(crate) sends: (u32, u32),
}

impl Call {
    pub(crate) async fn start(world: &World, room: &str) -> Self {
        let server = scout(world, room).await;
        let mut members = Vec::new();
        for number in 1..=2 {
            members.push(Member::join(world, room, &format!("member{number}"), number, &server).await);
        }
        let account = world.server.owner().account.sid;
        let found = world.server.app().store.room_in_progress(account, room).await;
        let call = Self {
            members,
            room: found.unwrap().expect("the room is in progress").new.sid,
            media_addr: server.address,
        };
        call.goes_on().await;
        for member in &call.members {
            member.media.forget();
        }
        call
    }

    /// Waits until a second more of everything was received at both ends.
    pub(crate) async fn goes_on(&self) {
        for member in &self.members {
            let (media, received) = (Arc::clone(&member.media), Arc::clone(&member.received));
            let more = tokio::task::spawn_blocking(move || {
                let count = |heard: &testkit::media::Heard| {
                    let received = received.lock().unwrap();
                    let of = |video| received.get(&video).map_or(0, |ssrc| heard.count(*ssrc));
                    (of(false), of(true))
                };
                let (audio, video) = count(&media.heard());
                media.wait(PATIENCE, |heard| {
                    let now = count(heard);
                    now.0 >= audio + 50 && now.1 >= video + 60
                })
            });
            assert!(more.await.unwrap(), "the call stands still");
            assert!(!member.signaling.is_finished(), "a member's socket is gone");
        }
    }

    /// Every frame from the first to the last, of both kinds, at both ends; how many.
    pub(crate) fn lost_nothing(&self) -> usize {
        let mut frames = 0;
        for member in &self.members {
            let heard = member.media.heard();
            assert!(!heard.closed && heard.failed.is_none(), "{:?}", heard.failed);
            for (video, ssrc) in &*member.received.lock().unwrap() {
                let packets: BTreeMap<u64, u32> = heard
                    .of(*ssrc)
                    .iter()
                    .map(|packet| (packet.sequence, packet.timestamp))
                    .collect();
                let numbers: BTreeSet<u64> = packets.keys().copied().collect();
                let (first, last) = (numbers.first().unwrap(), numbers.last().unwrap());
                let missing: Vec<u64> = (*first..=*last).filter(|number| !numbers.contains(number)).collect();
                assert!(missing.is_empty(), "{ssrc} lost {missing:?} of {first} to {last}");
                let mut stamps: Vec<u32> = packets.into_values().collect();
                stamps.dedup();
                let ticks = if *video { 3000 } else { 960 };
                let gap = stamps.windows(2).find(|pair| pair[1].wrapping_sub(pair[0]) != ticks);
                assert!(gap.is_none(), "{ssrc} leaps from {gap:?}");
                frames += stamps.len();
            }
        }
        frames
    }

    /// The same two are in the room, in one row each.
    pub(crate) async fn is_the_same(&self, world: &World) {
        let account = world.server.owner().account.sid;
        let page = PageRequest {
            size: 1000,
            from: None,
            backwards: false,
        };
        let filter = ParticipantFilter::default();
        let rows = world
            .server
            .app()
            .store
            .participants(account, self.room, filter, page)
            .await;
        let mut connected: Vec<String> = rows
            .unwrap()
            .rows
            .into_iter()
            .filter(|row| row.identity.starts_with("member") && row.status == ParticipantStatus::Connected)
            .map(|row| row.sid.to_string())
            .collect();
        connected.sort();
        let mut members: Vec<String> = self.members.iter().map(|member| member.sid.clone()).collect();
        members.sort();
        assert_eq!(connected, members);
    }
}

impl Member {
    /// Joins with data channels, and records what it sends; its numbers are its own.
    pub(crate) async fn attacker(world: &World, number: u32) -> Self {
        Self::join(world, ROOM, ATTACKER, number, &scout(world, ROOM).await).await
    }

    /// Streams of others that it receives: sound if not `video`.
    pub(crate) fn receives(&self, video: bool) -> Option<u32> {
        self.received.lock().unwrap().get(&video).copied()
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {
        self.signaling.abort();
    }

    async fn join(world: &World, room: &str, identity: &str, number: u32, server: &Far) -> Self {
        let media = Media::start(server.address, &server.fingerprint).unwrap();
        media.record(identity == ATTACKER);
        let (audio, video) = (number * 1000, number * 1000 + 10);
        let wishes = wishes(media.fingerprint(), number, audio, video);
        let tracks = json!([
            track(&format!("mic{number}"), "audio", "microphone"),
            track(&format!("cam{number}"), "video", "camera")
        ]);
        let mut descriptions = match identity {
            ATTACKER => Descriptions::new(wishes).with_channels(),
            _ => Descriptions::new(wishes),
        };
        let offer = descriptions.offer().unwrap();
        let token = world.token(identity);
        let (client, connected) = Signaling::join_with(&world.url(), &token, Some(room), tracks.clone(), Some(&offer))
            .await
            .expect("let in");
        let answer = connected["peer_connections"][0]["description"]["sdp"].as_str().unwrap();
        let session = descriptions.accept(answer).unwrap();
        let received = Received::default();
        note(&received, &session);
        media.apply(&session);
        let connecting = Arc::new(media);
        let media = Arc::clone(&connecting);
        let up = tokio::task::spawn_blocking(move || connecting.wait(PATIENCE, |heard| heard.connected));
        assert!(up.await.unwrap(), "media of a member is connected");
        media.send_audio(audio, 111);
        media.send_video(&[video], 96, Video::new(2, 500, 1));
        let sid = connected["participant"]["sid"].as_str().unwrap().to_owned();
        let pump = pump(client, descriptions, tracks, Arc::clone(&media), Arc::clone(&received));
        Self {
            sid,
            media,
            received,
            signaling: tokio::spawn(pump),
            session,
            sends: (audio, video),
        }
    }
}

/// Answers every offer and says that it is there, until the socket is gone.
async fn pump(
    mut client: Signaling,
    mut ours: Descriptions,
    tracks: Value,
    media: Arc<Media>,
    received: Received,
) -> Gone {
    let mut heartbeat = tokio::time::interval(Duration::from_secs(2));
    loop {
        let frame = tokio::select! {
            _ = heartbeat.tick() => {
                client.send(json!({ "type": "heartbeat" })).await;
                continue;
            }
            frame = client.frame() => match frame {
                Ok(frame) => frame,
                Err(Gone::Silent) => continue,
                Err(gone) => return gone,
            },
        };
        for peer in frame["body"]["peer_connections"].as_array().into_iter().flatten() {
            let offer = &peer["description"];
            if offer["type"] != "offer" {
                continue;
            }
            let (answer, session) = ours.answer(offer["sdp"].as_str().unwrap()).unwrap();
            note(&received, &session);
            media.apply(&session);
            let session = client.session.clone();
            client
                .say(json!({
                    "type": "update", "version": 2, "session": session,
                    "participant": { "revision": 1, "tracks": tracks },
                    "peer_connections": [{
                        "id": peer["id"],
                        "description": { "type": "answer", "revision": offer["revision"], "sdp": answer },
                    }],
                }))
                .await;
        }
    }
}

/// Remembers the first stream of each kind that is received: the other member's. Those of attackers follow.
fn note(received: &Received, session: &NegotiatedSession) {
    let mut received = received.lock().unwrap();
    for section in &session.sections {
        if let Some(send) = &section.send {
            received
                .entry(section.kind == MediaKind::Video)
                .or_insert(send.layer.ssrc);
        }
    }
}

fn wishes(fingerprint: Fingerprint, number: u32, audio: u32, video: u32) -> Wishes {
    Wishes {
        fingerprint,
        ice: IceCredentials {
            ufrag: format!("member{number}"),
            pwd: format!("a-password-of-member-{number}"),
        },
        audio: Some(Published {
            id: format!("mic{number}"),
            layers: vec![Layer { ssrc: audio, rtx: None }],
        }),
        video: Some(Published {
            id: format!("cam{number}"),
            layers: vec![Layer {
                ssrc: video,
                rtx: Some(video + 1),
            }],
        }),
        codecs: vec![VideoCodec::Vp8],
        receives: true,
        candidates: Vec::new(),
    }
}

/// Where media of a room goes, and what the server's certificate hashes to: told to whoever joins.
async fn scout(world: &World, room: &str) -> Far {
    let mut descriptions = Descriptions::new(wishes(Fingerprint([9; 32]), 9, 9000, 9010));
    let offer = descriptions.offer().unwrap();
    let token = world.token("scout");
    let (scout, connected) = Signaling::join_with(&world.url(), &token, Some(room), json!([]), Some(&offer))
        .await
        .expect("let in");
    let answer = connected["peer_connections"][0]["description"]["sdp"].as_str().unwrap();
    descriptions.accept(answer).unwrap();
    scout.leave().await;
    descriptions.far().expect("the answer names it").clone()
}
