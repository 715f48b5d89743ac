//! Residues in memory, on cache lines.

use std::ops::{Deref, DerefMut};

use aligned_vec::AVec;
use fhe_core::{Error, Result};

/// Residues that start on a line of the cache, so that no vector of them straddles two.
pub(crate) struct Buffer(AVec<u32>);

impl Buffer {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no memory: that must fail the task, not the executor.
    pub(crate) fn zeros(len: usize) -> Result<Self> {
        let mut memory = AVec::new(0);
        memory.try_reserve_exact(len).map_err(|_| {
            Error::Internal(format!("no memory for {} bytes", len.saturating_mul(4)))
        })?;
        memory.resize(len, 0);
        Ok(Buffer(memory))
    }
}

impl Deref for Buffer {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u32] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_lines_and_memory_that_there_is_not_is_an_error() {
        let buffer = Buffer::zeros(100).unwrap();
        assert_eq!(buffer.as_ptr().align_offset(64), 0);
        assert!(buffer.len() == 100 && buffer.iter().all(|&value| value == 0));
        // More than any address space has, so that no allocator is asked.
        let error = Buffer::zeros(usize::MAX / 4).err().unwrap().to_string();
        assert!(error.contains("no memory for"), "{error}");
    }
}
