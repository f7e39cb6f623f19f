//! What one side remembers of packets to tell the other, or to be told: reports, losses, arrivals.
//!
//! All of it is pure: the clock is an argument, and bytes are written and read in `wire`.

pub(crate) mod arrivals;
pub(crate) mod missing;
pub(crate) mod reception;
pub(crate) mod sent;

/// The number with its upper bits that is nearest to another; `None` below 0.
pub(crate) fn extend(near: u64, number: u16) -> Option<u64> {
    let ahead = number.wrapping_sub(near as u16);
    match ahead {
        0..0x8000 => near.checked_add(u64::from(ahead)),
        _ => near.checked_sub(u64::from(ahead.wrapping_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::extend;

    #[test]
    fn the_nearest_number() {
        assert_eq!(extend(65_535, 2), Some(65_538));
        assert_eq!(extend(65_538, 65_535), Some(65_535));
        assert_eq!(extend(100_000, 100_000_u64 as u16), Some(100_000));
        assert_eq!(extend(3, 65_535), None);
    }
}
