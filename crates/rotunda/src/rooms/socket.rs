//! A client's socket as its room sees it: a bounded queue of what is to be said.

use protocol::signaling::ServerMessage;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

/// What a socket is to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message.
    Message(ServerMessage),
    /// The last one, after which the client says goodbye and closes.
    Farewell(Option<ServerMessage>),
    /// Close now with this code; the client resumes elsewhere or later.
    Close(u16),
}

/// One socket of a participant. A resumed session has a new one.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    /// Unique in the process, so that the late end of an old socket is told from that of the new.
    pub(crate) id: u64,
    /// To its task.
    pub(crate) queue: mpsc::Sender<Outgoing>,
    /// Tells its task that the room has given it up, since its client reads too slowly.
    pub(crate) given_up: CancellationToken,
}

/// What became of something that was to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It waits to be sent, or the socket is at its end and will say so itself.
    Passed,
    /// The client reads too slowly: the socket is given up.
    GivenUp,
}

impl Socket {
    pub(super) fn send(&self, outgoing: Outgoing) -> Sent {
        match self.queue.try_send(outgoing) {
            Ok(()) | Err(TrySendError::Closed(_)) => Sent::Passed,
            Err(TrySendError::Full(_)) => {
                self.given_up.cancel();
                Sent::GivenUp
            }
        }
    }
}
