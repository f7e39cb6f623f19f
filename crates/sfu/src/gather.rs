//! Whether it pays to wait a moment for the rest of a frame before what came of it is sent.
//!
//! The packets of a frame come one after the other within some 10 µs each, where nobody spaces them out. Those to one
//! receiver that are sent together go to the kernel in one piece, which costs little more than one of them. Publishers
//! that space them out are found by waiting for them in vain, and are not waited for then.

/// Waits in vain, one after the other, that make the pauses no longer.
const VAIN_MAX: u32 = 6;

/// How often waiting paid of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Patience {
    in_vain: u32,
    /// So many times it is not waited.
    pause: u32,
}

impl Patience {
    /// A frame is not complete: whether to wait for the rest of it.
    pub(crate) fn waits(&mut self) -> bool {
        let waits = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        waits
    }

    /// It was waited; whether more of the frame came. After a wait in vain the next one is twice as far.
    pub(crate) fn waited(&mut self, has_paid: bool) {
        self.in_vain = match has_paid {
            true => 0,
            false => (self.in_vain + 1).min(VAIN_MAX),
        };
        self.pause = (1 << self.in_vain) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_of(patience: &mut Patience, times: u32, has_paid: bool) -> u32 {
        let mut waits = 0;
        for _ in 0..times {
            if patience.waits() {
                waits += 1;
                patience.waited(has_paid);
            }
        }
        waits
    }

    #[test]
    fn what_pays_is_done_and_what_does_not_is_tried_now_and_then() {
        let mut patience = Patience::default();
        assert_eq!(waits_of(&mut patience, 100, true), 100);
        assert_eq!(waits_of(&mut patience, 6400, false), 5 + (6400 - 62) / 64 + 1);
        let until_next = (1..).find(|_| patience.waits());
        assert!(until_next.is_some_and(|times| times <= 64));
        patience.waited(true);
        assert_eq!(waits_of(&mut patience, 100, true), 100);
    }
}
