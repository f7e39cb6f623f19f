//! Which of the latest indices of one stream were there: for the rule of nonces, and against replay.

/// A bit for each of the latest `64 · WORDS` indices.
#[derive(Debug, Clone, Default)]
pub(super) struct Window<const WORDS: usize> {
    /// One above the highest marked; 0 if none was.
    next: u64,
    /// Of index i the bit i modulo the width. Absent while all below `next` count as marked.
    marks: Option<Box<[u64; WORDS]>>,
}

/// What a window knows of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    New,
    /// It was marked.
    Marked,
    /// It lies below the window: it may have been marked.
    TooOld,
}

impl<const WORDS: usize> Window<WORDS> {
    const WIDTH: u64 = 64 * WORDS as u64;

    pub(super) const fn new() -> Self {
        Self { next: 0, marks: None }
    }

    /// The highest index marked.
    pub(super) fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Reads where the next index will be marked.
    pub(super) fn touch(&self) -> u64 {
        let marks = self.marks.as_ref();
        marks.map_or(0, |marks| marks[(self.next % Self::WIDTH / 64) as usize])
    }

    pub(super) fn known(&self, index: u64) -> Known {
        if index >= self.next {
            return Known::New;
        }
        match &self.marks {
            Some(marks) if self.next - index <= Self::WIDTH => {
                let (word, bit) = Self::place(index);
                match marks[word] & bit {
                    0 => Known::New,
                    _ => Known::Marked,
                }
            }
            _ => Known::TooOld,
        }
    }

    /// Marks an index that is new.
    pub(super) fn mark(&mut self, index: u64) {
        let all = if self.next == 0 { 0 } else { u64::MAX };
        let marks = self.marks.get_or_insert_with(|| Box::new([all; WORDS]));
        if index >= self.next {
            match index - self.next >= Self::WIDTH {
                true => marks.fill(0),
                false => {
                    for skipped in self.next..index {
                        let (word, bit) = Self::place(skipped);
                        marks[word] &= !bit;
                    }
                }
            }
            self.next = index + 1;
        }
        let (word, bit) = Self::place(index);
        marks[word] |= bit;
    }

    /// Keeps the highest index only: all up to it count as marked from now on.
    pub(super) fn shrink(&mut self) {
        self.marks = None;
    }

    fn place(index: u64) -> (usize, u64) {
        ((index % Self::WIDTH / 64) as usize, 1 << (index % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[derive(Debug, Clone)]
    enum Step {
        Mark(i64),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (-200_i64..80).prop_map(Step::Mark),
            1 => (0_i64..100_000).prop_map(Step::Mark),
            1 => Just(Step::Shrink),
        ]
    }

    proptest! {
        /// Against a set that forgets nothing.
        #[test]
        fn nothing_marked_is_new(start in 0_u64..1000, steps in prop::collection::vec(step(), 1..300)) {
            let mut window = Window::<2>::new();
            let (mut marked, mut floor) = (HashSet::new(), 0);
            for step in steps {
                let Step::Mark(ahead) = step else {
                    floor = window.highest().map_or(0, |highest| highest + 1);
                    window.shrink();
                    continue;
                };
                let index = window.highest().unwrap_or(start).saturating_add_signed(ahead);
                let below = window.highest().is_some_and(|highest| highest >= index + 128);
                let expected = match () {
                    () if marked.contains(&index) => Known::Marked,
                    () if below || index < floor => Known::TooOld,
                    () => Known::New,
                };
                let known = window.known(index);
                // What is marked and what is too old are refused alike.
                prop_assert_eq!(known == Known::New, expected == Known::New, "{} {:?}", index, known);
                if known == Known::New {
                    window.mark(index);
                    marked.insert(index);
                }
            }
        }
    }
}
