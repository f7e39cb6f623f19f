//! Starts and stops a server: the store, the media plane, the rooms, the callbacks, and HTTP before
//! them. Nothing is global, so several servers fit in one process.

mod claim;
mod descriptors;
mod error;
mod health;
mod held;
mod listener;
mod owner;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use sfu::SfuConfig;
use store::{DatabaseUrl, PostgresStore, SqliteStore, Store, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use claim::Claim;
pub use descriptors::raise as raise_descriptors;
pub use error::StartError;
pub use held::listener as held_listener;
pub use owner::Owner;
pub(crate) use owner::{master_key, master_key_apart};

use crate::api;
use crate::app::App;
use crate::assets;
use crate::config::{Certificate, Data, Settings};
use crate::door::Door;
use crate::limits;
use crate::master_key::MasterKey;
use crate::memory_watch::MemoryWatch;
use crate::retention;
use crate::rooms::{Media, Rooms, RoomsConfig};
use crate::signaling;
use crate::store_watch::StoreWatch;
use crate::tls;
use crate::vault::Vault;
use crate::webhooks;

/// The name of the database in the data directory.
pub const DATABASE: &str = "rotunda.db";

/// A running server. It goes on when this is dropped; [`Server::shutdown`] ends it.
pub struct Server {
    http_addr: SocketAddr,
    media_addrs: Vec<SocketAddr>,
    app: App,
    owner: Owner,
    claim: Claim,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts everything; when it returns, requests are served.
    ///
    /// # Errors
    /// The first thing that could not be had. Nothing is left running then.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_behind(settings, None).await
    }

    /// Starts everything behind the socket that somebody [holds](held_listener) open for HTTP, if there is one.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_behind(settings: Settings, held: Option<std::net::TcpListener>) -> Result<Self, StartError> {
        // Before the database is touched, so that a second start by mistake changes nothing.
        let claim = Claim::stake(settings, held).await?;
        Self::start_on(&claim).await
    }

    /// Starts everything on what this process has claimed already.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(claim: &Claim) -> Result<Self, StartError> {
        let settings = claim.settings.clone();
        let acceptor = settings.certificate.as_ref().map(tls::acceptor).transpose()?;
        let http = |source| StartError::Http {
            addr: settings.http_addr,
            source,
        };
        let listener = claim
            .listener
            .try_clone()
            .and_then(TcpListener::from_std)
            .map_err(http)?;
        let http_addr = listener.local_addr().map_err(http)?;
        let (store, master_key) = open_store(claim).await?;
        let vault = Vault::open(Arc::clone(&store), master_key, owner::preset(&settings)).await?;
        let owner = owner::establish(&vault, &settings).await?;
        let credentials = Arc::clone(vault.credentials());
        let page_key = store.secret("page_token", owner::random()?).await?;

        let media = start_media(&settings, claim.media_wait).await?;
        let media_addrs = media.local_addrs();
        let stop = CancellationToken::new();
        let stop_if_failed = stop.clone().drop_guard();
        let tasks = TaskTracker::new();
        let callbacks = webhooks::start(
            Arc::clone(&store),
            Arc::clone(&credentials),
            settings.callbacks.clone(),
            stop.clone(),
            &tasks,
        );
        let config = RoomsConfig {
            session_timeout: settings.session_timeout,
            rooms: settings.rooms.clone(),
        };
        let memory = MemoryWatch::start(stop.clone(), &tasks);
        let watch = StoreWatch::start(Arc::clone(&store), stop.clone(), &tasks);
        let rooms = Rooms::start(
            Arc::clone(&store),
            watch.clone(),
            memory,
            media,
            config,
            callbacks.clone(),
        )
        .await?;
        retention::start(Arc::clone(&store), settings.keep, stop.clone(), &tasks);

        let app = App {
            store,
            watch,
            rooms,
            callbacks,
            credentials,
            vault: Arc::new(vault),
            door: Arc::new(Door::new(settings.door, Instant::now())),
            settings: Arc::new(settings),
            page_key,
        };
        let router = router(&app, &owner);
        let door = Arc::clone(&app.door);
        let proxies = Arc::new(app.settings.trusted_proxies.clone());
        tasks.spawn(listener::serve(listener, acceptor, router, door, proxies, stop.clone()));
        stop_if_failed.disarm();
        Ok(Self {
            http_addr,
            media_addrs,
            app,
            owner,
            claim: claim.again().map_err(|source| StartError::Http {
                addr: http_addr,
                source,
            })?,
            stop,
            tasks,
        })
    }

    /// The address of HTTP, with the port that was taken.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The UDP addresses of media, one for each worker, with the ports that were taken.
    pub fn media_addrs(&self) -> &[SocketAddr] {
        &self.media_addrs
    }

    /// What the request handlers share.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The account and key that the server was set up with.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Where this machine reaches the server, for example `http://127.0.0.1:8080`.
    pub fn local_url(&self) -> String {
        let addr = crate::config::local(self.http_addr);
        format!("{}://{addr}", self.app.settings.scheme())
    }

    /// Where applications reach the server: the public URL, else that of this machine.
    pub fn url(&self) -> String {
        self.app.settings.public_url.clone().unwrap_or_else(|| self.local_url())
    }

    /// Where the SDK connects, for example `ws://127.0.0.1:8080/signaling`.
    pub fn signaling_url(&self) -> String {
        crate::config::signaling_url(&self.url())
    }

    /// Resolves when another server has taken over the database: then this one has nothing more to serve.
    pub async fn database_lost(&self) {
        self.app.watch.database_lost().await;
    }

    /// Stops accepting, closes every socket, finishes what is being answered, and waits for it up to
    /// [`limits::SHUTDOWN_TIME_MAX`]. Rooms stay in progress: their participants are `reconnecting`
    /// and resume with the next process.
    pub async fn shutdown(self) {
        // Nobody waits in the queue of a socket that nobody will accept from.
        drop(self.claim);
        Self::end(self.app, self.stop, self.tasks).await;
    }

    /// Stops as [`Server::shutdown`] does, but keeps the lock of the database and the address of HTTP, where clients
    /// wait, for a server that follows in this process. Ports that were free ones stay the same.
    pub async fn hand_over(self) -> Claim {
        let mut claim = self.claim;
        claim.settings.http_addr = self.http_addr;
        claim.settings.media_addrs = self.media_addrs;
        claim.media_wait = limits::MEDIA_PORT_WAIT;
        Self::end(self.app, self.stop, self.tasks).await;
        let closed = async {
            // The store owns a part of the lock until its last thread has ended.
            while claim.lock.as_ref().is_some_and(|lock| Arc::strong_count(lock) > 1) {
                tokio::time::sleep(limits::HAND_OVER_PAUSE).await;
            }
        };
        if tokio::time::timeout(limits::HAND_OVER_TIME_MAX, closed).await.is_err() {
            tracing::error!("the database is still open after the server has stopped");
        }
        claim
    }

    async fn end(app: App, stop: CancellationToken, tasks: TaskTracker) {
        stop.cancel();
        tasks.close();
        let ended = async {
            app.rooms.shutdown().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(limits::SHUTDOWN_TIME_MAX, ended).await.is_err() {
            tracing::warn!(left = tasks.len(), "stopped before everything was finished");
        }
    }
}

/// All that is served. REST and signaling come first; what they do not know is the page's.
fn router(app: &App, owner: &Owner) -> Router {
    let authority = match &app.settings.certificate {
        Some(Certificate::Throwaway { ca, .. }) => tls::authority_router(ca.clone()),
        _ => Router::new(),
    };
    let dev_credentials = app
        .settings
        .credentials_in_page
        .then(|| owner.page_credentials())
        .flatten();
    Router::new()
        .route("/healthz", get(health::alive))
        .route(
            "/readyz",
            get(health::ready).with_state(health::Readiness::new(app.clone())),
        )
        .merge(authority)
        .merge(signaling::router(app.clone()))
        .merge(api::router(app.clone()))
        .merge(assets::router(dev_credentials))
}

/// The store, and the key that the secrets in it are sealed with.
async fn open_store(claim: &Claim) -> Result<(Arc<dyn Store>, MasterKey), StartError> {
    let given = claim.settings.master_key.as_ref();
    if let Some(url) = &claim.settings.database {
        let store = open_database(url).await?;
        let directory = match &claim.settings.data {
            Data::Directory(directory) => Some(directory.as_path()),
            Data::Memory => None,
        };
        let key = master_key_apart(given, directory, &store).await?;
        return Ok((Arc::new(store), key));
    }
    let key = master_key(given, claim.lock())?;
    let store = match &claim.lock {
        None => SqliteStore::in_memory()?,
        Some(lock) => SqliteStore::open_locked(Arc::clone(lock))?,
    };
    Ok((Arc::new(store), key))
}

/// Opens a database that is apart. If another server has it, its end is waited for, since it may have been told to end
/// just now.
async fn open_database(url: &DatabaseUrl) -> Result<PostgresStore, StoreError> {
    let began = Instant::now();
    loop {
        match PostgresStore::open(url).await {
            Err(StoreError::DatabaseInUse { .. }) if began.elapsed() < limits::PREDECESSOR_TIME_MAX => {
                tokio::time::sleep(limits::PREDECESSOR_INTERVAL).await;
            }
            other => return other,
        }
    }
}

/// A predecessor, in this process or another, may need a moment to let go of the ports.
async fn start_media(settings: &Settings, wait: Duration) -> Result<Media, StartError> {
    let config = SfuConfig {
        binds: settings.media_addrs.clone(),
        engine: settings.media_engine,
        loudest_audio: settings.loudest_audio,
        pinned: settings.pin_media_workers,
    };
    let began = Instant::now();
    loop {
        match Media::start(config.clone(), |worker, bound| settings.candidates(worker, bound)) {
            Ok(media) => return Ok(media),
            Err(sfu::StartError::Bind { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && began.elapsed() < wait =>
            {
                tokio::time::sleep(limits::HAND_OVER_PAUSE).await;
            }
            Err(sfu::StartError::Bind { addr, source }) => return Err(StartError::Media { addr, source }),
            Err(sfu::StartError::Other(source)) => return Err(StartError::MediaThreads(source)),
        }
    }
}

/// Makes the directory, readable for its owner alone; one that is there stays as it is.
pub(crate) fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
