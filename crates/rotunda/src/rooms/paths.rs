//! Watches whether media arrives at all: when none does from anybody, the way to the UDP port is the
//! likely reason, and an operator is told once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sfu::TransportId;

use super::limits;

/// The state of every transport's path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    paths: HashMap<TransportId, Path>,
    /// Since when it is said that nothing arrives.
    said: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Path {
    /// Described, and never heard of.
    Awaited {
        since: Instant,
    },
    Up,
    /// Silent.
    Down {
        since: Instant,
    },
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing arrives on this many paths.
    Silence(usize),
    /// Something arrives again, after this time.
    Heard(Duration),
}

impl Paths {
    pub(super) fn awaited(&mut self, transport: TransportId, now: Instant) {
        self.paths.entry(transport).or_insert(Path::Awaited { since: now });
    }

    pub(super) fn up(&mut self, transport: TransportId) {
        self.set(transport, Path::Up);
    }

    pub(super) fn down(&mut self, transport: TransportId, now: Instant) {
        self.set(transport, Path::Down { since: now });
    }

    pub(super) fn gone(&mut self, transport: TransportId) {
        self.paths.remove(&transport);
    }

    /// What is to be said now.
    pub(super) fn observe(&mut self, now: Instant) -> Option<Told> {
        let is_heard = self.paths.values().any(|path| matches!(path, Path::Up));
        match self.said {
            Some(since) if is_heard => {
                self.said = None;
                Some(Told::Heard(now.duration_since(since)))
            }
            None if !is_heard && self.is_silent(now) => {
                self.said = Some(now);
                Some(Told::Silence(self.paths.len()))
            }
            _ => None,
        }
    }

    /// One that falls silent alone may be a machine that sleeps; one that is never heard, or several
    /// at once, is no accident.
    fn is_silent(&self, now: Instant) -> bool {
        let lasts = |since: Instant| now.duration_since(since) >= limits::SILENCE;
        let never = self
            .paths
            .values()
            .any(|path| matches!(path, Path::Awaited { since } if lasts(*since)));
        let down = self
            .paths
            .values()
            .filter(|path| matches!(path, Path::Down { since } if lasts(*since)))
            .count();
        never || down > 1
    }

    fn set(&mut self, transport: TransportId, path: Path) {
        if let Some(known) = self.paths.get_mut(&transport) {
            *known = path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: TransportId = TransportId(1);
    const OTHER: TransportId = TransportId(2);

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut paths = Paths::default();
        paths.awaited(ONE, at(0));
        assert_eq!(paths.observe(at(14)), None);
        assert_eq!(paths.observe(at(15)), Some(Told::Silence(1)));
        assert_eq!(paths.observe(at(16)), None);
        paths.up(ONE);
        assert_eq!(paths.observe(at(17)), Some(Told::Heard(Duration::from_secs(2))));
        assert_eq!(paths.observe(at(40)), None);
    }

    #[test]
    fn one_of_several_that_is_not_heard_is_its_own_business() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut paths = Paths::default();
        for transport in [ONE, OTHER] {
            paths.awaited(transport, at(0));
            paths.up(transport);
        }
        paths.down(ONE, at(1));
        assert_eq!(paths.observe(at(60)), None);
        paths.down(OTHER, at(60));
        assert_eq!(paths.observe(at(70)), None);
        assert_eq!(paths.observe(at(75)), Some(Told::Silence(2)));
        paths.gone(OTHER);
        paths.up(ONE);
        assert!(matches!(paths.observe(at(80)), Some(Told::Heard(_))));
        // Alone and silent: a machine that sleeps.
        paths.down(ONE, at(81));
        assert_eq!(paths.observe(at(200)), None);
    }
}
