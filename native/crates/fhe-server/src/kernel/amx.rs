//! The limb GEMM with AMX int8 tiles, Yᵀ = W·Xᵀ: nothing is transposed.
//!
//! A is a tile of weights, s8 16 outputs × 64 inputs; B a tile of one limb, u8 64 inputs × 16 rows, four
//! inputs a lane as [`super::quads`] packs them; C = A·B, s32 16 outputs × 16 rows. Two A's and two B's at a
//! time give four C's. Inputs are taken up to 512 at a time, so that the A's stay in L1 for all limbs.
//!
//! Between products the vector units recombine the limb before, some outputs at every step, while the tile
//! unit is busy.
//!
//! Instructions are written in assembly because Rust has no stable intrinsics for them. No Rust type lives in
//! a tile register, so compiled code never touches one, and tiles keep their contents from one `asm!` to the
//! next.

use std::arch::asm;
use std::arch::x86_64::*;

use fhe_core::panel::PANEL_ROWS;

use super::quads::{QUAD_BYTES, pack_limb, recombine};
use super::rounding;
use super::scratch::Scratch;
use super::weights::{PackedWeights, WeightOrder};

/// Outputs of a tile of weights.
const TILE_OUTPUTS: usize = 16;
/// Inputs of a tile.
const TILE_INPUTS: usize = 64;
/// Bytes of a tile.
const TILE_BYTES: usize = 1024;
/// Bytes of a tile's row.
const ROW_BYTES: usize = 64;
/// Quads of inputs of a tile, the rows of a B.
const TILE_QUADS: usize = TILE_INPUTS / 4;

/// Tiles of weights that are multiplied together.
const PAIR: usize = 2;
/// Outputs of two tiles.
const PAIR_OUTPUTS: usize = PAIR * TILE_OUTPUTS;
/// Groups of 16 rows of a panel.
const GROUPS: usize = PANEL_ROWS / 16;

/// Most tiles of inputs taken together: 512 inputs, 16 KiB of weights.
const MOST_STEPS_TOGETHER: usize = 8;

/// The order of weights: each tile in one piece.
pub const WEIGHT_ORDER: WeightOrder = WeightOrder {
    block: TILE_OUTPUTS,
    chunk: TILE_INPUTS,
};

/// Sums, or carries, of one limb: s32 `[outputs][groups][16 rows]`.
type Sums = [[__m512i; GROUPS]; PAIR_OUTPUTS];

/// Loads two neighbouring C's from the sums at an address.
macro_rules! load_sums {
    ($first:literal, $second:literal, $sums:expr) => {
        asm!(
            concat!("tileloadd ", $first, ", [{sums} + {stride}]"),
            concat!("tileloadd ", $second, ", [{sums} + {stride} + 64]"),
            sums = in(reg) $sums,
            stride = in(reg) size_of::<[__m512i; GROUPS]>(),
            options(nostack, readonly),
        )
    };
}
/// Stores two neighbouring C's to the sums at an address.
macro_rules! store_sums {
    ($first:literal, $second:literal, $sums:expr) => {
        asm!(
            concat!("tilestored [{sums} + {stride}], ", $first),
            concat!("tilestored [{sums} + {stride} + 64], ", $second),
            sums = in(reg) $sums,
            stride = in(reg) size_of::<[__m512i; GROUPS]>(),
            options(nostack),
        )
    };
}
/// Whether CPU and operating system offer AMX int8; asks Linux for it the first time.
pub fn is_available() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| has_instructions() && has_permission())
}

fn has_instructions() -> bool {
    // CPUID leaf 7: bit 24 is AMX-TILE, bit 25 AMX-INT8.
    let both = 0b11 << 24;
    __cpuid(0).eax >= 7
        && __cpuid_count(7, 0).edx & both == both
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
}

/// Tile data is a state that Linux saves only for processes that ask for it.
#[cfg(target_os = "linux")]
fn has_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two integers and changes nothing but the process's permissions.
    unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn has_permission() -> bool {
    false
}

/// See [`super::PreparedWeights::multiply_panel`].
///
/// # Safety
/// The CPU must have AVX-512 F and BW, and AMX int8 that the operating system permits.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn multiply(
    weights: &PackedWeights,
    panel: &[u8],
    limbs: usize,
    product: &mut [u8],
    output_limbs: usize,
    scratch: &mut Scratch,
) {
    let steps = weights.chunks();
    let limb_bytes = steps * TILE_QUADS * QUAD_BYTES;
    let (packed, sums) = scratch
        .bytes(limbs * limb_bytes + (limbs + 1) * size_of::<Sums>())
        .split_at_mut(limbs * limb_bytes);
    for (limb, packed) in packed.chunks_exact_mut(limb_bytes).enumerate() {
        let quads = steps * TILE_QUADS;
        // SAFETY: the caller's promise; scratch memory is aligned, and so is each limb's part of it.
        unsafe { pack_limb(panel, weights.inputs(), limbs, limb, quads, packed) };
    }
    // SAFETY: scratch memory is aligned to 64 bytes, and any bits are vectors.
    let sums = unsafe { std::slice::from_raw_parts_mut(sums.as_mut_ptr().cast(), limbs + 1) };
    let (carries, sums) = sums.split_first_mut().expect("one more than limbs");
    let mut recombination = Recombination {
        sums,
        carries,
        product,
        limbs,
        output_limbs,
        limb: 0,
        outputs: 0..0,
        first_output: 0,
    };
    // SAFETY: the caller's promise.
    unsafe {
        configure_tiles();
        for first in (0..weights.outputs()).step_by(PAIR_OUTPUTS) {
            let block = first / TILE_OUTPUTS;
            if first + TILE_OUTPUTS < weights.outputs() {
                let tiles = [weights.block(block), weights.block(block + 1)];
                all_limbs(tiles, packed, first, &mut recombination);
            } else {
                all_limbs([weights.block(block)], packed, first, &mut recombination);
            }
        }
        recombination.finish();
        release_tiles();
    }
}

/// The products of one or two blocks of outputs, from `first` on, with all limbs of the packed panel.
///
/// # Safety
/// The CPU must have AVX-512 F and BW and AMX int8; tiles must be configured.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn all_limbs<const TILES: usize>(
    weights: [&[i8]; TILES],
    packed: &[u8],
    first: usize,
    recombination: &mut Recombination,
) {
    let limbs = recombination.limbs;
    let steps = weights[0].len() / TILE_BYTES;
    let limb_bytes = steps * TILE_QUADS * QUAD_BYTES;
    assert_eq!(packed.len(), limbs * limb_bytes, "packed bytes");
    // Equal parts: the last one must leave time for recombination.
    let together = steps.div_ceil(steps.div_ceil(MOST_STEPS_TOGETHER));
    for start in (0..steps).step_by(together) {
        let end = steps.min(start + together);
        let weights = weights.map(|tiles| &tiles[start * TILE_BYTES..end * TILE_BYTES]);
        for limb in 0..limbs {
            let quads = &packed[limb * limb_bytes..][..limb_bytes];
            let quads = &quads[start * TILE_QUADS * QUAD_BYTES..end * TILE_QUADS * QUAD_BYTES];
            for half in 0..2 {
                // SAFETY: the caller's promise.
                unsafe { accumulate(weights, quads, limb, half, start == 0, recombination) };
            }
            if end == steps {
                // SAFETY: the caller's promise.
                unsafe { recombination.begin(limb, first) };
            }
        }
    }
}

/// Adds to the sums of `limb`, of two groups of rows, the products of tiles `[steps][TILE_BYTES]` of weights and
/// as many of packed entries, `[steps][16 quads][256]`.
///
/// # Safety
/// The CPU must have AVX-512 F and BW and AMX int8; tiles must be configured.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn accumulate<const TILES: usize>(
    weights: [&[i8]; TILES],
    quads: &[u8],
    limb: usize,
    half: usize,
    is_first: bool,
    recombination: &mut Recombination,
) {
    let steps = quads.len() / (TILE_QUADS * QUAD_BYTES);
    assert!(half < 2 && (1..=PAIR).contains(&TILES));
    // A limb is recombined while both halves of the next are multiplied.
    let recombined_a_step = PAIR_OUTPUTS.div_ceil(2 * steps);
    assert!(
        weights
            .iter()
            .all(|tiles| tiles.len() == steps * TILE_BYTES)
    );
    let sums = recombination.sums[limb].as_mut_ptr().cast::<__m512i>();
    let sums = sums.wrapping_add(2 * half);
    let second = sums.wrapping_add(TILE_OUTPUTS * GROUPS);
    // SAFETY: the sums of a limb are 32 rows of 256 bytes; each C takes 64 bytes of 16 of them.
    unsafe {
        if is_first {
            asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
            asm!("tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        } else {
            load_sums!("tmm0", "tmm1", sums);
            if TILES == PAIR {
                load_sums!("tmm2", "tmm3", second);
            }
        }
    }
    for step in 0..steps {
        let left = weights[0].as_ptr().wrapping_add(step * TILE_BYTES);
        let right = quads
            .as_ptr()
            .wrapping_add(step * TILE_QUADS * QUAD_BYTES + half * QUAD_BYTES / 2);
        // SAFETY: A is 16 rows of 64 bytes, one after the other; a B 16 rows of 64 bytes, 256 apart. Both lie
        // in the slices, whose lengths were checked.
        unsafe {
            asm!(
                "tileloadd tmm4, [{left} + {left_stride}]",
                "tileloadd tmm6, [{right} + {right_stride}]",
                "tdpbsud tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {right_stride} + 64]",
                "tdpbsud tmm1, tmm4, tmm7",
                left = in(reg) left,
                left_stride = in(reg) ROW_BYTES,
                right = in(reg) right,
                right_stride = in(reg) QUAD_BYTES,
                options(nostack, readonly),
            );
            if TILES == PAIR {
                let left = weights[TILES - 1].as_ptr().wrapping_add(step * TILE_BYTES);
                asm!(
                    "tileloadd tmm5, [{left} + {left_stride}]",
                    "tdpbsud tmm2, tmm5, tmm6",
                    "tdpbsud tmm3, tmm5, tmm7",
                    left = in(reg) left,
                    left_stride = in(reg) ROW_BYTES,
                    options(nostack, readonly),
                );
            }
            recombination.advance(recombined_a_step);
        }
    }
    // SAFETY: as for the loads. What is still to be recombined from these sums is, before.
    unsafe {
        if recombination.limb == limb {
            recombination.finish();
        }
        store_sums!("tmm0", "tmm1", sums);
        if TILES == PAIR {
            store_sums!("tmm2", "tmm3", second);
        }
    }
}

/// Makes all eight tiles 16 rows of 64 bytes.
///
/// # Safety
/// The CPU must have AMX that the operating system permits.
unsafe fn configure_tiles() {
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }
    static CONFIGURATION: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: the instruction reads the 64 bytes of the configuration.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &CONFIGURATION, options(nostack, readonly)) };
}

/// Gives the tiles back, so that context switches need not save them.
///
/// # Safety
/// The CPU must have AMX.
unsafe fn release_tiles() {
    // SAFETY: the instruction changes nothing but tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Recombination of limbs, done bit by bit while products of the next are made.
struct Recombination<'a> {
    /// `[limbs]`.
    sums: &'a mut [Sums],
    carries: &'a mut Sums,
    /// u8 `[d_out][output_limbs][64]`.
    product: &'a mut [u8],
    limbs: usize,
    output_limbs: usize,
    /// The limb being recombined.
    limb: usize,
    /// Which of its outputs are still to be done.
    outputs: std::ops::Range<usize>,
    /// The output that the sums begin with.
    first_output: usize,
}

impl Recombination<'_> {
    /// Takes up a limb of the outputs from `first` on, whose sums are complete.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and BW.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn begin(&mut self, limb: usize, first: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.finish() };
        let outputs = self.product.len() / (self.output_limbs * PANEL_ROWS);
        self.limb = limb;
        self.first_output = first;
        self.outputs = 0..(outputs - first).min(PAIR_OUTPUTS);
    }

    /// Recombines some outputs, if any are left.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and BW.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn advance(&mut self, count: usize) {
        let dropped = self.limbs - self.output_limbs;
        let start = _mm512_set1_epi32(rounding(self.limb, dropped));
        for output in self.outputs.by_ref().take(count) {
            let mut sums = self.sums[self.limb][output];
            for sum in &mut sums {
                *sum = _mm512_add_epi32(*sum, start);
            }
            let carries = &mut self.carries[output];
            if self.limb == 0 {
                *carries = [_mm512_setzero_si512(); GROUPS];
            }
            // SAFETY: the caller's promise.
            let line = unsafe { recombine(&sums, carries) };
            if self.limb >= dropped {
                let limb = self.limb - dropped;
                let place = ((self.first_output + output) * self.output_limbs + limb) * PANEL_ROWS;
                let out = &mut self.product[place..place + PANEL_ROWS];
                // SAFETY: 64 bytes; the store needs no alignment.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), line) };
            }
        }
    }

    /// Recombines all outputs that are left.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and BW.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn finish(&mut self) {
        // SAFETY: the caller's promise.
        unsafe { self.advance(PAIR_OUTPUTS) };
    }
}
