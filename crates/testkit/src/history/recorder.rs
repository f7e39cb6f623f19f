//! Collects a history from many tasks at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use room::RoomSid;

use super::{Deed, Fact, History, Moment, Said, Touches};

/// Collects a history with times of the monotonic clock.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    history: Mutex<Open>,
}

/// A history that is still written.
#[derive(Debug, Default)]
struct Open {
    history: History,
    /// Deeds of which nobody knows whether they were done.
    unknown: Vec<usize>,
}

impl Open {
    fn begin(&mut self, began: Moment, touches: Touches) -> usize {
        let over = Moment::NEVER;
        self.history.deeds.push(Deed { began, over, touches });
        self.history.deeds.len() - 1
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            history: Mutex::default(),
        }
    }
}

impl Recorder {
    /// Now. Take it before asking.
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Something that was asked for at this moment and is there now.
    pub fn heard(&self, asked: Moment, said: Said) {
        let mut open = self.lock();
        let answered = self.now();
        open.history.facts.push(Fact { asked, answered, said });
    }

    /// Something that came by itself.
    pub fn told(&self, said: Said) {
        self.heard(Moment::default(), said);
    }

    /// A deed begins. Its number, for [`Self::over`].
    pub fn begins(&self, touches: Touches) -> usize {
        let mut open = self.lock();
        let began = self.now();
        open.begin(began, touches)
    }

    /// As [`Self::begins`], of what was found out later: it may have begun at this moment.
    pub fn began(&self, began: Moment, touches: Touches) -> usize {
        self.lock().begin(began, touches)
    }

    /// A deed is known to be done, or not to be done any more.
    pub fn over(&self, deed: usize) {
        let mut open = self.lock();
        let now = self.now();
        open.history.deeds[deed].over = now;
    }

    /// Nobody knows whether a deed was done or will be: not before the server is dead, for sure,
    /// which is the next time that somebody says so.
    pub fn unknown(&self, deed: usize) {
        self.lock().unknown.push(deed);
    }

    /// The server is dead: nothing can happen any more of what was unknown.
    pub fn dead(&self) {
        let mut open = self.lock();
        let now = self.now();
        for deed in std::mem::take(&mut open.unknown) {
            open.history.deeds[deed].over = now;
        }
    }

    /// This room ends only by a deed.
    pub fn lasts(&self, room: RoomSid) {
        self.lock().history.lasting.insert(room);
    }

    /// What was recorded so far.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each holder pushes or changes one whole value.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
