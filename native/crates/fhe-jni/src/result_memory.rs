//! Memory of results, handed to Java through Arrow and taken back when Java releases it: fresh pages would
//! cost as much as some of the arithmetic.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::Buffer;
use fhe_core::Result;

use crate::pages::{self, Pages};

/// Released memory that is kept, at most; the rest goes back to the system.
const KEPT_BYTES: usize = 256 << 20;

/// Released memory, the last released at the end.
static RELEASED: Mutex<Vec<Pages>> = Mutex::new(Vec::new());

/// Bytes of any content, which go back to the pool when dropped.
pub struct ResultMemory {
    /// There until this is dropped.
    bytes: Option<Pages>,
    /// How many of the bytes are used.
    length: usize,
}

impl ResultMemory {
    /// Memory of `length` bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is none: that must fail the task, not the executor.
    pub fn of(length: usize) -> Result<Self> {
        let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
        // Not much too large, so that small results do not hold large memory.
        let fits = |bytes: &Pages| bytes.len() >= length && bytes.len() / 2 <= length;
        let bytes = match released.iter().rposition(fits) {
            Some(index) => released.swap_remove(index),
            None => {
                drop(released);
                pages::zeroed(length)?
            }
        };
        Ok(ResultMemory {
            bytes: Some(bytes),
            length,
        })
    }

    /// The bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.bytes {
            Some(bytes) => &mut bytes[..self.length],
            None => &mut [],
        }
    }

    /// An Arrow buffer of the bytes.
    pub fn into_buffer(mut self) -> Buffer {
        let length = self.length;
        let start = NonNull::from(self.as_mut_slice()).cast::<u8>();
        // SAFETY: the bytes stay where they are, unchanged, as long as their owner, which the buffer keeps.
        unsafe { Buffer::from_custom_allocation(start, length, Arc::new(self)) }
    }
}

/// Bytes of released memory that is kept now.
pub fn idle_bytes() -> usize {
    let released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    released.iter().map(|bytes| bytes.len()).sum()
}

impl Drop for ResultMemory {
    fn drop(&mut self) {
        let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
        released.extend(self.bytes.take());
        let mut kept: usize = released.iter().map(|bytes| bytes.len()).sum();
        while kept > KEPT_BYTES {
            kept -= released.remove(0).len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_memory_is_given_out_again() {
        // No other test of this crate asks for such a length.
        let length = 12_345_678;
        let mut first = ResultMemory::of(length).unwrap();
        first.as_mut_slice().fill(7);
        let start = first.as_mut_slice().as_ptr();
        let buffer = first.into_buffer();
        assert!(buffer.as_slice().iter().all(|&byte| byte == 7) && buffer.len() == length);
        let mut beside = ResultMemory::of(length).unwrap();
        assert_ne!(beside.as_mut_slice().as_ptr(), start);
        drop(buffer);
        let mut again = ResultMemory::of(length - 5).unwrap();
        assert_eq!(again.as_mut_slice().as_ptr(), start);
        assert_eq!(again.as_mut_slice().len(), length - 5);
    }
}
