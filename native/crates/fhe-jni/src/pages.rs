//! Large memory from the system, in huge pages where it has them: planes of blocks are written with long strides,
//! which take an entry of the TLB each.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicI64, Ordering};

use fhe_core::{Error, Result};
use memmap2::{Advice, MmapMut};

/// Bytes that are mapped now.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Memory of its own pages, counted until it is dropped.
pub struct Pages(MmapMut);

/// Zeros, which the system provides page by page as they are touched.
///
/// # Errors
/// [`Error::Internal`] if there is no memory: that must fail the task, not the executor.
pub fn zeroed(length: usize) -> Result<Pages> {
    let pages = MmapMut::map_anon(length.max(1))
        .map_err(|error| Error::Internal(format!("no memory for {length} bytes: {error}")))?;
    // Advice only: without huge pages it is slower.
    let _ = pages.advise(Advice::HugePage);
    LIVE.fetch_add(pages.len() as i64, Ordering::Relaxed);
    Ok(Pages(pages))
}

/// Bytes of all [`Pages`] that there are now.
pub fn live_bytes() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        LIVE.fetch_sub(self.0.len() as i64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_until_they_are_dropped() {
        // Far more than all other tests of this crate hold; never touched.
        const BYTES: i64 = 4 << 30;
        let before = live_bytes();
        let pages = zeroed(BYTES as usize).unwrap();
        assert!((live_bytes() - before - BYTES).abs() < BYTES / 4);
        assert_eq!(pages.len() as i64, BYTES);
        drop(pages);
        assert!((live_bytes() - before).abs() < BYTES / 4);
    }
}
