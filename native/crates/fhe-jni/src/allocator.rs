//! Counts what the library holds on the native heap: keys, circuits, masks, working memory. What the system refuses
//! is asked for again without the [`reserve`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use crate::reserve;

/// Bytes that are allocated now, of all threads.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, which counts.
struct CountedAllocator;

#[global_allocator]
static ALLOCATOR: CountedAllocator = CountedAllocator;

/// Bytes that are allocated now, as they were asked for; mappings ([`crate::pages`]) are not among them.
pub fn live_bytes() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

/// Allocates, once more if the reserve can make room for it. Of what is counted sums alone matter, so no order of
/// memory does.
fn allocated(change: i64, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let mut pointer = allocate();
    if pointer.is_null() && change <= reserve::BYTES as i64 && reserve::spend() {
        pointer = allocate();
    }
    if !pointer.is_null() {
        LIVE.fetch_add(change, Ordering::Relaxed);
    }
    pointer
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for CountedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        allocated(layout.size() as i64, || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        allocated(layout.size() as i64, || unsafe {
            System.alloc_zeroed(layout)
        })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; what could not be moved is as it was.
        allocated(size as i64 - layout.size() as i64, || unsafe {
            System.realloc(pointer, layout, size)
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted_until_it_is_freed() {
        // Far more than all other tests of this crate hold.
        const BYTES: usize = 1 << 30;
        const MOST_OF_OTHERS: i64 = 256 << 20;
        let near = |wanted: i64| (live_bytes() - wanted).abs() < MOST_OF_OTHERS;
        let before = live_bytes();
        let mut memory: Vec<u8> = Vec::with_capacity(BYTES);
        assert!(near(before + BYTES as i64), "allocated");
        memory.reserve_exact(2 * BYTES);
        assert!(near(before + 2 * BYTES as i64), "enlarged");
        memory.shrink_to(BYTES / 2);
        assert!(near(before + BYTES as i64 / 2), "shrunk");
        drop(memory);
        assert!(near(before), "freed");
        let zeros = vec![0u8; BYTES];
        assert!(near(before + BYTES as i64), "of zeros");
        drop(zeros);
        assert!(near(before), "freed again");
    }
}
