//! Rows of a database as lines on standard output, however many they are.

use std::io::{self, BufWriter, StdoutLock, Write};

use store::StoreError;

use super::{Failure, with_causes};

/// Why rows are not told to their end.
pub(super) enum Stop {
    Read(StoreError),
    Print(io::Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Read(error)
    }
}

/// Lines, with a head before the first.
pub(super) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    head: Option<String>,
}

impl Lines {
    /// With these heads of columns, if any.
    pub(super) fn new(head: Option<&[&str]>) -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
            head: head.map(|columns| columns.join("  ")),
        }
    }

    pub(super) fn tell(&mut self, line: &str) -> Result<(), Stop> {
        if let Some(head) = self.head.take() {
            writeln!(self.out, "{head}").map_err(Stop::Print)?;
        }
        writeln!(self.out, "{line}").map_err(Stop::Print)
    }

    /// What becomes of the command, after rows of this were read.
    pub(super) fn end(mut self, what: &str, read: Result<(), Stop>) -> Result<(), Failure> {
        match read.and_then(|()| self.out.flush().map_err(Stop::Print)) {
            Ok(()) => Ok(()),
            // Whoever reads has enough, as `head` does.
            Err(Stop::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(Stop::Print(error)) => Err(Failure::Other(format!("standard output cannot be written: {error}"))),
            Err(Stop::Read(error)) => Err(unreadable(what, &error)),
        }
    }
}

/// The database is there, and this cannot be read in it.
pub(super) fn unreadable(what: &str, error: &StoreError) -> Failure {
    Failure::Other(format!(
        "{what} cannot be read: {}; run this as the user of the server",
        with_causes(error)
    ))
}
