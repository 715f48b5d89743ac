//! Products mod X^N + 1 of polynomials mod 2^w with binary ones, by a complex FFT of size M = N/2.
//!
//! A real polynomial p is folded to p_c + i·p_{c+M} and twisted by ω^c, ω = exp(iπ/N); since ω^M = i,
//! products of transforms are negacyclic products. In double precision a product of an entry below 2^40 with a
//! binary polynomial is off by about 2^-8, so rounding is exact; wider entries are split into two halves.
//!
//! The transform is made for vectors, real and imaginary parts apart. With n = 8·n2 + n1, n1 < 8, and
//! P = M/8, k = P·k1 + k2 and w = exp(-2πi/M),
//!
//! X[P·k1 + k2] = Σ_n1 w^(P·n1·k1) · w^(n1·k2) · Σ_n2 w^(8·n2·k2) · x[8·n2 + n1]:
//!
//! P-point transforms along n2, whose rows of eight n1 are vectors; factors w^(n1·k2); a transposition of
//! 8 × 8 tiles; and eight-point transforms along n1, whose rows of eight k2 are vectors. No other step
//! moves values within vectors. Products do not mind in which order transforms come, so k2 stays in the
//! order in which passes in place leave it. The inverse goes the same way back; its first pass makes the
//! products on the way, its last one takes the twist off and rounds.
//!
//! Everything here is inlined into callers that [`crate::planes::dispatch`] compiles for the machine at hand.

// Loops over values of vectors are written with indices: compilers keep the values in registers only if they
// unroll them, which iterator adaptors often prevent.
#![allow(clippy::needless_range_loop)]

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use aligned_vec::{AVec, CACHELINE_ALIGN};

use crate::buffer::Buffer;
use crate::vectors::{ROUNDER, ROW, Vectors};

/// Widest entries, in bits, that one transform carries exactly.
const MAX_BITS_PER_TRANSFORM: usize = 40;

/// An integer below 2^51 in magnitude as a double.
#[inline(always)]
pub fn i64_to_f64(x: i64) -> f64 {
    f64::from_bits(x.wrapping_add(ROUNDER.to_bits() as i64) as u64) - ROUNDER
}

/// Rows of a tile, and values of a row.
const TILE: usize = ROW;

/// Eight complex values: real parts, then imaginary parts.
pub type Chunk = [f64; 2 * TILE];

/// 64 values of a transform, rows of k1.
///
/// Transforms of k polynomials are kept together, `[P / 8][k]` tiles.
pub type Tile = [Chunk; TILE];

/// Transforms of polynomials of one size.
pub struct NegacyclicFft {
    /// P; if it is less than a tile has rows, tiles are padded.
    rows: usize,
    /// ω^c, `[P][8]`.
    twist: AVec<Chunk>,
    /// ω^-c / M, `[P][8]`.
    untwist: AVec<Chunk>,
    /// w^(n1·k2), `[P / 8][n1][k2]`.
    middle: AVec<Tile>,
    /// Passes of the P-point transforms, the one of the longest strides first.
    passes: Vec<Pass>,
}

/// What makes transforms of radix·stride rows out of `radix` of `stride` rows each.
struct Pass {
    radix: usize,
    stride: usize,
    /// exp(-2πi·t·j / (radix·stride)), `[t][j]`.
    twiddles: Vec<[f64; 2]>,
}

/// Calls a method of a pass for its radix and stride, which compilers make better code of if they know them.
macro_rules! of_shape {
    ($pass:ident.$method:ident($($argument:expr),*)) => {
        match ($pass.radix, $pass.stride) {
            (4, 1) => $pass.$method::<_, 4, 1>($($argument),*),
            (8, 1) => $pass.$method::<_, 8, 1>($($argument),*),
            (4, 4) => $pass.$method::<_, 4, 4>($($argument),*),
            (8, 4) => $pass.$method::<_, 8, 4>($($argument),*),
            (8, 8) => $pass.$method::<_, 8, 8>($($argument),*),
            (8, 16) => $pass.$method::<_, 8, 16>($($argument),*),
            (radix, stride) => unreachable!("a pass of radix {radix} and stride {stride}"),
        }
    };
}

/// Buffers of one thread; what is left of the last transform may be a secret's.
pub struct Scratch {
    /// `[P]` chunks, at least a tile.
    rows: Buffer<f64>,
}

impl NegacyclicFft {
    /// Transforms of polynomials of `size` coefficients, a power of two, at least 64.
    pub fn new(size: usize) -> Self {
        assert!(size.is_power_of_two() && size >= 64, "N = {size}");
        let half = size / 2;
        let rows = half / TILE;
        let passes = Pass::all(rows);
        // k2 of each row after the passes; whatever for rows that pad a tile.
        let order: Vec<usize> = (0..rows.max(TILE))
            .map(|row| position_to_index(&passes, row))
            .collect();
        let chunk = |scale: f64, angle: &dyn Fn(usize) -> f64| -> Chunk {
            std::array::from_fn(|i| {
                let (sin, cos) = angle(i % TILE).sin_cos();
                scale * if i < TILE { cos } else { sin }
            })
        };
        let twist = |sign: f64, scale: f64| {
            let chunks = (0..rows).map(|row| {
                chunk(scale, &|n1| {
                    sign * PI * (TILE * row + n1) as f64 / size as f64
                })
            });
            AVec::from_iter(CACHELINE_ALIGN, chunks)
        };
        let middle = order.chunks_exact(TILE).map(|order| {
            std::array::from_fn(|n1| {
                chunk(1.0, &|lane| {
                    -2.0 * PI * (n1 * order[lane] % half) as f64 / half as f64
                })
            })
        });
        NegacyclicFft {
            rows,
            twist: twist(1.0, 1.0),
            untwist: twist(-1.0, 1.0 / half as f64),
            middle: AVec::from_iter(CACHELINE_ALIGN, middle),
            passes,
        }
    }

    /// Doubles of a transform.
    pub fn transform_len(&self) -> usize {
        self.middle.len() * TILE * 2 * TILE
    }

    /// Buffers for a thread.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            rows: Buffer::zeros(self.rows.max(TILE) * 2 * TILE),
        }
    }

    /// The transform of a polynomial, N coefficients, to its tiles among those of others.
    #[inline(always)]
    pub fn forward<'c>(
        &self,
        planes: impl Vectors,
        polynomial: &[f64],
        out: impl Iterator<Item = &'c mut Tile>,
        scratch: &mut Scratch,
    ) {
        let all_rows = scratch.rows.as_chunks_mut().0;
        let rows: &mut [Chunk] = &mut all_rows[..self.rows];
        let [first, others @ ..] = &self.passes[..] else {
            unreachable!("there is a pass")
        };
        of_shape!(first.twist_and_forward(planes, polynomial, &self.twist, rows));
        for pass in others {
            for rows in rows.chunks_exact_mut(pass.radix * pass.stride) {
                of_shape!(pass.forward(planes, rows));
            }
        }
        all_rows[self.rows..].fill([0.0; 2 * TILE]);
        let tiles = all_rows.as_chunks::<TILE>().0;
        for ((rows, middle), out) in tiles.iter().zip(self.middle.iter()).zip(out) {
            last_forward_pass(planes, rows, middle, out);
        }
    }

    /// The coefficients of Σ_j a_j·b_j, rounded to integers below 2^51 in magnitude, given the tiles of all a_j
    /// and b_j, `[P / 8][count]`.
    #[inline(always)]
    pub fn sum_of_products(
        &self,
        planes: impl Vectors,
        (a, b): (&[Tile], &[Tile]),
        out: &mut [i64],
        scratch: &mut Scratch,
    ) {
        let all_rows = scratch.rows.as_chunks_mut().0;
        let count = a.len() / self.middle.len();
        let factors = a.chunks_exact(count).zip(b.chunks_exact(count));
        let tiles = all_rows.as_chunks_mut::<TILE>().0;
        for ((rows, middle), (a, b)) in tiles.iter_mut().zip(self.middle.iter()).zip(factors) {
            first_inverse_pass(planes, (a, b), middle, rows);
        }
        let rows = &mut all_rows[..self.rows];
        let [last, others @ ..] = &self.passes[..] else {
            unreachable!("there is a pass")
        };
        for pass in others.iter().rev() {
            for rows in rows.chunks_exact_mut(pass.radix * pass.stride) {
                of_shape!(pass.inverse(planes, rows));
            }
        }
        of_shape!(last.inverse_and_round(planes, rows, &self.untwist, out));
    }
}

/// The index that a transform in place leaves at a position.
fn position_to_index(passes: &[Pass], position: usize) -> usize {
    let mut rest = position;
    let (mut index, mut weight) = (0, 1);
    for pass in passes {
        index += weight * (rest / pass.stride);
        rest %= pass.stride;
        weight *= pass.radix;
    }
    index
}

impl Pass {
    /// The passes of transforms of so many rows, a power of two, at least 4.
    fn all(rows: usize) -> Vec<Pass> {
        let mut passes = Vec::new();
        let mut span = rows;
        while span > 1 {
            // Eights, and fours where they do not come out even.
            let radix = if matches!(span, 4 | 16) { 4 } else { 8 };
            let stride = span / radix;
            let turns = (0..stride).flat_map(|t| (0..radix).map(move |j| t * j));
            passes.push(Pass {
                radix,
                stride,
                twiddles: turns
                    .map(|turn| {
                        let (sin, cos) = (-2.0 * PI * turn as f64 / span as f64).sin_cos();
                        [cos, sin]
                    })
                    .collect(),
            });
            span = stride;
        }
        passes
    }

    /// The twist, then as `forward`: real parts come from the first half of `polynomial`, imaginary ones from
    /// the second.
    #[inline(always)]
    fn twist_and_forward<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        polynomial: &[f64],
        twist: &[Chunk],
        rows: &mut [Chunk],
    ) {
        let (low, high) = polynomial.split_at(polynomial.len() / 2);
        let low = strided::<RADIX, STRIDE, _>(low.as_chunks::<ROW>().0);
        let high = strided::<RADIX, STRIDE, _>(high.as_chunks::<ROW>().0);
        let twist = strided::<RADIX, STRIDE, _>(twist);
        let rows = strided_mut::<RADIX, STRIDE, _>(rows);
        for t in 0..STRIDE {
            for at in 0..vectors::<P>() {
                let mut values = [Complex::splat(planes, 0.0, 0.0); RADIX];
                for j in 0..RADIX {
                    let coefficients = Complex {
                        re: planes.load(&low[j][t], at),
                        im: planes.load(&high[j][t], at),
                    };
                    values[j] = coefficients.times(planes, load(planes, &twist[j][t], at));
                }
                let values = self.forward_column::<P, RADIX, STRIDE>(planes, t, values);
                store_column(planes, values, rows, t, at);
            }
        }
    }

    /// Transforms of `RADIX` rows each, a stride apart, then twiddles.
    #[inline(always)]
    fn forward<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        rows: &mut [Chunk],
    ) {
        let rows = strided_mut::<RADIX, STRIDE, _>(rows);
        for t in 0..STRIDE {
            for at in 0..vectors::<P>() {
                let values = load_column::<P, RADIX, STRIDE>(planes, rows, t, at);
                let values = self.forward_column::<P, RADIX, STRIDE>(planes, t, values);
                store_column(planes, values, rows, t, at);
            }
        }
    }

    #[inline(always)]
    fn forward_column<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        t: usize,
        values: [Complex<P::Vector>; RADIX],
    ) -> [Complex<P::Vector>; RADIX] {
        let mut values = transform::<_, RADIX, false>(planes, values);
        if STRIDE > 1 {
            let twiddles = &self.twiddles.as_chunks::<RADIX>().0[t];
            for j in 1..RADIX {
                let [re, im] = twiddles[j];
                values[j] = values[j].times(planes, Complex::splat(planes, re, im));
            }
        }
        values
    }

    /// The inverse of `forward`, times `RADIX`.
    #[inline(always)]
    fn inverse<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        rows: &mut [Chunk],
    ) {
        let rows = strided_mut::<RADIX, STRIDE, _>(rows);
        for t in 0..STRIDE {
            for at in 0..vectors::<P>() {
                let values = load_column::<P, RADIX, STRIDE>(planes, rows, t, at);
                let values = self.inverse_of_column::<P, RADIX, STRIDE>(planes, t, values);
                store_column(planes, values, rows, t, at);
            }
        }
    }

    /// The same, then the twist taken off, and real and imaginary parts rounded to the halves of `out`.
    #[inline(always)]
    fn inverse_and_round<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        rows: &mut [Chunk],
        untwist: &[Chunk],
        out: &mut [i64],
    ) {
        let rows = strided_mut::<RADIX, STRIDE, _>(rows);
        let (low, high) = out.split_at_mut(out.len() / 2);
        let low = strided_mut::<RADIX, STRIDE, _>(low.as_chunks_mut::<ROW>().0);
        let high = strided_mut::<RADIX, STRIDE, _>(high.as_chunks_mut::<ROW>().0);
        let untwist = strided::<RADIX, STRIDE, _>(untwist);
        for t in 0..STRIDE {
            for at in 0..vectors::<P>() {
                let values = load_column::<P, RADIX, STRIDE>(planes, rows, t, at);
                let values = self.inverse_of_column::<P, RADIX, STRIDE>(planes, t, values);
                for j in 0..RADIX {
                    let value = values[j].times(planes, load(planes, &untwist[j][t], at));
                    planes.round(value.re, &mut low[j][t], at);
                    planes.round(value.im, &mut high[j][t], at);
                }
            }
        }
    }

    #[inline(always)]
    fn inverse_of_column<P: Vectors, const RADIX: usize, const STRIDE: usize>(
        &self,
        planes: P,
        t: usize,
        mut values: [Complex<P::Vector>; RADIX],
    ) -> [Complex<P::Vector>; RADIX] {
        if STRIDE > 1 {
            let twiddles = &self.twiddles.as_chunks::<RADIX>().0[t];
            for j in 1..RADIX {
                let [re, im] = twiddles[j];
                values[j] = values[j].times_conjugate(planes, Complex::splat(planes, re, im));
            }
        }
        transform::<_, RADIX, true>(planes, values)
    }
}

/// Eight-point transforms along the rows' values, which come as columns.
#[inline(always)]
fn last_forward_pass<P: Vectors>(planes: P, rows: &Tile, middle: &Tile, out: &mut Tile) {
    let vectors = vectors::<P>();
    for at in 0..vectors {
        // As many rows as a vector has values: they are the columns' values.
        let mut re = [planes.splat(0.0); TILE];
        let mut im = re;
        for i in 0..TILE {
            let row = at * TILE / vectors + i / vectors;
            Complex {
                re: re[i],
                im: im[i],
            } = load(planes, &rows[row], i % vectors);
        }
        let (re, im) = (planes.rows_to_columns(re), planes.rows_to_columns(im));
        let mut values = [Complex::splat(planes, 0.0, 0.0); TILE];
        for n1 in 0..TILE {
            let value = Complex {
                re: re[n1],
                im: im[n1],
            };
            values[n1] = value.times(planes, load(planes, &middle[n1], at));
        }
        let values = transform::<_, TILE, false>(planes, values);
        for k1 in 0..TILE {
            store(planes, values[k1], &mut out[k1], at);
        }
    }
}

/// Sums of products, their eight-point inverse transforms, and what came before them as rows.
#[inline(always)]
fn first_inverse_pass<P: Vectors>(
    planes: P,
    (a, b): (&[Tile], &[Tile]),
    middle: &Tile,
    rows: &mut Tile,
) {
    let vectors = vectors::<P>();
    for at in 0..vectors {
        // As many sums at a time as registers hold.
        let [x0, x1, x2, x3] = four_sums::<P, 0>(planes, (a, b), at);
        let [x4, x5, x6, x7] = four_sums::<P, 4>(planes, (a, b), at);
        let mut values = transform::<_, TILE, true>(planes, [x0, x1, x2, x3, x4, x5, x6, x7]);
        for n1 in 1..TILE {
            values[n1] = values[n1].times_conjugate(planes, load(planes, &middle[n1], at));
        }
        let mut re = [planes.splat(0.0); TILE];
        let mut im = re;
        for i in 0..TILE {
            (re[i], im[i]) = (values[i].re, values[i].im);
        }
        let (re, im) = (planes.columns_to_rows(re), planes.columns_to_rows(im));
        for i in 0..TILE {
            let value = Complex {
                re: re[i],
                im: im[i],
            };
            let row = at * TILE / vectors + i / vectors;
            store(planes, value, &mut rows[row], i % vectors);
        }
    }
}

/// Sums of products of four rows.
#[inline(always)]
fn four_sums<P: Vectors, const FIRST: usize>(
    planes: P,
    (a, b): (&[Tile], &[Tile]),
    at: usize,
) -> [Complex<P::Vector>; 4] {
    let mut sums = [Complex::splat(planes, 0.0, 0.0); 4];
    for (a, b) in a.iter().zip(b) {
        for i in 0..4 {
            let a = load(planes, &a[FIRST + i], at);
            let b = load(planes, &b[FIRST + i], at);
            sums[i] = sums[i].plus_product(planes, a, b);
        }
    }
    sums
}

/// Vectors of a row.
#[inline(always)]
fn vectors<P: Vectors>() -> usize {
    ROW / P::LANES
}

/// Vector `at` of a row.
#[inline(always)]
fn load<P: Vectors>(planes: P, chunk: &Chunk, at: usize) -> Complex<P::Vector> {
    Complex {
        re: planes.load(chunk, at),
        im: planes.load(chunk, vectors::<P>() + at),
    }
}

/// Writes vector `at` of a row.
#[inline(always)]
fn store<P: Vectors>(planes: P, value: Complex<P::Vector>, chunk: &mut Chunk, at: usize) {
    planes.store(value.re, chunk, at);
    planes.store(value.im, chunk, vectors::<P>() + at);
}

/// Rows 0, 1, … a stride apart.
#[inline(always)]
fn strided<const RADIX: usize, const STRIDE: usize, T>(rows: &[T]) -> &[[T; STRIDE]; RADIX] {
    let rows = rows.as_chunks().0.try_into();
    rows.expect("radix times stride rows")
}

/// The same, to be written.
#[inline(always)]
fn strided_mut<const RADIX: usize, const STRIDE: usize, T>(
    rows: &mut [T],
) -> &mut [[T; STRIDE]; RADIX] {
    let rows = rows.as_chunks_mut().0.try_into();
    rows.expect("radix times stride rows")
}

/// Vector `at` of rows t, t + stride, …
#[inline(always)]
fn load_column<P: Vectors, const RADIX: usize, const STRIDE: usize>(
    planes: P,
    rows: &[[Chunk; STRIDE]; RADIX],
    t: usize,
    at: usize,
) -> [Complex<P::Vector>; RADIX] {
    let mut values = [Complex::splat(planes, 0.0, 0.0); RADIX];
    for j in 0..RADIX {
        values[j] = load(planes, &rows[j][t], at);
    }
    values
}

/// Writes it.
#[inline(always)]
fn store_column<P: Vectors, const RADIX: usize, const STRIDE: usize>(
    planes: P,
    values: [Complex<P::Vector>; RADIX],
    rows: &mut [[Chunk; STRIDE]; RADIX],
    t: usize,
    at: usize,
) {
    for j in 0..RADIX {
        store(planes, values[j], &mut rows[j][t], at);
    }
}

/// Complex numbers, one in each lane.
#[derive(Clone, Copy)]
struct Complex<V> {
    re: V,
    im: V,
}

impl<V: Copy> Complex<V> {
    #[inline(always)]
    fn splat<P: Vectors<Vector = V>>(planes: P, re: f64, im: f64) -> Self {
        Complex {
            re: planes.splat(re),
            im: planes.splat(im),
        }
    }

    #[inline(always)]
    fn plus<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        Complex {
            re: planes.add(self.re, other.re),
            im: planes.add(self.im, other.im),
        }
    }

    #[inline(always)]
    fn minus<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        Complex {
            re: planes.sub(self.re, other.re),
            im: planes.sub(self.im, other.im),
        }
    }

    #[inline(always)]
    fn minus_i_times<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        Complex {
            re: planes.add(self.re, other.im),
            im: planes.sub(self.im, other.re),
        }
    }

    #[inline(always)]
    fn plus_i_times<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        Complex {
            re: planes.sub(self.re, other.im),
            im: planes.add(self.im, other.re),
        }
    }

    #[inline(always)]
    fn times<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        let (re, im) = (planes.mul(self.im, other.im), planes.mul(self.im, other.re));
        Complex {
            re: planes.mul_sub(self.re, other.re, re),
            im: planes.mul_add(self.re, other.im, im),
        }
    }

    #[inline(always)]
    fn times_conjugate<P: Vectors<Vector = V>>(self, planes: P, other: Self) -> Self {
        let (re, im) = (planes.mul(self.im, other.im), planes.mul(self.im, other.re));
        Complex {
            re: planes.mul_add(self.re, other.re, re),
            im: planes.negate_mul_add(self.re, other.im, im),
        }
    }

    /// Of real and imaginary part.
    #[inline(always)]
    fn sum<P: Vectors<Vector = V>>(self, planes: P) -> V {
        planes.add(self.re, self.im)
    }

    /// Imaginary minus real part.
    #[inline(always)]
    fn difference<P: Vectors<Vector = V>>(self, planes: P) -> V {
        planes.sub(self.im, self.re)
    }

    #[inline(always)]
    fn plus_product<P: Vectors<Vector = V>>(self, planes: P, a: Self, b: Self) -> Self {
        let re = planes.mul_add(a.re, b.re, self.re);
        let im = planes.mul_add(a.re, b.im, self.im);
        Complex {
            re: planes.negate_mul_add(a.im, b.im, re),
            im: planes.mul_add(a.im, b.re, im),
        }
    }
}

/// Σ_j exp(∓2πi·jk / `RADIX`)·x_j, `RADIX` 4 or 8; minus if not `INVERSE`.
#[inline(always)]
fn transform<P: Vectors, const RADIX: usize, const INVERSE: bool>(
    planes: P,
    x: [Complex<P::Vector>; RADIX],
) -> [Complex<P::Vector>; RADIX] {
    match RADIX {
        4 => resized(transform_4::<_, INVERSE>(planes, resized(x))),
        _ => resized(transform_8::<_, INVERSE>(planes, resized(x))),
    }
}

/// The same array, whose length the compiler does not know to be the same.
#[inline(always)]
fn resized<V: Copy, const FROM: usize, const TO: usize>(x: [V; FROM]) -> [V; TO] {
    assert_eq!(FROM, TO);
    let mut y = [x[0]; TO];
    y.copy_from_slice(&x);
    y
}

#[inline(always)]
fn transform_8<P: Vectors, const INVERSE: bool>(
    planes: P,
    [a, b, c, d, e, f, g, h]: [Complex<P::Vector>; 8],
) -> [Complex<P::Vector>; 8] {
    let even = transform_4::<_, false>(planes, [a, c, e, g]);
    let odd = transform_4::<_, false>(planes, [b, d, f, h]);
    let half = planes.splat(FRAC_1_SQRT_2);
    // exp(-2πi/8)·odd_1 = (sum_1 + i·difference_1)/√2, its third power times odd_3 likewise.
    let (sum_1, sum_3) = (odd[1].sum(planes), odd[3].sum(planes));
    let (difference_1, difference_3) = (odd[1].difference(planes), odd[3].difference(planes));
    let y0 = even[0].plus(planes, odd[0]);
    let y1 = Complex {
        re: planes.mul_add(half, sum_1, even[1].re),
        im: planes.mul_add(half, difference_1, even[1].im),
    };
    let y2 = even[2].minus_i_times(planes, odd[2]);
    let y3 = Complex {
        re: planes.mul_add(half, difference_3, even[3].re),
        im: planes.negate_mul_add(half, sum_3, even[3].im),
    };
    let y4 = even[0].minus(planes, odd[0]);
    let y5 = Complex {
        re: planes.negate_mul_add(half, sum_1, even[1].re),
        im: planes.negate_mul_add(half, difference_1, even[1].im),
    };
    let y6 = even[2].plus_i_times(planes, odd[2]);
    let y7 = Complex {
        re: planes.negate_mul_add(half, difference_3, even[3].re),
        im: planes.mul_add(half, sum_3, even[3].im),
    };
    // An inverse transform is a transform, but that index k becomes -k.
    if INVERSE {
        [y0, y7, y6, y5, y4, y3, y2, y1]
    } else {
        [y0, y1, y2, y3, y4, y5, y6, y7]
    }
}

#[inline(always)]
fn transform_4<P: Vectors, const INVERSE: bool>(
    planes: P,
    [a, b, c, d]: [Complex<P::Vector>; 4],
) -> [Complex<P::Vector>; 4] {
    let (ac, a_c) = (a.plus(planes, c), a.minus(planes, c));
    let (bd, b_d) = (b.plus(planes, d), b.minus(planes, d));
    let (y0, y2) = (ac.plus(planes, bd), ac.minus(planes, bd));
    let (y1, y3) = (
        a_c.minus_i_times(planes, b_d),
        a_c.plus_i_times(planes, b_d),
    );
    if INVERSE {
        [y0, y3, y2, y1]
    } else {
        [y0, y1, y2, y3]
    }
}

/// How entries mod 2^bits are cut into parts that one transform carries exactly.
#[derive(Debug, Clone, Copy)]
pub struct EntrySplit {
    bits: usize,
    part_bits: usize,
}

impl EntrySplit {
    /// The split of entries of `bits` bits, at most 56.
    pub fn of(bits: usize) -> Self {
        let parts = bits.div_ceil(MAX_BITS_PER_TRANSFORM);
        EntrySplit {
            bits,
            part_bits: bits.div_ceil(parts),
        }
    }

    /// Number of transforms a polynomial takes.
    pub fn parts(&self) -> usize {
        self.bits.div_ceil(self.part_bits)
    }

    /// How to take part `part` of entries; the top part comes with its sign, which halves its size.
    pub fn part(&self, part: usize) -> EntryPart {
        let shift = self.shift(part);
        let bits = (self.bits as u32 - shift).min(self.part_bits as u32);
        let sign = if part + 1 == self.parts() {
            1 << (bits - 1)
        } else {
            0
        };
        EntryPart {
            shift,
            mask: (1 << bits) - 1,
            flip: sign ^ TWO_TO_52.to_bits(),
            offset: TWO_TO_52 + sign as f64,
        }
    }

    /// Weight of part `part` in the whole, as a shift.
    pub fn shift(&self, part: usize) -> u32 {
        (part * self.part_bits) as u32
    }
}

/// A part of an entry, as a double.
#[derive(Debug, Clone, Copy)]
pub struct EntryPart {
    shift: u32,
    mask: u64,
    /// Makes a double of a part below 2^52: the exponent of 2^52, and the sign bit, which stands for what
    /// must be taken off if it is not set.
    flip: u64,
    offset: f64,
}

const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

impl EntryPart {
    /// The part of `entry`, exactly.
    #[inline(always)]
    pub fn of(self, entry: u64) -> f64 {
        f64::from_bits(((entry >> self.shift) & self.mask) ^ self.flip) - self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planes::{Planes, Task, on_every_path};

    fn schoolbook(entries: &[u64], secret: &[u8], modulus_mask: u64) -> Vec<u64> {
        let n = entries.len();
        let mut product = vec![0u64; n];
        for (i, &bit) in secret.iter().enumerate() {
            if bit == 1 {
                for (j, &entry) in entries.iter().enumerate() {
                    if i + j < n {
                        product[i + j] = product[i + j].wrapping_add(entry);
                    } else {
                        product[i + j - n] = product[i + j - n].wrapping_sub(entry);
                    }
                }
            }
        }
        product.iter().map(|v| v & modulus_mask).collect()
    }

    #[test]
    fn products_are_exact_for_every_size_and_width() {
        struct Check;

        impl Task for Check {
            type Output = ();

            #[inline(always)]
            fn run<P: Planes>(self, planes: P) {
                check_products(planes);
            }
        }

        on_every_path(|| Check);
    }

    #[inline(always)]
    fn check_products(planes: impl Vectors) {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for size in [64, 128, 256, 512, 1024, 2048] {
            let fft = NegacyclicFft::new(size);
            let mut scratch = fft.scratch();
            for bits in [24, 32, 40, 48, 56] {
                let mask = (1u64 << bits) - 1;
                for extreme in [false, true] {
                    let entries: Vec<u64> = (0..size)
                        .map(|_| if extreme { mask >> 1 } else { next() & mask })
                        .collect();
                    let secret: Vec<u8> = (0..size)
                        .map(|_| if extreme { 1 } else { (next() >> 40) as u8 & 1 })
                        .collect();
                    let split = EntrySplit::of(bits);
                    let bits_of_secret: Vec<f64> = secret.iter().map(|&b| f64::from(b)).collect();
                    let mut key = vec![Tile::default(); fft.transform_len() / 128];
                    fft.forward(planes, &bits_of_secret, key.iter_mut(), &mut scratch);
                    let (mut product, mut values) = (vec![0u64; size], vec![0i64; size]);
                    for part in 0..split.parts() {
                        let (entry_part, shift) = (split.part(part), split.shift(part));
                        let coefficients: Vec<f64> =
                            entries.iter().map(|&e| entry_part.of(e)).collect();
                        let mut transform = key.clone();
                        fft.forward(planes, &coefficients, transform.iter_mut(), &mut scratch);
                        fft.sum_of_products(planes, (&transform, &key), &mut values, &mut scratch);
                        for (product, &value) in product.iter_mut().zip(&values) {
                            *product = product.wrapping_add((value as u64) << shift) & mask;
                        }
                    }
                    assert!(
                        product == schoolbook(&entries, &secret, mask),
                        "N = {size}, {bits} bits, extreme: {extreme}"
                    );
                }
            }
        }
    }
}
