//! The server's side: accepts operators' connections, reads a request from each, and writes what is replied.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::path::ShortPath;
use super::{Line, Request, SOCKET};
use crate::limits;

/// A request with the way to answer it.
pub struct Job {
    /// What is asked.
    pub request: Request,
    /// To whom it is answered.
    pub reply: Reply,
}

/// The answer to one request. Dropped without an end, it ends as failed.
pub struct Reply {
    lines: mpsc::Sender<Line>,
    gone: CancellationToken,
}

impl Reply {
    /// Says how far it is. An operator who reads too slowly misses some of these.
    pub fn progress(&self, sentence: impl Into<String>) {
        // Full or closed: progress is worth waiting for nobody.
        self.lines.try_send(Line::Progress(sentence.into())).ok();
    }

    /// Ends it well; returns when the operator has it, or cannot be told within some seconds.
    pub async fn done(self, sentence: impl Into<String>) {
        self.end(Line::Done(sentence.into())).await;
    }

    /// Ends it badly; returns as [`Reply::done`].
    pub async fn failed(self, sentence: impl Into<String>) {
        self.end(Line::Failed(sentence.into())).await;
    }

    /// Resolves when the operator has gone away, for example by Ctrl-C.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    async fn end(self, line: Line) {
        // An operator who has gone needs no end.
        if self.lines.send(line).await.is_ok() {
            self.lines.closed().await;
        }
    }
}

/// The socket of a running server. Dropped, it is gone.
pub struct Channel {
    path: PathBuf,
    jobs: mpsc::Receiver<Job>,
    accepting: JoinHandle<()>,
}

impl Channel {
    /// Makes the socket in the data directory in place of what an earlier process left. The caller holds the lock of the
    /// database there, so that no living server loses its socket. Needs a runtime.
    ///
    /// # Errors
    /// The directory's file system takes no socket, or it is not writable.
    pub fn listen(directory: &Path) -> io::Result<Self> {
        // Made under another name, so that nobody can connect before it is for its owner alone.
        let fresh = directory.join(format!("{SOCKET}.new"));
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(ShortPath::new(directory, &format!("{SOCKET}.new"))?.as_path())?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
        let path = directory.join(SOCKET);
        std::fs::rename(&fresh, &path)?;
        let (queue, jobs) = mpsc::channel(limits::OPERATORS_MAX);
        Ok(Self {
            path,
            jobs,
            accepting: tokio::spawn(accept(listener, queue)),
        })
    }

    /// The next request. Requests wait while another one is being done.
    pub async fn next(&mut self) -> Job {
        match self.jobs.recv().await {
            Some(job) => job,
            // The accepting task never ends by itself.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the operator's socket was not removed");
        }
    }
}

async fn accept(listener: UnixListener, jobs: mpsc::Sender<Job>) {
    let places = Arc::new(Semaphore::new(limits::OPERATORS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    converse(stream, jobs).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(limits::OPERATOR_ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from the request to the last line.
async fn converse(stream: UnixStream, jobs: mpsc::Sender<Job>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let request = match tokio::time::timeout(limits::OPERATOR_TIME_MAX, read(&mut reader)).await {
        Ok(Ok(request)) => request,
        Ok(Err(why)) => {
            write(&mut writer, &Line::Failed(why)).await;
            return;
        }
        Err(_) => return,
    };
    let (lines, mut replies) = mpsc::channel(limits::OPERATOR_LINES);
    let gone = CancellationToken::new();
    let reply = Reply {
        lines,
        gone: gone.clone(),
    };
    if jobs.send(Job { request, reply }).await.is_err() {
        return;
    }
    let mut is_there = true;
    loop {
        let line = tokio::select! {
            line = replies.recv() => line,
            // An operator says nothing more: whatever comes is the end.
            _ = reader.read_u8(), if is_there => {
                is_there = false;
                gone.cancel();
                continue;
            }
        };
        let line = line.unwrap_or_else(|| Line::Failed("the server stopped before this was done".to_owned()));
        if !write(&mut writer, &line).await {
            gone.cancel();
            is_there = false;
        }
        if !matches!(line, Line::Progress(_)) {
            return;
        }
    }
}

/// Reads the request; else a sentence on what is wrong with it.
async fn read(reader: &mut BufReader<OwnedReadHalf>) -> Result<Request, String> {
    let mut line = Vec::new();
    let read = reader
        .take(limits::OPERATOR_REQUEST_LEN_MAX)
        .read_until(b'\n', &mut line)
        .await;
    read.map_err(|error| format!("the request could not be read: {error}"))?;
    serde_json::from_slice(&line).map_err(|error| {
        format!(
            "this server, {}, does not know the request: {error}; use the command line of the same version",
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// False if the operator cannot be told.
async fn write(writer: &mut OwnedWriteHalf, line: &Line) -> bool {
    let Ok(mut text) = serde_json::to_vec(line) else {
        return false;
    };
    text.push(b'\n');
    let written = tokio::time::timeout(limits::OPERATOR_TIME_MAX, writer.write_all(&text)).await;
    matches!(written, Ok(Ok(())))
}
