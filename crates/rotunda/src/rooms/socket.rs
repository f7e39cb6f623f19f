//! A client's socket as its room sees it: a bounded queue of what is to be said.

use protocol::signaling::ServerMessage;
use tokio::sync::mpsc;

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
}

impl Socket {
    /// False if the socket is gone or its client reads too slowly.
    pub(super) fn send(&self, outgoing: Outgoing) -> bool {
        self.queue.try_send(outgoing).is_ok()
    }
}
