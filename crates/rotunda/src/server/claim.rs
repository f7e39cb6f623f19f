//! What a server claims before it starts, and hands over to its successor in the same process: nobody gets in between.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{DatabaseLock, StoreError};

use super::{DATABASE, StartError, make_private_dir};
use crate::config::{Data, Settings};
use crate::limits;

/// The data directory and the address of HTTP, for the one server that these settings are of.
pub struct Claim {
    pub(super) settings: Settings,
    /// `None`: nothing is kept.
    pub(super) lock: Option<Arc<DatabaseLock>>,
    pub(super) listener: TcpListener,
    /// How long a predecessor may take to let go of the media port.
    pub(super) media_wait: Duration,
}

impl Claim {
    /// Takes what the settings name; for HTTP the socket that somebody holds open for this server, if there is one.
    pub(super) async fn stake(mut settings: Settings, held: Option<TcpListener>) -> Result<Self, StartError> {
        let http = |source| StartError::Http {
            addr: settings.http_addr,
            source,
        };
        let listener = match held {
            Some(listener) => listener,
            None => {
                let listener = tokio::net::TcpListener::bind(settings.http_addr).await.map_err(http)?;
                listener.into_std().map_err(http)?
            }
        };
        // One that is held may block, and be elsewhere than the settings say.
        listener.set_nonblocking(true).map_err(http)?;
        settings.http_addr = listener.local_addr().map_err(http)?;
        let mut media_wait = Duration::ZERO;
        let lock = match &settings.data {
            Data::Memory => None,
            Data::Directory(dir) => {
                make_private_dir(dir).map_err(|source| StartError::DataDirectory {
                    dir: dir.clone(),
                    source,
                })?;
                let (lock, waited) = lock(&dir.join(DATABASE)).await?;
                if waited {
                    media_wait = limits::MEDIA_PORT_WAIT;
                }
                Some(lock)
            }
        };
        Ok(Self {
            settings,
            lock,
            listener,
            media_wait,
        })
    }

    /// The lock of the database, if there is one that is kept.
    pub fn lock(&self) -> Option<&Arc<DatabaseLock>> {
        self.lock.as_ref()
    }

    /// Another owner of the same.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            settings: self.settings.clone(),
            lock: self.lock.clone(),
            listener: self.listener.try_clone()?,
            media_wait: self.media_wait,
        })
    }
}

/// Takes the database. If another process has it, its end is waited for, since it may have been told
/// to end just now; whether that was so is the second value.
async fn lock(database: &Path) -> Result<(Arc<DatabaseLock>, bool), StoreError> {
    let start = Instant::now();
    let mut waited = false;
    loop {
        match DatabaseLock::take(database) {
            Err(StoreError::InUse { .. }) if start.elapsed() < limits::PREDECESSOR_TIME_MAX => {
                if !waited {
                    tracing::info!("another process uses the database: waiting for its end");
                }
                waited = true;
                tokio::time::sleep(limits::PREDECESSOR_INTERVAL).await;
            }
            other => return Ok((other?, waited)),
        }
    }
}
