//! When each transport is to be called: a wheel of time slots (Varghese and Lauck 1987, scheme 4), where setting, moving and
//! finding a timer cost the same however many there are, and nothing is allocated once as many were set.
//!
//! A timer beyond the wheel's turn fires at its end, too early: whoever set it looks at the time and sets it again.

use std::time::{Duration, Instant};

use crate::TransportId;

/// How exact timers are: none fires early but those beyond the turn, and none later than this.
const SLOT: Duration = Duration::from_millis(1);

/// Slots of a turn; a multiple of 64.
const SLOTS: u64 = 1024;

/// No node.
const NONE: u32 = u32::MAX;

/// Timers of transports.
#[derive(Debug)]
pub(crate) struct Wheel {
    began: Instant,
    /// All slots before it have fired. Counted from `began`, as are those of the nodes.
    next: u64,
    /// The first node of each slot, by its number in the turn.
    heads: Box<[u32]>,
    /// A bit for each slot that has nodes.
    occupied: [u64; (SLOTS / 64) as usize],
    nodes: Vec<Node>,
    /// The first of those that are not used.
    free: u32,
}

#[derive(Debug)]
struct Node {
    transport: TransportId,
    slot: u64,
    before: u32,
    after: u32,
}

/// A timer that is set. It is of no use once it fired or was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer(u32);

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            next: 0,
            heads: vec![NONE; SLOTS as usize].into(),
            occupied: [0; (SLOTS / 64) as usize],
            nodes: Vec::new(),
            free: NONE,
        }
    }

    /// Calls a transport at this time.
    pub(crate) fn set(&mut self, transport: TransportId, at: Instant) -> Timer {
        let slot = self.slot_of(at);
        let head = self.heads[index(slot)];
        let node = Node {
            transport,
            slot,
            before: NONE,
            after: head,
        };
        let number = match self.free {
            NONE => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
            free => {
                self.free = self.nodes[free as usize].after;
                self.nodes[free as usize] = node;
                free
            }
        };
        if head != NONE {
            self.nodes[head as usize].before = number;
        }
        self.heads[index(slot)] = number;
        self.occupied[index(slot) / 64] |= 1 << (slot % 64);
        Timer(number)
    }

    /// Takes a timer out.
    pub(crate) fn take_out(&mut self, timer: Timer) {
        let Node {
            slot, before, after, ..
        } = self.nodes[timer.0 as usize];
        if after != NONE {
            self.nodes[after as usize].before = before;
        }
        match before {
            NONE => self.heads[index(slot)] = after,
            before => self.nodes[before as usize].after = after,
        }
        if self.heads[index(slot)] == NONE {
            self.occupied[index(slot) / 64] &= !(1 << (slot % 64));
        }
        self.nodes[timer.0 as usize].after = self.free;
        self.free = timer.0;
    }

    /// Whether a timer set to this time would fire before that one.
    pub(crate) fn is_before(&self, at: Instant, timer: Timer) -> bool {
        self.slot_of(at) < self.nodes[timer.0 as usize].slot
    }

    /// A transport whose time has come; its timer is out then.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<TransportId> {
        let passed = self.slots_until(now);
        match self.first().filter(|slot| *slot <= passed) {
            Some(slot) => {
                let number = self.heads[index(slot)];
                let transport = self.nodes[number as usize].transport;
                self.take_out(Timer(number));
                self.next = self.next.max(slot);
                Some(transport)
            }
            None => {
                self.next = self.next.max(passed + 1);
                None
            }
        }
    }

    /// When the first fires.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let after = |slot| Duration::from_micros(slot * SLOT.as_micros() as u64);
        self.first().map(|slot| self.began + after(slot))
    }

    /// How many are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let used = |number: u32| (number != NONE).then_some(number);
        let unused = std::iter::successors(used(self.free), |free| used(self.nodes[*free as usize].after));
        self.nodes.len() - unused.count()
    }

    /// The first slot that has nodes.
    fn first(&self) -> Option<u64> {
        let from = self.next % SLOTS;
        // The word of `from` is looked at twice: from it on, and at the end up to it.
        (0..=SLOTS / 64).find_map(|step| {
            let word = (from / 64 + step) % (SLOTS / 64);
            let ahead = u64::MAX << (from % 64);
            let bits = self.occupied[word as usize]
                & match step {
                    0 => ahead,
                    step if step == SLOTS / 64 => !ahead,
                    _ => u64::MAX,
                };
            let slot = word * 64 + u64::from(bits.trailing_zeros());
            (bits != 0).then(|| self.next + (slot + SLOTS - from) % SLOTS)
        })
    }

    /// Within the turn that begins now.
    fn slot_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_micros() as u64;
        since
            .div_ceil(SLOT.as_micros() as u64)
            .clamp(self.next, self.next + SLOTS - 1)
    }

    /// Those that are over.
    fn slots_until(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_micros() as u64 / SLOT.as_micros() as u64
    }
}

fn index(slot: u64) -> usize {
    (slot % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What is done to a wheel, with the milliseconds of it.
    #[derive(Debug, Clone)]
    enum Step {
        Set(u64, u64),
        TakeOut(u64),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u64..40, 0_u64..5000).prop_map(|(transport, us)| Step::Set(transport, us)),
            2 => (0_u64..40, 0_u64..900_000).prop_map(|(transport, us)| Step::Set(transport, us)),
            1 => (0_u64..40, 0_u64..9_000_000).prop_map(|(transport, us)| Step::Set(transport, us)),
            1 => (0_u64..40).prop_map(Step::TakeOut),
            3 => (0_u64..3000).prop_map(Step::Pass),
            1 => (0_u64..4_000_000).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 1..300)
    }

    proptest! {
        #[test]
        fn every_timer_fires_in_its_slot_or_at_the_end_of_the_turn(steps in steps()) {
            let start = Instant::now();
            let mut now = start;
            let mut wheel = Wheel::new(start);
            // Its timer, when it is to fire, and when the wheel was told.
            let mut set: BTreeMap<u64, (Timer, Instant, Instant)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(transport, us) => {
                        let at = now + Duration::from_micros(us);
                        if let Some((timer, before, _)) = set.remove(&transport) {
                            if wheel.is_before(at, timer) {
                                prop_assert!(at < before);
                            }
                            wheel.take_out(timer);
                        }
                        set.insert(transport, (wheel.set(TransportId(transport), at), at, now));
                    }
                    Step::TakeOut(transport) => {
                        if let Some((timer, ..)) = set.remove(&transport) {
                            wheel.take_out(timer);
                        }
                    }
                    Step::Pass(us) => {
                        now += Duration::from_micros(us);
                        while let Some(TransportId(transport)) = wheel.pop(now) {
                            let fired = set.remove(&transport);
                            prop_assert!(fired.is_some_and(|(_, at, told)| at <= now
                                || now >= told + SLOT * (SLOTS as u32 - 2)));
                        }
                        for (_, at, _) in set.values() {
                            prop_assert!(*at + SLOT > now, "late");
                        }
                    }
                }
                let first = set.values().map(|(_, at, _)| *at).min();
                prop_assert_eq!(wheel.next_at().is_some(), first.is_some());
                if let (Some(next), Some(first)) = (wheel.next_at(), first) {
                    prop_assert!(next <= first.max(now) + 2 * SLOT);
                }
                prop_assert!(wheel.len() == set.len() && wheel.nodes.len() <= 40);
            }
        }
    }
}
