//! A server with its credentials, and short ways to look at its rows.

use std::path::Path;
use std::time::{Duration, SystemTime};

use room::{ParticipantStatus, RoomStatus};
use rotunda::access_token;
use rotunda::config::{Data, Settings};
use rotunda::credentials::ApiKey;
use rotunda::server::Server;
use serde_json::Value;
use store::{PageRequest, ParticipantFilter, ParticipantRow, RoomFilter, RoomRow};
use testkit::signaling::Client;

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) url: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::ephemeral();
        settings.database = testkit::postgres::wanted().map(|url| url.parse().expect("a URL"));
        change(&mut settings);
        let server = Server::start(settings).await.expect("a server on free ports");
        let url = server.signaling_url();
        Self { server, url }
    }

    /// A server whose rows outlive it.
    pub(crate) async fn in_directory(directory: &Path) -> Self {
        Self::with(|settings| {
            settings.data = Data::Directory(directory.to_owned());
            settings.database = testkit::postgres::wanted_in(directory).map(|url| url.parse().expect("a URL"));
            settings.session_timeout = Duration::from_secs(5);
        })
        .await
    }

    pub(crate) fn key(&self) -> ApiKey {
        self.server.owner().api_key.clone().expect("made at the start")
    }

    pub(crate) fn token(&self, identity: &str, room: Option<&str>) -> String {
        access_token::issue(&self.key(), identity, room, 3600, now_s()).expect("HS256 signs")
    }

    pub(crate) async fn join(&self, identity: &str, room: &str) -> (Client, Value) {
        Client::join(&self.url, &self.token(identity, None), Some(room))
            .await
            .expect("let in")
    }

    pub(crate) async fn rooms(&self, status: RoomStatus, name: &str) -> Vec<RoomRow> {
        let filter = RoomFilter {
            status,
            unique_name: Some(name.to_owned()),
            created_from_s: None,
            created_before_s: None,
        };
        let page = PageRequest {
            size: 1000,
            from: None,
            backwards: false,
        };
        self.server
            .app()
            .store
            .rooms(self.key().account, filter, page)
            .await
            .expect("rooms")
            .rows
    }

    pub(crate) async fn room(&self, name: &str) -> RoomRow {
        let account = self.key().account;
        self.server
            .app()
            .store
            .room_in_progress(account, name)
            .await
            .expect("a read")
            .expect("the room is in progress")
    }

    /// Everyone who ever was in the room, oldest first.
    pub(crate) async fn participants(&self, room: &RoomRow) -> Vec<ParticipantRow> {
        let page = PageRequest {
            size: 1000,
            from: None,
            backwards: false,
        };
        let store = &self.server.app().store;
        let list = store.participants(room.account, room.new.sid, ParticipantFilter::default(), page);
        let mut rows = list.await.expect("participants").rows;
        rows.reverse();
        rows
    }

    /// Waits until the statuses of the room's participants, oldest first, are these.
    pub(crate) async fn settles(&self, room: &RoomRow, wanted: &[ParticipantStatus]) -> Vec<ParticipantRow> {
        for _ in 0..400 {
            let rows = self.participants(room).await;
            if rows.iter().map(|row| row.status).eq(wanted.iter().copied()) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("wanted {wanted:?}, found {:?}", self.participants(room).await);
    }
}

pub(crate) fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap()
}
