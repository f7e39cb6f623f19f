//! What a page of the database's file has besides its rows: free space, where bytes of rows stay that SQLite moved to another
//! page, whatever `secure_delete` says.
//!
//! Pure functions over the bytes of a page as <https://www.sqlite.org/fileformat2.html> section 1.6 has them. Pages of b-trees
//! alone are looked at: a page that is given up is overwritten by SQLite, and the rest of an overflow page never held anything.

use std::ops::Range;

/// Number of the first page that has rows of ours; the one before has the schema alone.
pub(super) const FIRST_PAGE: i64 = 2;

/// From this number on the first byte of an overflow page could be taken for the kind of a b-tree's page: 137 GB.
pub(super) const PAGES_MAX: i64 = 1 << 25;

/// Kinds of pages of b-trees.
const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;
const LEAF_INDEX: u8 = 10;
const LEAF_TABLE: u8 = 13;

/// What a free block begins with: where the next one is, and its own size.
const BLOCK_HEADER: usize = 4;

/// Whether something is left in the free space of a page.
pub(super) fn has_leftovers(page: &[u8]) -> bool {
    let mut found = 0;
    let is_sound = each_free(page, |free| {
        let bytes = page.get(free).unwrap_or_default();
        found |= bytes.iter().fold(0, |all, byte| all | byte);
    });
    is_sound && found != 0
}

/// Overwrites the free space of a page with zeros; whether that changed anything. A page whose structure is not what it
/// should be is left alone.
pub(super) fn clear(page: &mut [u8]) -> bool {
    if !has_leftovers(page) {
        return false;
    }
    let mut all = Vec::new();
    each_free(page, |free| all.push(free));
    for free in all {
        if let Some(bytes) = page.get_mut(free) {
            bytes.fill(0);
        }
    }
    true
}

/// Names the parts of a page that belong to no row and to no structure; false if it is no page of a b-tree, or a broken one.
fn each_free(page: &[u8], mut each: impl FnMut(Range<usize>)) -> bool {
    let header = match page.first() {
        Some(&(LEAF_INDEX | LEAF_TABLE)) => 8,
        Some(&(INTERIOR_INDEX | INTERIOR_TABLE)) => 12,
        _ => return false,
    };
    let (Some(mut block), Some(cells), Some(content)) = (number(page, 1), number(page, 3), number(page, 5)) else {
        return false;
    };
    let content = if content == 0 { 1 << 16 } else { content };
    let pointers_end = header + 2 * cells;
    if pointers_end > content || content > page.len() {
        return false;
    }
    each(pointers_end..content);
    // The free blocks between the rows, in the order of their places.
    let mut end = content;
    while block != 0 {
        let (Some(next), Some(size)) = (number(page, block), number(page, block + 2)) else {
            return false;
        };
        if block < end || size < BLOCK_HEADER || block + size > page.len() {
            return false;
        }
        end = block + size;
        each(block + BLOCK_HEADER..end);
        block = next;
    }
    true
}

fn number(page: &[u8], at: usize) -> Option<usize> {
    let bytes = page.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A leaf of a table with two rows, a free block between them, and bytes of gone rows in all free space.
    fn leaf() -> Vec<u8> {
        let mut page = vec![0; 128];
        page[..8].copy_from_slice(&[LEAF_TABLE, 0, 104, 0, 2, 0, 96, 0]);
        page[8..12].copy_from_slice(&[0, 96, 0, 120]);
        page[12..96].fill(b'x');
        page[96..104].fill(b'a');
        page[104..108].copy_from_slice(&[0, 0, 0, 16]);
        page[108..120].fill(b'y');
        page[120..].fill(b'b');
        page
    }

    #[test]
    fn free_space_is_cleared_and_nothing_else() {
        let (before, mut page) = (leaf(), leaf());
        assert!(clear(&mut page));
        for (at, (new, old)) in page.iter().zip(&before).enumerate() {
            let is_free = (12..96).contains(&at) || (108..120).contains(&at);
            assert_eq!(*new, if is_free { 0 } else { *old }, "{at}");
        }
        assert!(!clear(&mut page));
    }

    #[test]
    fn other_and_broken_pages_are_left_alone() {
        let broken: [(usize, u8); 6] = [(0, 0), (3, 1), (6, 8), (5, 1), (2, 90), (107, 99)];
        for (at, value) in broken {
            let mut page = leaf();
            page[at] = value;
            let before = page.clone();
            assert!(!clear(&mut page), "{at}");
            assert_eq!(page, before);
        }
        // A free block that points at itself.
        let mut page = leaf();
        page[105] = 104;
        assert!(!clear(&mut page));
        assert!(!clear(&mut []));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut page in prop::collection::vec(any::<u8>(), 0..600), kind in 0..4_usize) {
            if let Some(first) = page.first_mut() {
                *first = [INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE][kind];
            }
            if clear(&mut page) {
                prop_assert!(!has_leftovers(&page));
            }
        }
    }
}
