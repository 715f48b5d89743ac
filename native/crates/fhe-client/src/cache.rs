//! What the processor cannot know: what will be needed soon, and what will not.

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{copy_past, fence, prefetch};

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::{copy_past, fence, prefetch};

/// Bytes of a line of the cache.
const LINE: usize = 64;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::LINE;

    /// Has values on their way to the second level of the cache.
    #[inline(always)]
    pub(crate) fn prefetch<T>(values: &[T]) {
        for line in values.chunks((LINE / size_of::<T>()).max(1)) {
            // SAFETY: every x86-64 machine has SSE; prefetches touch nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) }
        }
    }

    /// Copies `source` to `out`, which will not be read again soon, past the cache, so that memory is written
    /// but not read for it. Before another thread may read `out`, call [`fence`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub(crate) fn copy_past(source: &[u8], out: &mut [u8]) {
        assert_eq!(source.len(), out.len(), "bytes to copy");
        // Only whole lines go past the cache.
        let head = out.as_ptr().align_offset(LINE).min(out.len());
        let (out_head, out) = out.split_at_mut(head);
        let (source_head, source) = source.split_at(head);
        out_head.copy_from_slice(source_head);
        let (out_lines, out_tail) = out.as_chunks_mut::<LINE>();
        let (source_lines, source_tail) = source.as_chunks::<LINE>();
        for (out, source) in out_lines.iter_mut().zip(source_lines) {
            let source = source.as_chunks::<16>().0;
            for (out, source) in out.as_chunks_mut::<16>().0.iter_mut().zip(source) {
                // SAFETY: 16 bytes each, and lines start on multiples of 64; every x86-64 machine has SSE2.
                unsafe {
                    let value = _mm_loadu_si128(source.as_ptr().cast());
                    _mm_stream_si128(out.as_mut_ptr().cast(), value);
                }
            }
        }
        out_tail.copy_from_slice(source_tail);
    }

    /// Makes what this thread has copied visible before what it writes next.
    pub(crate) fn fence() {
        // SAFETY: every x86-64 machine has SSE.
        unsafe { _mm_sfence() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod portable {
    pub(crate) fn prefetch<T>(_: &[T]) {}

    pub(crate) fn copy_past(source: &[u8], out: &mut [u8]) {
        out.copy_from_slice(source);
    }

    pub(crate) fn fence() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_wherever_they_start() {
        let source: Vec<u8> = (0..500).map(|i| (i * 7) as u8).collect();
        for start in 0..70 {
            for len in [0, 1, 15, 63, 64, 65, 128, 300] {
                let mut out = vec![0u8; 600];
                copy_past(&source[3..3 + len], &mut out[start..start + len]);
                fence();
                assert_eq!(out[start..start + len], source[3..3 + len]);
                assert!(
                    out[..start]
                        .iter()
                        .chain(&out[start + len..])
                        .all(|&b| b == 0)
                );
            }
        }
    }
}
