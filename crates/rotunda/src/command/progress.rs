//! A line on the terminal that tells how far a command is. Scripts, which read no terminal, see nothing of it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A terminal gains nothing by more.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line; it is wiped away when this is dropped.
pub(super) struct Progress {
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self {
            shown: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Shows the sentence, unless another one is that fresh.
    pub(super) fn tell(&mut self, sentence: &str) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to tell if stderr is closed.
        write!(stderr, "\r\x1b[K{sentence}").and_then(|()| stderr.flush()).ok();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}
