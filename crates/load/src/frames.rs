//! Canned media: payloads that look right to a forwarder, and that a test can tell apart.

/// Opus frames: a counter in noise-like bytes.
#[derive(Debug, Clone)]
pub struct Opus {
    /// Bytes of a frame.
    pub bytes: usize,
    count: u32,
}

impl Opus {
    /// Frames of this size, at least 8 bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: bytes.max(8),
            count: 0,
        }
    }

    /// The next 20 ms: a TOC byte, the counter, filling.
    pub fn frame(&mut self) -> Vec<u8> {
        self.count += 1;
        let mut frame = vec![0xf8];
        frame.extend_from_slice(&self.count.to_be_bytes());
        frame.resize(self.bytes, self.count as u8);
        frame
    }
}

/// VP8 frames with picture ids of 15 bits, TL0PICIDX and a frame header; no picture in them.
#[derive(Debug, Clone)]
pub struct Video {
    /// Packets of a frame.
    pub packets: usize,
    /// Bytes of a packet's payload.
    pub bytes: usize,
    picture_id: u16,
    tl0_pic_idx: u8,
}

impl Video {
    /// Frames of so many packets of so many bytes; `first_picture` sets the ids apart.
    pub fn new(packets: usize, bytes: usize, first_picture: u16) -> Self {
        Self {
            packets,
            bytes: bytes.max(16),
            picture_id: first_picture & 0x7fff,
            tl0_pic_idx: first_picture as u8,
        }
    }

    /// The payloads of the next frame.
    pub fn frame(&mut self, key: bool) -> Vec<Vec<u8>> {
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        (0..self.packets).map(|index| self.payload(index, key)).collect()
    }

    fn payload(&self, index: usize, key: bool) -> Vec<u8> {
        let start = if index == 0 { 0x10 } else { 0 };
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        let mut payload = vec![0x80 | start, 0xe0, high, low, self.tl0_pic_idx, 0x20];
        // The first bit of the frame header is 0 for a key frame.
        payload.push(u8::from(!key));
        payload.resize(self.bytes, index as u8);
        payload
    }
}

/// Whether a payload of [`Video`] starts a key frame.
pub fn is_keyframe(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first & 0x10 != 0) && payload.get(6).is_some_and(|header| header & 1 == 0)
}
