//! Redundant audio (RFC 2198): earlier blocks before the one that is new.

/// The blocks of a payload, oldest first; ends early where the payload is cut.
#[derive(Debug, Clone)]
pub(crate) struct Blocks<'a> {
    headers: &'a [u8],
    data: &'a [u8],
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// Of the format inside.
    pub(crate) payload_type: u8,
    /// How much older than the packet, in units of its timestamp; `None` of the new one.
    pub(crate) age: Option<u16>,
    pub(crate) data: &'a [u8],
}

/// All blocks; `None` if the headers are cut.
pub(crate) fn blocks(payload: &[u8]) -> Option<Blocks<'_>> {
    let mut end = 0;
    while *payload.get(end)? & 0x80 != 0 {
        end += 4;
    }
    let (headers, data) = payload.split_at_checked(end + 1)?;
    Some(Blocks { headers, data })
}

/// The new block, if it is of the payload type named.
pub(crate) fn primary(payload: &[u8], payload_type: u8) -> Option<&[u8]> {
    let block = blocks(payload)?.find(|block| block.age.is_none())?;
    (block.payload_type == payload_type).then_some(block.data)
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let (payload_type, age, length) = match self.headers {
            [head, high, middle, low, rest @ ..] => {
                self.headers = rest;
                let age = u16::from(*high) << 6 | u16::from(middle >> 2);
                let length = usize::from(middle & 0x03) << 8 | usize::from(*low);
                (head & 0x7f, Some(age), length)
            }
            [head] => {
                self.headers = &[];
                (*head, None, self.data.len())
            }
            _ => return None,
        };
        let Some((data, rest)) = self.data.split_at_checked(length) else {
            self.headers = &[];
            return None;
        };
        self.data = rest;
        Some(Block {
            payload_type,
            age,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_block_is_taken_out() {
        let one_redundant = [0x80 | 111, 0x0f, 0x00, 2, 111, 0xaa, 0xbb, 1, 2, 3];
        assert_eq!(primary(&one_redundant, 111), Some(&[1, 2, 3][..]));
        assert_eq!(primary(&[111, 9], 111), Some(&[9][..]));
        assert_eq!(primary(&[111, 9], 110), None);
        assert_eq!(primary(&[0x80 | 111, 0, 3, 0xff, 111], 111), None);
        assert_eq!(primary(&[], 111), None);
    }

    #[test]
    fn earlier_blocks_come_first() {
        let payload = [0x80 | 111, 0x0f, 0x01, 2, 111, 0xaa, 0xbb, 1];
        let data = [[0; 256].as_slice(), &[5; 2], &[7]].concat();
        let long = [&payload[..5], &data].concat();
        let found: Vec<_> = blocks(&long).expect("headers").collect();
        assert_eq!((found[0].age, found[0].data.len()), (Some(960), 258));
        assert_eq!((found[1].age, found[1].data), (None, &[7][..]));
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let total: usize = blocks(&payload).into_iter().flatten().map(|block| block.data.len()).sum();
            prop_assert!(total <= payload.len());
        }
    }
}
