//! Working memory: on cache lines, and wiped.

use std::ops::{Deref, DerefMut};

use aligned_vec::{AVec, avec};
use fhe_core::{Error, Result};
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

    /// `len` zeros, if there is memory for them: for what grows with a caller's wishes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with the bytes that are wanting.
    pub(crate) fn try_zeros(len: usize) -> Result<Self> {
        let mut memory = AVec::new(0);
        memory.try_reserve_exact(len).map_err(|_| {
            Error::invalid(format!(
                "there is no memory for {} bytes",
                len.saturating_mul(size_of::<T>())
            ))
        })?;
        memory.resize(len, T::default());
        Ok(Buffer { memory, len })
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

    #[test]
    fn memory_that_there_is_not_is_an_error() {
        let buffer = Buffer::<u64>::try_zeros(1000).unwrap();
        assert!(buffer.len() == 1000 && buffer.iter().all(|&value| value == 0));
        assert_eq!(buffer.as_ptr().align_offset(64), 0);
        // More than any address space has, so that no allocator is asked.
        let error = Buffer::<u64>::try_zeros(usize::MAX / 8).err().unwrap();
        let bytes = usize::MAX / 8 * 8;
        assert_eq!(
            error.to_string(),
            format!("there is no memory for {bytes} bytes")
        );
    }
}
