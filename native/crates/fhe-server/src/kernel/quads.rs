//! Packing of a panel for instructions that multiply four neighbouring bytes: VNNI and AMX.
//!
//! A limb of a panel is `[feature][64 rows]`; packed it is `[feature/4][4 groups][16 rows][4 features]`, one
//! 64-byte vector a group. Group g holds, of each quarter of the panel, rows 4g to 4g+3: the order in
//! which unpacking leaves them and from which packing the results brings them back.

use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

/// Bytes of four features of a limb, packed.
pub const QUAD_BYTES: usize = 4 * PANEL_ROWS;

/// Packs limb `limb` of `panel`, u8 `[inputs][limbs][64]`, to `packed`; features up to a multiple of
/// `quads` are zero.
///
/// # Safety
/// The CPU must have AVX-512 F and BW; `packed` must be aligned to 64 bytes.
///
/// # Panics
/// If `packed` does not have `quads · 256` bytes.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn pack_limb(
    panel: &[u8],
    inputs: usize,
    limbs: usize,
    limb: usize,
    quads: usize,
    packed: &mut [u8],
) {
    assert_eq!(packed.len(), quads * QUAD_BYTES, "packed bytes");
    assert_eq!(panel.len(), inputs * limbs * PANEL_ROWS, "panel bytes");
    for (quad, out) in packed.chunks_exact_mut(QUAD_BYTES).enumerate() {
        let line = |offset: usize| {
            let feature = 4 * quad + offset;
            if feature < inputs {
                let line = &panel[(feature * limbs + limb) * PANEL_ROWS..][..PANEL_ROWS];
                // SAFETY: the line has 64 bytes; the load needs no alignment.
                unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
            } else {
                _mm512_setzero_si512()
            }
        };
        let (a, b, c, d) = (line(0), line(1), line(2), line(3));
        let ab_low = _mm512_unpacklo_epi8(a, b);
        let ab_high = _mm512_unpackhi_epi8(a, b);
        let cd_low = _mm512_unpacklo_epi8(c, d);
        let cd_high = _mm512_unpackhi_epi8(c, d);
        let groups = [
            _mm512_unpacklo_epi16(ab_low, cd_low),
            _mm512_unpackhi_epi16(ab_low, cd_low),
            _mm512_unpacklo_epi16(ab_high, cd_high),
            _mm512_unpackhi_epi16(ab_high, cd_high),
        ];
        for (group, vector) in groups.into_iter().enumerate() {
            // SAFETY: the chunk has 256 bytes and is aligned to 64, as the whole is.
            unsafe { _mm512_store_si512(out.as_mut_ptr().add(64 * group).cast(), vector) };
        }
    }
}

/// Adds the carries of the limb below to the sums of a limb, in place of the carries; returns the limb's
/// line of 64 bytes, rows in order.
///
/// # Safety
/// The CPU must have AVX-512 F and BW.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn recombine(sums: &[__m512i; 4], carries: &mut [__m512i; 4]) -> __m512i {
    // Written out: compilers leave loops over so few vectors rolled, and spill all of them.
    let total0 = _mm512_add_epi32(sums[0], _mm512_srai_epi32::<8>(carries[0]));
    let total1 = _mm512_add_epi32(sums[1], _mm512_srai_epi32::<8>(carries[1]));
    let total2 = _mm512_add_epi32(sums[2], _mm512_srai_epi32::<8>(carries[2]));
    let total3 = _mm512_add_epi32(sums[3], _mm512_srai_epi32::<8>(carries[3]));
    *carries = [total0, total1, total2, total3];
    let low_byte = _mm512_set1_epi32(0xff);
    _mm512_packus_epi16(
        _mm512_packus_epi32(
            _mm512_and_si512(total0, low_byte),
            _mm512_and_si512(total1, low_byte),
        ),
        _mm512_packus_epi32(
            _mm512_and_si512(total2, low_byte),
            _mm512_and_si512(total3, low_byte),
        ),
    )
}
