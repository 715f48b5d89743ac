//! Memory kept back for the day the system has none left. Where Rust cannot have the few bytes of a vector it ends
//! the process, and an executor with it: then the reserve goes, so that what is under way meets an error where
//! it asks for much, and no other work begins before there is a reserve again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use fhe_core::{Error, Result};

/// More than what all calls under way ask for without a way out. Its pages are never touched, so it costs address
/// space alone; and it is a mapping of its own, which the system gets back whole.
pub const BYTES: usize = 64 << 20;

static RESERVE: AtomicPtr<u8> = AtomicPtr::new(null_mut());

const LAYOUT: Layout = match Layout::from_size_align(BYTES, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a layout"),
};

/// Gives the reserve back to the system; whether there was one.
pub fn spend() -> bool {
    let reserve = RESERVE.swap(null_mut(), Ordering::AcqRel);
    if reserve.is_null() {
        return false;
    }
    // SAFETY: `require` allocated it so, and nobody else has it.
    unsafe { System.dealloc(reserve, LAYOUT) };
    true
}

/// Takes a reserve if there is none.
///
/// # Errors
/// [`Error::Internal`] if the system has no memory for it: what was to be done fails before it begins.
pub fn require() -> Result<()> {
    if !RESERVE.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    // SAFETY: the layout is not empty.
    let taken = unsafe { System.alloc(LAYOUT) };
    if taken.is_null() {
        return Err(Error::Internal(format!(
            "there are not even {} MiB of native memory left: give this JVM more memory beside its heap (spark.executor.memoryOverhead), or fewer tasks at a time",
            BYTES >> 20
        )));
    }
    let none = null_mut();
    if RESERVE
        .compare_exchange(none, taken, Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        // Another thread was faster.
        // SAFETY: it was just allocated so.
        unsafe { System.dealloc(taken, LAYOUT) };
    }
    Ok(())
}
