//! The command line's side: asks the running server and waits for its answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::path::ShortPath;
use super::{Line, Request, SOCKET};
use crate::limits;

/// Why the running server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No server runs on the data directory.
    #[error("no server runs on {}", directory.display())]
    NotServing {
        /// The data directory.
        directory: PathBuf,
    },
    /// The socket is there and cannot be used.
    #[error("the server on {} cannot be asked", directory.display())]
    Unreachable {
        /// The data directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server ended without an answer.
    #[error("the server ended before it said that this was done")]
    Lost,
    /// The server's own words.
    #[error("{0}")]
    Failed(String),
}

/// Asks the server that runs on the data directory, tells each line of progress, and returns what came of it. Blocks for
/// as long as the server takes.
///
/// # Errors
/// No server runs there, or it did not do it.
pub fn ask(directory: &Path, request: &Request, mut progress: impl FnMut(&str)) -> Result<String, AskError> {
    let unreachable = |source| AskError::Unreachable {
        directory: directory.to_owned(),
        source,
    };
    let socket = match connect(directory) {
        Ok(socket) => socket,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(AskError::NotServing {
                directory: directory.to_owned(),
            });
        }
        Err(error) => return Err(unreachable(error)),
    };
    let mut text = serde_json::to_vec(request).map_err(|error| unreachable(error.into()))?;
    text.push(b'\n');
    (&socket).write_all(&text).map_err(unreachable)?;
    let mut lines = BufReader::new(socket);
    loop {
        let mut text = Vec::new();
        let read = (&mut lines)
            .take(limits::OPERATOR_REQUEST_LEN_MAX)
            .read_until(b'\n', &mut text);
        read.map_err(|_| AskError::Lost)?;
        match serde_json::from_slice(&text).map_err(|_| AskError::Lost)? {
            Line::Progress(sentence) => progress(&sentence),
            Line::Done(sentence) => return Ok(sentence),
            Line::Failed(sentence) => return Err(AskError::Failed(sentence)),
        }
    }
}

fn connect(directory: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(ShortPath::new(directory, SOCKET)?.as_path())
}
