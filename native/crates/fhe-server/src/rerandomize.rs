//! Re-randomisation of results: to every output feature a fresh encryption of zero under the client's public key
//! is added, and noise that floods what bodies tell beside their message. The mask of a result is then, to who
//! knows the secret key too, as random as module-LWE with the secret r is; without it, it is a known mask times the
//! weights.
//!
//! With P the k × k masks of the public key, B_b its k bodies under key b, r of k random polynomials and fresh noise
//! e1, e2 of the published curve, the mask gets Pᵀ·r + e1 and body b gets B_b·r + e2 + TUniform(-2^b, 2^b). A
//! coefficient of r is the difference of two random bits: guessing it is no easier than with a binary secret, for
//! which the curve is made (who knows one of the bits has that very problem), and its mean is zero, so that what
//! r·E adds for the public key's noise E does not lean the same way in all results under a key. The randomness comes
//! from the operating system for every block, and from nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};

use fhe_core::block::{BlockLayout, KeyId};
use fhe_core::keystream::Keystream;
use fhe_core::mask::MaskStream;
use fhe_core::noise::fresh_noise_bound_log2;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;
use fhe_core::public_key::{PublicKeyFile, PublicKeySet};
use fhe_core::random::{NoiseStream, fill_from_os};
use fhe_core::{Error, Result};
use tfhe::core_crypto::fft_impl::fft64::c64;
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomial;
use tfhe::core_crypto::prelude::{ComputationBuffers, Fft, Polynomial, PolynomialSize};

/// Widest entries, in bits, whose products with such polynomials doubles hold.
const WIDEST_PART: usize = 40;
/// Bits of the low part of wider entries.
const LOW_PART: usize = 28;
/// Products are made of integers below 2^52, as multiples of this.
const UNIT_LOG2: i32 = 53;
/// What a keystream makes at a time.
const RUN_BYTES: usize = 64;

/// A client's public key, ready for use; immutable, shared by all threads.
pub struct PublicKey {
    id: KeyId,
    sets: Vec<PreparedSet>,
}

impl PublicKey {
    /// Prepares the bytes of a file.
    ///
    /// # Errors
    /// As [`PublicKeyFile::decode`].
    pub fn open(bytes: &[u8]) -> Result<Self> {
        let file = PublicKeyFile::decode(bytes)?;
        Ok(PublicKey {
            id: file.key_id,
            sets: file.sets.into_iter().map(PreparedSet::new).collect(),
        })
    }

    /// Id of the client key that it belongs to.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(crate) fn set(&self, parameters: &PackedParameters) -> Result<&PreparedSet> {
        let fits = |set: &&PreparedSet| set.set.fits(parameters);
        self.sets.iter().find(fits).ok_or_else(|| {
            Error::invalid(format!(
                "the public key of client key {:032x} is not for k = {}, N = {}, q = 2^{}, K = {}: make one for this model",
                u128::from_be_bytes(self.id),
                parameters.glwe_dimension,
                parameters.polynomial_size,
                parameters.log2_modulus(),
                parameters.bodies
            ))
        })
    }
}

/// A public key of one shape, transformed.
pub(crate) struct PreparedSet {
    set: PublicKeySet,
    fft: Fft,
    parts: Vec<Part>,
    /// Of masks, then bodies: `[k + K][part][k][N / 2]`, in units of 2^-53.
    transforms: Vec<c64>,
}

/// Bits of entries that are transformed together.
#[derive(Clone, Copy)]
struct Part {
    shift: usize,
    bits: usize,
    is_signed: bool,
}

impl Part {
    fn all(limbs: usize) -> Vec<Part> {
        let part = |shift: usize, bits: usize, is_signed: bool| Part {
            shift,
            bits,
            is_signed,
        };
        match 8 * limbs {
            bits if bits <= WIDEST_PART => vec![part(0, bits, true)],
            bits => vec![
                part(0, LOW_PART, false),
                part(LOW_PART, bits - LOW_PART, true),
            ],
        }
    }

    fn of(self, entry: u64) -> u64 {
        let unused = 64 - self.bits;
        let high = entry << (unused - self.shift);
        if self.is_signed {
            ((high as i64) >> unused) as u64
        } else {
            high >> unused
        }
    }
}

impl PreparedSet {
    fn new(set: PublicKeySet) -> Self {
        let size = PolynomialSize(set.polynomial_size);
        let fft = Fft::new(size);
        let parts = Part::all(set.limbs);
        let mut buffers = buffers(&fft);
        let (k, half) = (set.glwe_dimension, set.polynomial_size / 2);
        let mut transforms = vec![c64::default(); (k + set.bodies) * parts.len() * k * half];
        let mut polynomial = Polynomial::new(0u64, size);
        for row in 0..k {
            let rows = entries_of_row(&set, row);
            for (index, entries) in rows.chunks_exact(set.polynomial_size).enumerate() {
                for (number, part) in parts.iter().enumerate() {
                    for (coefficient, &entry) in polynomial.as_mut().iter_mut().zip(entries) {
                        *coefficient = part.of(entry);
                    }
                    let at = ((index * parts.len() + number) * k + row) * half;
                    let transform = &mut transforms[at..at + half];
                    fft.as_view().forward_as_integer(
                        FourierPolynomial {
                            data: &mut *transform,
                        },
                        polynomial.as_view(),
                        buffers.stack(),
                    );
                    for value in transform {
                        *value *= f64::from(-UNIT_LOG2).exp2();
                    }
                }
            }
        }
        PreparedSet {
            set,
            fft,
            parts,
            transforms,
        }
    }

    /// Encryptions of zero, one for each feature of a block of results.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `should_stop` said so, [`Error::Internal`] if there is no memory for them: the block is
    /// not at fault.
    pub(crate) fn encryptions_of_zero(
        &self,
        parameters: &PackedParameters,
        layout: &BlockLayout,
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Addends> {
        let mask_panels = layout.mask.panels();
        let panels = mask_panels + layout.bodies.panels();
        let features = layout.bodies.features;
        let feature_bytes = panels * PANEL_ROWS * parameters.limbs;
        let total = features * feature_bytes;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(total).map_err(|_| {
            Error::Internal(format!(
                "there is no memory for the {total} bytes that re-randomise a block: use smaller blocks"
            ))
        })?;
        bytes.resize(total, 0);
        let randomness = Randomness::new(parameters)?;
        let threads = threads.clamp(1, features);
        let is_stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut shares = Vec::new();
            let mut rest = &mut bytes[..];
            for thread in 0..threads {
                let range = features * thread / threads..features * (thread + 1) / threads;
                let (share, after) = rest.split_at_mut(range.len() * feature_bytes);
                rest = after;
                shares.push((range.start, share));
            }
            let mut shares = shares.into_iter();
            let own = shares.next();
            let (randomness, is_stopped) = (&randomness, &is_stopped);
            for (first, share) in shares {
                scope.spawn(move || {
                    let mut stop = || is_stopped.load(Ordering::Relaxed);
                    self.fill(
                        randomness,
                        first,
                        share,
                        feature_bytes,
                        mask_panels,
                        &mut stop,
                    );
                });
            }
            if let Some((first, share)) = own {
                let mut stop = || {
                    if should_stop() {
                        is_stopped.store(true, Ordering::Relaxed);
                    }
                    is_stopped.load(Ordering::Relaxed)
                };
                self.fill(
                    randomness,
                    first,
                    share,
                    feature_bytes,
                    mask_panels,
                    &mut stop,
                );
            }
        });
        if is_stopped.into_inner() {
            return Err(Error::Stopped);
        }
        Ok(Addends {
            bytes,
            panels,
            limbs: parameters.limbs,
        })
    }

    /// Features from `first` on.
    fn fill(
        &self,
        randomness: &Randomness,
        first: usize,
        out: &mut [u8],
        feature_bytes: usize,
        mask_panels: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) {
        let mut work = Work::new(self);
        for (feature, out) in (first..).zip(out.chunks_exact_mut(feature_bytes)) {
            if should_stop() {
                return;
            }
            randomness.fill_secret(feature, &mut work.bits);
            self.transform_secret(&mut work);
            let polynomial_bytes = self.set.polynomial_size * self.set.limbs;
            for (index, out) in out.chunks_mut(polynomial_bytes).enumerate() {
                self.multiply(index, &mut work);
                let panel_bytes = PANEL_ROWS * self.set.limbs;
                let first_panel = index * self.set.polynomial_size / PANEL_ROWS;
                let entries = work.product.as_chunks_mut::<PANEL_ROWS>().0;
                let panels = entries.iter_mut().zip(out.chunks_exact_mut(panel_bytes));
                for (panel, (entries, out)) in (first_panel..).zip(panels) {
                    let noise = &mut work.noise;
                    match panel.checked_sub(mask_panels) {
                        None => randomness.add_to_mask(feature, panel, noise, entries),
                        Some(body) => randomness.add_to_body(feature, body, noise, entries),
                    }
                    for (limb, plane) in out.chunks_exact_mut(PANEL_ROWS).enumerate() {
                        for (byte, entry) in plane.iter_mut().zip(entries.iter()) {
                            *byte = (entry >> (8 * limb)) as u8;
                        }
                    }
                }
            }
        }
    }

    fn transform_secret(&self, work: &mut Work) {
        let half = self.set.polynomial_size / 2;
        for (row, transform) in work.secret.chunks_exact_mut(half).enumerate() {
            for (c, coefficient) in work.polynomial.as_mut().iter_mut().enumerate() {
                let pair = row * self.set.polynomial_size + c;
                let bits = work.bits[pair / 4] >> (2 * (pair % 4));
                *coefficient = u64::from(bits & 1).wrapping_sub(u64::from(bits >> 1 & 1));
            }
            self.fft.as_view().forward_as_integer(
                FourierPolynomial { data: transform },
                work.polynomial.as_view(),
                work.buffers.stack(),
            );
        }
    }

    /// Σ_row r_row · P_(row, index), or B_(row, index - k), to the product.
    fn multiply(&self, index: usize, work: &mut Work) {
        let half = self.set.polynomial_size / 2;
        let length = self.set.glwe_dimension * half;
        work.product.fill(0);
        for (number, part) in self.parts.iter().enumerate() {
            let key = &self.transforms[(index * self.parts.len() + number) * length..][..length];
            work.sum.fill(c64::default());
            let rows = key.chunks_exact(half).zip(work.secret.chunks_exact(half));
            for (key, secret) in rows {
                for ((sum, key), secret) in work.sum.iter_mut().zip(key).zip(secret) {
                    *sum += key * secret;
                }
            }
            self.fft.as_view().backward_as_torus(
                work.polynomial.as_mut_view(),
                FourierPolynomial {
                    data: &work.sum[..],
                },
                work.buffers.stack(),
            );
            // An integer times 2^-53 of the torus, off by less than half of that.
            let drop = 64 - UNIT_LOG2;
            for (product, &value) in work.product.iter_mut().zip(work.polynomial.as_ref()) {
                let integer = (value.wrapping_add(1 << (drop - 1)) as i64) >> drop;
                *product = product.wrapping_add((integer as u64) << part.shift);
            }
        }
    }
}

/// Entries of one of the encryptions of zero: k mask polynomials, then K bodies.
fn entries_of_row(set: &PublicKeySet, row: usize) -> Vec<u64> {
    let layout = set.layout();
    let mut planes = vec![0; set.parameters().mask_bytes_per_feature()];
    MaskStream::new(&set.mask_seed, &set.parameters()).fill_feature(row, &mut planes);
    for panel in 0..layout.panels() {
        planes.extend_from_slice(&set.payload[layout.feature_range(panel, row)]);
    }
    let entry = |panel: &[u8], at: usize| {
        let limbs = panel.chunks_exact(PANEL_ROWS).rev();
        limbs.fold(0, |entry, plane| entry << 8 | u64::from(plane[at]))
    };
    planes
        .chunks_exact(PANEL_ROWS * set.limbs)
        .flat_map(|panel| (0..PANEL_ROWS).map(move |at| entry(panel, at)))
        .collect()
}

/// Buffers of one thread.
struct Work {
    buffers: ComputationBuffers,
    polynomial: Polynomial<Vec<u64>>,
    /// Those of r, two for each coefficient.
    bits: Vec<u8>,
    /// Its transforms, `[k][N / 2]`.
    secret: Vec<c64>,
    sum: Vec<c64>,
    product: Vec<u64>,
    noise: Vec<u8>,
}

impl Work {
    fn new(set: &PreparedSet) -> Self {
        let size = set.set.polynomial_size;
        let n = size * set.set.glwe_dimension;
        Work {
            buffers: buffers(&set.fft),
            polynomial: Polynomial::new(0, PolynomialSize(size)),
            bits: vec![0; (n / 4).next_multiple_of(RUN_BYTES)],
            secret: vec![c64::default(); n / 2],
            sum: vec![c64::default(); size / 2],
            product: vec![0; size],
            noise: Vec::new(),
        }
    }
}

fn buffers(fft: &Fft) -> ComputationBuffers {
    let fft = fft.as_view();
    let mut buffers = ComputationBuffers::new();
    let bytes = fft
        .forward_scratch()
        .or(fft.backward_scratch())
        .unaligned_bytes_required();
    buffers.resize(bytes);
    buffers
}

/// All that is drawn for one block, each from a stream of its own.
struct Randomness {
    secret: Keystream,
    mask_noise: NoiseStream,
    body_noise: NoiseStream,
    flooding: NoiseStream,
    mask_panels: usize,
    body_panels: usize,
}

impl Randomness {
    fn new(parameters: &PackedParameters) -> Result<Self> {
        let mut seeds = [[0; 16]; 4];
        fill_from_os(seeds.as_flattened_mut())?;
        let bound = fresh_noise_bound_log2(parameters.lwe_dimension(), parameters.limbs)?;
        Ok(Randomness {
            secret: Keystream::new(&seeds[0]),
            mask_noise: NoiseStream::new(&seeds[1], bound),
            body_noise: NoiseStream::new(&seeds[2], bound),
            flooding: NoiseStream::new(&seeds[3], parameters.flooding as u32),
            mask_panels: parameters.lwe_dimension() / PANEL_ROWS,
            body_panels: parameters.max_records() / PANEL_ROWS,
        })
    }

    fn fill_secret(&self, feature: usize, bits: &mut [u8]) {
        let blocks = (bits.len() / 16) as u64;
        self.secret.fill(feature as u64 * blocks, bits);
    }

    fn add_to_mask(
        &self,
        feature: usize,
        panel: usize,
        bytes: &mut Vec<u8>,
        entries: &mut [u64; PANEL_ROWS],
    ) {
        add_noise(
            &self.mask_noise,
            feature * self.mask_panels + panel,
            bytes,
            entries,
        );
    }

    fn add_to_body(
        &self,
        feature: usize,
        panel: usize,
        bytes: &mut Vec<u8>,
        entries: &mut [u64; PANEL_ROWS],
    ) {
        for noise in [&self.body_noise, &self.flooding] {
            add_noise(noise, feature * self.body_panels + panel, bytes, entries);
        }
    }
}

fn add_noise(
    noise: &NoiseStream,
    panel: usize,
    bytes: &mut Vec<u8>,
    entries: &mut [u64; PANEL_ROWS],
) {
    bytes.resize(noise.panel_bytes(), 0);
    noise.fill_panels(panel, bytes);
    noise.add(bytes, entries);
}

/// Encryptions of zero, one a feature.
pub(crate) struct Addends {
    /// `[feature][panel][limbs][64]`.
    bytes: Vec<u8>,
    panels: usize,
    limbs: usize,
}

impl Addends {
    /// Adds to a panel of products `[feature][product_limbs][width]`, the top limbs of entries, of which `stride`
    /// lie a line; writes the sums, rounded to their top `output_limbs`, to `output`,
    /// `[feature][output_limbs][width]`.
    pub(crate) fn add_and_round(
        &self,
        panel: usize,
        (product, product_limbs, stride): (&[u8], usize, usize),
        (output, output_limbs, width): (&mut [u8], usize, usize),
    ) {
        let products = product.chunks_exact(product_limbs * stride);
        let outputs = output.chunks_exact_mut(output_limbs * width);
        let panel_bytes = self.limbs * PANEL_ROWS;
        for (feature, (product, output)) in products.zip(outputs).enumerate() {
            let at = (feature * self.panels + panel) * panel_bytes;
            let addend = &self.bytes[at..at + panel_bytes];
            let (missing, dropped) = (self.limbs - product_limbs, self.limbs - output_limbs);
            // Sums of limbs, with what the limb below carries: below 2^10.
            let mut sums = [0u16; PANEL_ROWS];
            for (limb, addend) in addend.chunks_exact(PANEL_ROWS).enumerate() {
                let half_unit = if limb + 1 == dropped { 0x80 } else { 0 };
                for (sum, &byte) in sums.iter_mut().zip(addend) {
                    *sum = (*sum >> 8) + u16::from(byte) + half_unit;
                }
                if let Some(limb) = limb.checked_sub(missing) {
                    let line = &product[limb * stride..][..width];
                    for (sum, &byte) in sums.iter_mut().zip(line) {
                        *sum += u16::from(byte);
                    }
                }
                if let Some(limb) = limb.checked_sub(dropped) {
                    let line = &mut output[limb * width..][..width];
                    for (byte, &sum) in line.iter_mut().zip(&sums) {
                        *byte = sum as u8;
                    }
                }
            }
        }
    }
}
