//! Why a server does not start, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use store::{Outage, StoreError};

use crate::master_key::MasterKeyError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP address cannot be had.
    #[error("cannot serve HTTP on {addr}")]
    Http {
        /// What was wanted.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is held open for HTTP is not one TCP socket.
    #[error("cannot serve HTTP on the socket that is held for this program (LISTEN_FDS)")]
    Held(#[source] io::Error),
    /// The media address cannot be had.
    #[error("cannot receive media on UDP {addr}")]
    Media {
        /// What was wanted.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate of media, or a thread that carries it.
    #[error("cannot start the media workers")]
    MediaThreads(#[source] io::Error),
    /// The data directory cannot be made.
    #[error("cannot make the data directory {}", dir.display())]
    DataDirectory {
        /// Which.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot use {what}: {why}")]
    Certificate {
        /// The file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Secrets cannot be opened or sealed.
    #[error(transparent)]
    MasterKey(MasterKeyError),
    /// What is set from outside does not fit what is stored.
    #[error("{0}")]
    Credentials(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl StartError {
    /// What an operator can do about it, as the second half of a sentence.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Http { source, .. } => Some(match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "stop the program that uses the port, or choose another one with --http-addr"
                }
                io::ErrorKind::AddrNotAvailable => "give an address of this machine with --http-addr",
                _ => "choose another address with --http-addr",
            }),
            Self::Held(_) => Some("give one ListenStream= with an address and a port, without Accept=yes"),
            Self::Media { source, .. } => Some(match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "stop the program that uses the port, choose another one with --media-addr, or use fewer with --media-workers"
                }
                io::ErrorKind::AddrNotAvailable => "give an address of this machine with --media-addr",
                _ => "choose another address with --media-addr",
            }),
            Self::DataDirectory { .. } | Self::Store(StoreError::NotWritable { .. }) => {
                Some("name a directory that can be written with --data-dir")
            }
            Self::Store(StoreError::InUse { .. }) => {
                Some("stop that process, or name another directory with --data-dir")
            }
            Self::Store(StoreError::Unavailable {
                outage: Outage::Away, ..
            }) => Some(
                "see that PostgreSQL runs and lets this program in, and that ROTUNDA_DATABASE_URL or --database-url-file has its host, port, database and user",
            ),
            Self::Certificate { .. } => Some("give PEM files with --tls-cert and --tls-key"),
            Self::MasterKey(error) => error.advice(),
            Self::MediaThreads(_) | Self::Store(_) | Self::Credentials(_) | Self::Random => None,
        }
    }
}
