//! Working memory: on cache lines, and wiped.

use std::ops::{Deref, DerefMut};

use aligned_vec::{AVec, avec};
use zeroize::{DefaultIsZeroes, Zeroize};

/// Values that start on a line of the cache, so that no vector of them straddles two, and that are wiped
/// when they are dropped.
pub(crate) struct Buffer<T: DefaultIsZeroes> {
    memory: AVec<T>,
    len: usize,
}

impl<T: DefaultIsZeroes> Buffer<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        Buffer {
            memory: avec![T::default(); len],
            len,
        }
    }

    /// Makes it `len` long; what is in it means nothing then.
    pub(crate) fn reset(&mut self, len: usize) {
        if len > self.memory.len() {
            // Not by growing, which would leave a copy behind.
            *self = Buffer::zeros(len);
        }
        self.len = len;
    }
}

impl<T: DefaultIsZeroes> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[..self.len]
    }
}

impl<T: DefaultIsZeroes> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[..self.len]
    }
}

impl<T: DefaultIsZeroes> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.memory.as_mut_slice().zeroize();
    }
}

/// A value that starts on a line of the cache.
#[repr(align(64))]
pub(crate) struct OnLine<T>(pub(crate) T);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_lines_and_keep_their_length() {
        let mut buffer = Buffer::<u8>::zeros(3);
        for len in [3, 1000, 2, 5000] {
            buffer.reset(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().align_offset(64), 0);
        }
    }
}
