//! Values that are written as their text, without making a string of each before.

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// A SID, an address: what `Display` says of it.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
