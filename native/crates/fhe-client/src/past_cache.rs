//! Copies of what will not be read again soon: past the cache, so that memory is written but not read for
//! it.

/// Copies `source` to `out`. Before another thread may read `out`, call [`fence`].
///
/// # Panics
/// If the lengths differ.
#[cfg(target_arch = "x86_64")]
pub(crate) fn copy(source: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_stream_si128};

    assert_eq!(source.len(), out.len(), "bytes to copy");
    // Only whole lines go past the cache.
    let head = out.as_ptr().align_offset(64).min(out.len());
    let (out_head, out) = out.split_at_mut(head);
    let (source_head, source) = source.split_at(head);
    out_head.copy_from_slice(source_head);
    let (out_lines, out_tail) = out.as_chunks_mut::<64>();
    let (source_lines, source_tail) = source.as_chunks::<64>();
    for (out, source) in out_lines.iter_mut().zip(source_lines) {
        for (out, source) in (out.as_chunks_mut::<16>().0.iter_mut()).zip(source.as_chunks().0) {
            let source: &[u8; 16] = source;
            // SAFETY: 16 bytes each, and lines start on multiples of 64.
            unsafe {
                _mm_stream_si128(
                    out.as_mut_ptr().cast(),
                    _mm_loadu_si128(source.as_ptr().cast()),
                );
            }
        }
    }
    out_tail.copy_from_slice(source_tail);
}

/// Makes what this thread has copied visible before what it writes next.
#[cfg(target_arch = "x86_64")]
pub(crate) fn fence() {
    // SAFETY: every x86-64 machine has SSE.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn copy(source: &[u8], out: &mut [u8]) {
    out.copy_from_slice(source);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fence() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_wherever_they_start() {
        let source: Vec<u8> = (0..500).map(|i| (i * 7) as u8).collect();
        for start in 0..70 {
            for len in [0, 1, 15, 63, 64, 65, 128, 300] {
                let mut out = vec![0u8; 600];
                copy(&source[3..3 + len], &mut out[start..start + len]);
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
