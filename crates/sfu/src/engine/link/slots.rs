//! Values under handles: an index, and how often its place was used before.

/// Bits of a handle that are the index.
const INDEX_BITS: u32 = 16;

/// At most 65,536 values at once; a handle of one that was removed finds nothing.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<(u16, Option<T>)>,
    free: Vec<u16>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Puts a value in; `None` if there is no room.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u16::try_from(self.slots.len()).ok()?;
                self.slots.push((0, None));
                index
            }
        };
        let (generation, slot) = &mut self.slots[usize::from(index)];
        *slot = Some(value);
        Some(u32::from(*generation) << INDEX_BITS | u32::from(index))
    }

    pub(super) fn get(&self, handle: u32) -> Option<&T> {
        let (generation, slot) = self.slots.get(usize::from(handle as u16))?;
        slot.as_ref().filter(|_| u32::from(*generation) == handle >> INDEX_BITS)
    }

    pub(super) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        let (generation, slot) = self.slots.get_mut(usize::from(handle as u16))?;
        slot.as_mut().filter(|_| u32::from(*generation) == handle >> INDEX_BITS)
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, handle: u32) -> Option<T> {
        let (generation, slot) = self.slots.get_mut(usize::from(handle as u16))?;
        if u32::from(*generation) != handle >> INDEX_BITS {
            return None;
        }
        let value = slot.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(handle as u16);
        Some(value)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.as_mut())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_handle_finds_what_it_was_given_for() {
        let mut slots = Slots::default();
        let (a, b) = (slots.insert('a').unwrap(), slots.insert('b').unwrap());
        assert_eq!(slots.get_mut(a), Some(&mut 'a'));
        assert_eq!(slots.get_mut(b), Some(&mut 'b'));
        assert_eq!((slots.remove(a), slots.remove(a)), (Some('a'), None));
        let c = slots.insert('c').unwrap();
        assert_ne!(a, c);
        assert_eq!(slots.get_mut(a), None);
        assert_eq!(slots.get_mut(c), Some(&mut 'c'));
        assert!(slots.iter_mut().map(|value| *value).eq(['c', 'b']));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut slots = Slots::default();
        let given = (0..70_000).filter(|_| slots.insert(()).is_some()).count();
        assert_eq!(given, 65_536);
    }
}
