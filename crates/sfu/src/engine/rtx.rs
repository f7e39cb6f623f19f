//! How many retransmissions on RTX a client may have: so many for each packet it was sent.
//!
//! A client that asks for everything again and again would make us send without end, from a few
//! bytes of its own.

use crate::limits;

/// The account of one client.
#[derive(Debug)]
pub(super) struct RtxBudget {
    saved: u32,
    used_up: bool,
}

impl RtxBudget {
    pub(super) fn new() -> Self {
        Self {
            saved: limits::RTX_SAVED_MAX,
            used_up: false,
        }
    }

    /// A packet that may be asked for again was sent; true if retransmissions begin again with it.
    pub(super) fn sent(&mut self) -> bool {
        self.saved = (self.saved + limits::RTX_PER_PACKET).min(limits::RTX_SAVED_MAX);
        let begins = self.used_up && self.saved >= limits::RTX_RESUME;
        self.used_up &= !begins;
        begins
    }

    /// A retransmission is about to go out.
    ///
    /// # Errors
    /// If it may not; what waits behind the first such one is to be thrown away.
    pub(super) fn take(&mut self) -> Result<(), UsedUp> {
        if !self.used_up && self.saved > 0 {
            self.saved -= 1;
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.used_up, true);
        Err(UsedUp { first })
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.used_up
    }
}

/// There is nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedUp {
    /// Since just now.
    pub(super) first: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_of_two_thirds_is_repaired_and_a_flood_is_not() {
        let mut budget = RtxBudget::new();
        for _ in 0..10_000 {
            assert!(!budget.sent());
            assert!((0..limits::RTX_PER_PACKET).all(|_| budget.take().is_ok()));
        }
        let granted = (0..1_000_000).filter(|_| budget.take().is_ok()).count();
        assert_eq!(granted, (limits::RTX_SAVED_MAX - limits::RTX_PER_PACKET) as usize);
        assert_eq!(budget.take(), Err(UsedUp { first: false }));
        // It begins again when some are saved.
        let sent = (1..).find(|_| budget.sent());
        assert_eq!(sent, Some(limits::RTX_RESUME / limits::RTX_PER_PACKET));
        assert!(budget.take().is_ok());
    }
}
