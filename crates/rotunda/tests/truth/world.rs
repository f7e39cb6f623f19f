//! Where the server is and what is recorded of it: requests whose answers become facts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use room::{ParticipantSid, ParticipantStatus, RoomSid, RoomStatus};
use rotunda::access_token;
use rotunda::credentials::ApiKey;
use serde_json::Value;
use testkit::history::{Page, ParticipantsOf, Recorder, RoomsOf, Said, Touches, page_rows, participant_row, room_row};
use tokio::sync::watch;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Changes an answer before anybody sees it: what a server that lies would say. The path, and the
/// answer's body.
pub(crate) type Meddler = Box<dyn Fn(&str, &mut Value) + Send + Sync>;

/// A server, wherever it runs, and what it said.
pub(crate) struct World {
    pub(crate) recorder: Recorder,
    pub(crate) http: String,
    pub(crate) key: ApiKey,
    /// Where callbacks go.
    pub(crate) receiver: String,
    /// Rooms that were seen, with their names.
    pub(crate) rooms: Mutex<Vec<(RoomSid, Arc<str>)>>,
    /// Answers that nobody should ever get.
    pub(crate) complaints: Mutex<Vec<String>>,
    pub(crate) meddler: Mutex<Option<Meddler>>,
    user: (String, String),
    client: reqwest::Client,
    walks: AtomicU64,
    is_up: watch::Sender<bool>,
}

impl World {
    /// A server at this address, for an account's SID and auth token, and a key.
    pub(crate) fn new(http: String, user: (String, String), key: ApiKey, receiver: String) -> Self {
        Self {
            recorder: Recorder::default(),
            http,
            key,
            receiver,
            rooms: Mutex::default(),
            complaints: Mutex::default(),
            meddler: Mutex::default(),
            user,
            // A connection to a server that was killed is of no use to the next one.
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            walks: AtomicU64::new(1),
            is_up: watch::Sender::new(true),
        }
    }

    pub(crate) fn signaling(&self) -> String {
        format!("{}/signaling", self.http.replace("http://", "ws://"))
    }

    pub(crate) fn token(&self, identity: &str) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        access_token::issue(&self.key, identity, None, 36_000, now.as_secs().cast_signed()).unwrap()
    }

    /// Waits until the server is there, as far as is known.
    pub(crate) async fn up(&self) {
        let mut is_up = self.is_up.subscribe();
        is_up.wait_for(|is_up| *is_up).await.unwrap();
    }

    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    pub(crate) fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
    }

    /// Status and body; nothing if the server is gone.
    pub(crate) async fn get(&self, target: &str) -> Option<(u16, Value)> {
        let path = target.strip_prefix(&self.http).unwrap_or(target);
        let request = self.client.get(format!("{}{path}", self.http));
        let mut answer = self.send(request).await?;
        if let Some(meddler) = &*self.meddler.lock().unwrap() {
            meddler(path, &mut answer.1);
        }
        Some(answer)
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Option<(u16, Value)> {
        let request = self.client.post(format!("{}{path}", self.http));
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header("content-type", kind).body(encoded(form)))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
        let answer = request.basic_auth(&self.user.0, Some(&self.user.1)).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_str(&answer.text().await.ok()?).ok()?))
    }

    fn saw_room(&self, sid: RoomSid, name: &Arc<str>) {
        let mut rooms = self.rooms.lock().unwrap();
        if !rooms.iter().any(|(known, _)| *known == sid) {
            rooms.push((sid, name.clone()));
        }
    }

    /// A client was let in here.
    pub(crate) fn was_in(&self, sid: RoomSid, name: &Arc<str>) {
        self.saw_room(sid, name);
    }

    /// Creates a room that ends only when it is completed, with callbacks.
    pub(crate) async fn create(&self, name: &str) {
        let asked = self.recorder.now();
        let form = [
            ("UniqueName", name),
            ("StatusCallback", &*self.receiver),
            ("EmptyRoomTimeout", "60"),
            ("UnusedRoomTimeout", "60"),
        ];
        match self.post("/v1/Rooms", &form).await {
            Some((201, body)) => {
                let row = room_row(&body, Some(&self.receiver)).unwrap();
                self.recorder.lasts(row.sid);
                self.saw_room(row.sid, &row.name);
                self.recorder.heard(asked, Said::Room(row));
            }
            // The name is taken.
            Some((400, body)) if body["code"] == 53113 => {}
            Some((503, _)) | None => {}
            other => self.complain(format!("creating a room: {other:?}")),
        }
    }

    /// Completes a room.
    pub(crate) async fn complete(&self, room: RoomSid) {
        let deed = self.recorder.begins(Touches::Room(room));
        let asked = self.recorder.now();
        match self
            .post(&format!("/v1/Rooms/{room}"), &[("Status", "completed")])
            .await
        {
            Some((202, body)) => {
                let row = room_row(&body, Some(&self.receiver)).unwrap();
                if row.status != RoomStatus::Completed {
                    self.complain(format!("completed, but {row}"));
                }
                self.recorder.heard(asked, Said::Room(row));
                self.recorder.over(deed);
            }
            // It is over already, or on its way there.
            Some((400 | 404, _)) => self.recorder.over(deed),
            Some((503, _)) | None => self.recorder.unknown(deed),
            other => self.complain(format!("completing {room}: {other:?}")),
        }
    }

    /// Removes a participant.
    pub(crate) async fn remove(&self, room: RoomSid, participant: ParticipantSid) {
        let deed = self.recorder.begins(Touches::Participant(participant));
        let asked = self.recorder.now();
        let path = format!("/v1/Rooms/{room}/Participants/{participant}");
        match self.post(&path, &[("Status", "disconnected")]).await {
            Some((202, body)) => {
                let row = participant_row(&body).unwrap();
                if row.status != ParticipantStatus::Disconnected {
                    self.complain(format!("removed, but {row}"));
                }
                self.recorder.heard(asked, Said::Participant(row));
                self.recorder.over(deed);
            }
            Some((404, _)) => {
                self.recorder.heard(asked, Said::NoParticipant(participant));
                self.recorder.over(deed);
            }
            Some((400, _)) => self.recorder.over(deed),
            Some((503, _)) | None => self.recorder.unknown(deed),
            other => self.complain(format!("removing {participant}: {other:?}")),
        }
    }

    pub(crate) async fn fetch(&self, room: RoomSid, participant: ParticipantSid) {
        let asked = self.recorder.now();
        match self.get(&format!("/v1/Rooms/{room}/Participants/{participant}")).await {
            Some((200, body)) => self
                .recorder
                .heard(asked, Said::Participant(participant_row(&body).unwrap())),
            Some((404, _)) => self.recorder.heard(asked, Said::NoParticipant(participant)),
            None => {}
            other => self.complain(format!("fetching {participant}: {other:?}")),
        }
    }

    pub(crate) async fn fetch_room(&self, room: RoomSid) -> Option<RoomStatus> {
        let asked = self.recorder.now();
        match self.get(&format!("/v1/Rooms/{room}")).await {
            Some((200, body)) => {
                let row = room_row(&body, Some(&self.receiver)).unwrap();
                let status = row.status;
                self.recorder.heard(asked, Said::Room(row));
                return Some(status);
            }
            Some((404, _)) => self.recorder.heard(asked, Said::NoRoom(room)),
            None => {}
            other => self.complain(format!("fetching {room}: {other:?}")),
        }
        None
    }

    /// Walks over a room's participants, page by page, with a pause between. How many it showed.
    pub(crate) async fn walk(&self, of: ParticipantsOf, size: usize, pause: Duration) -> usize {
        let size_text = size.to_string();
        let dates = [of.created_after_s, of.created_before_s].map(|second| second.map(date));
        let mut query = vec![("Status", of.status.as_str()), ("PageSize", &*size_text)];
        query.extend(of.identity.as_deref().map(|identity| ("Identity", identity)));
        query.extend(dates[0].as_deref().map(|date| ("DateCreatedAfter", date)));
        query.extend(dates[1].as_deref().map(|date| ("DateCreatedBefore", date)));
        let first = format!("/v1/Rooms/{}/Participants?{}", of.room, encoded(&query));
        let page = |walk: u64, body: &Value| {
            let (rows, next) = page_rows(body, participant_row)?;
            let (of, has_next, shown) = (of.clone(), next.is_some(), rows.len());
            Some((
                Said::Participants(Page {
                    walk,
                    of,
                    size,
                    rows,
                    has_next,
                }),
                next,
                shown,
            ))
        };
        self.walk_from(first, page, pause).await
    }

    /// Walks over the rooms.
    pub(crate) async fn walk_rooms(&self, of: RoomsOf, size: usize, pause: Duration) -> usize {
        let size_text = size.to_string();
        let mut query = vec![("Status", of.status.as_str()), ("PageSize", &*size_text)];
        query.extend(of.name.as_deref().map(|name| ("UniqueName", name)));
        let first = format!("/v1/Rooms?{}", encoded(&query));
        let page = |walk: u64, body: &Value| {
            let (rows, next) = page_rows(body, |row| room_row(row, Some(&self.receiver)))?;
            for row in &rows {
                self.saw_room(row.sid, &row.name);
            }
            let (of, has_next, shown) = (of.clone(), next.is_some(), rows.len());
            Some((
                Said::Rooms(Page {
                    walk,
                    of,
                    size,
                    rows,
                    has_next,
                }),
                next,
                shown,
            ))
        };
        self.walk_from(first, page, pause).await
    }

    async fn walk_from(
        &self,
        first: String,
        page: impl Fn(u64, &Value) -> Option<(Said, Option<String>, usize)>,
        pause: Duration,
    ) -> usize {
        let walk = self.walks.fetch_add(1, Ordering::Relaxed);
        let (mut target, mut total) = (first, 0);
        loop {
            self.up().await;
            let asked = self.recorder.now();
            let answer = self.get(&target).await;
            let Some((200, body)) = answer else {
                // A server that is on its way down; the walk goes on with the next one.
                if answer.is_none() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                self.complain(format!("{target}: {answer:?}"));
                return total;
            };
            let Some((said, next, shown)) = page(walk, &body) else {
                self.complain(format!("{target} is no page: {body}"));
                return total;
            };
            self.recorder.heard(asked, said);
            total += shown;
            match next {
                Some(next) => target = next,
                None => return total,
            }
            tokio::time::sleep(pause).await;
        }
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    text.finish()
}

fn date(second: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(second).unwrap();
    let (hour, minute, second) = date.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date.date())
}
