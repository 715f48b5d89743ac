//! Work buffers of one thread, reused from panel to panel: fresh ones would cost more than they hold.

/// A growing buffer of 64-byte lines.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Scratch {
    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Line>() * self.lines.capacity()
    }

    /// At least `bytes` bytes, aligned to 64, of any content.
    pub fn bytes(&mut self, bytes: usize) -> &mut [u8] {
        let lines = bytes.div_ceil(64);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 64]));
        }
        // SAFETY: `Line` is exactly its 64 bytes, and there are enough of them, one after the other.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), bytes) }
    }
}
