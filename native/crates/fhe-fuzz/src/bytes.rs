//! Little-endian fields anywhere in an input.

/// The integer of `width` bytes, at most 8, at `offset`.
pub(crate) fn read(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(width)?)?;
    let mut word = [0; 8];
    word[..width].copy_from_slice(field);
    Some(u64::from_le_bytes(word))
}

/// Writes the low `width` bytes of a value, if the input is that long.
pub(crate) fn write(bytes: &mut [u8], offset: usize, width: usize, value: u64) {
    if let Some(field) = bytes.get_mut(offset..offset + width) {
        field.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Reads fields one after the other; zeros after the end.
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub fn u32(&mut self) -> u32 {
        let (head, rest) = self.0.split_at(self.0.len().min(4));
        self.0 = rest;
        read(head, 0, head.len()).unwrap_or(0) as u32
    }

    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// A count as Java's arrays give it: none is beyond 2^31.
    pub fn count(&mut self) -> usize {
        (self.u32() & 0x7fff_ffff) as usize
    }

    pub fn f32(&mut self) -> f32 {
        f32::from_bits(self.u32())
    }
}
