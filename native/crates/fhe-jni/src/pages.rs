//! Large memory from the system, in huge pages where it has them: planes of blocks are written with long strides,
//! which take an entry of the TLB each.

use fhe_core::{Error, Result};
use memmap2::{Advice, MmapMut};

/// Zeros, which the system provides page by page as they are touched.
///
/// # Errors
/// [`Error::Internal`] if there is no memory: that must fail the task, not the executor.
pub fn zeroed(length: usize) -> Result<MmapMut> {
    let pages = MmapMut::map_anon(length.max(1))
        .map_err(|error| Error::Internal(format!("no memory for {length} bytes: {error}")))?;
    // Advice only: without huge pages it is slower.
    let _ = pages.advise(Advice::HugePage);
    Ok(pages)
}
