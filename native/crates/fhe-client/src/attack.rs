//! What a malicious client can learn of the weights of a linear module: our own attacks, so that reports quote what
//! was measured.
//!
//! * **Masks.** The client knows its mask M and receives M·Wᵀ mod q. Where that is not rounded, the lowest bytes
//!   alone are a linear system mod 2^8, which elimination solves: one block of one record gives all weights.
//! * **Bodies.** A client may send any bodies, noiseless ones under the secret key zero among them: a result's body
//!   is then the product of rows of its choice with the weights. A row that holds 2^-8, 2^-16, … of q in some
//!   features gives as many weights of every output as a result has bytes that can be told from noise.
//!
//! Whoever re-randomises results leaves no equation of the first kind, and drowns what is beyond the p + 1 upper bits
//! of a body.

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, KeyId};
use fhe_core::mask::MaskStream;
use fhe_core::noise::fresh_noise_bound_log2;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS, PackedParameters};
use fhe_core::public_key::{PublicKeyFile, PublicKeySet};
use fhe_core::random::fill_from_os;
use fhe_core::{Error, Result};

/// Bits of a weight.
const WEIGHT_BITS: usize = 8;

/// A linear module under attack, as client.json describes it.
#[derive(Debug, Clone)]
pub struct Target {
    /// SHA-256 of the server's circuit.
    pub circuit: CircuitDigest,
    /// Its parameters.
    pub parameters: PackedParameters,
    /// d_in.
    pub inputs: usize,
    /// d_out.
    pub outputs: usize,
}

impl Target {
    /// Checks shapes and parameters.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn validate(self) -> Result<Self> {
        self.parameters.validate()?;
        if !(1..=MAX_INPUTS).contains(&self.inputs) || !(1..=MAX_OUTPUTS).contains(&self.outputs) {
            return Err(Error::invalid(format!(
                "a module of {} inputs and {} outputs is out of range",
                self.inputs, self.outputs
            )));
        }
        Ok(self)
    }

    /// Weights of each output that one record of chosen bodies gives without doubt; none if not even one fits.
    pub fn weights_per_record(&self) -> usize {
        let parameters = &self.parameters;
        let modulus = 8 * parameters.limbs;
        let error = if parameters.protects_weights() {
            let fresh = fresh_noise_bound_log2(parameters.lwe_dimension(), parameters.limbs)
                .map_or(f64::INFINITY, |bound| f64::from(bound).exp2());
            let dropped = 8 * (parameters.limbs - parameters.output_body_limbs);
            (parameters.flooding as f64).exp2() + fresh + (dropped as f64 - 1.0).exp2()
        } else {
            0.0
        };
        (1..=parameters.output_body_limbs)
            .rev()
            .find(|weights| error < ((modulus - WEIGHT_BITS * weights) as f64 - 1.0).exp2())
            .unwrap_or(0)
    }

    /// Records of chosen bodies that give all weights.
    pub fn records_needed(&self) -> usize {
        self.inputs.div_ceil(self.weights_per_record().max(1))
    }

    /// A public key for blocks under the secret key zero: bodies of no noise are zeros. Its masks are as random
    /// as those of any.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn public_key(&self, key_id: KeyId) -> Result<Vec<u8>> {
        let parameters = &self.parameters;
        let mut set = PublicKeySet {
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs: parameters.limbs,
            bodies: parameters.bodies,
            mask_seed: [0; 16],
            payload: Vec::new(),
        };
        fill_from_os(&mut set.mask_seed)?;
        set.payload = vec![0; set.layout().bytes()];
        let sets = vec![set];
        Ok(PublicKeyFile { key_id, sets }.encode())
    }

    /// A block of so many records of chosen bodies under the secret key zero and a mask of a fresh seed: record r asks
    /// for the weights of features g·r to g·r + g - 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there are more records than a block holds.
    pub fn block(&self, key_id: KeyId, records: usize) -> Result<Vec<u8>> {
        let most = self.parameters.max_records();
        if !(1..=most).contains(&records) {
            return Err(Error::invalid(format!(
                "an attack with {records} records: a block of this module holds 1 to {most}"
            )));
        }
        let mut header = BlockHeader::of(
            BlockKind::Activations,
            &self.parameters,
            self.circuit,
            key_id,
            self.inputs,
            records,
            0,
        );
        fill_from_os(&mut header.mask_seed)?;
        let layout = header.layout().bodies;
        let mut block = vec![0; HEADER_BYTES + layout.bytes()];
        let payload = &mut block[HEADER_BYTES..];
        let weights = self.weights_per_record();
        for record in 0..records {
            for digit in 0..weights {
                let feature = record * weights + digit;
                // Of the bytes of a body, the one below the digit's.
                let Some(limb) = self.parameters.body_limbs.checked_sub(digit + 1) else {
                    continue;
                };
                if feature < self.inputs {
                    payload[byte_of(&layout, record, feature, limb)] = 1;
                }
            }
        }
        header.seal(&mut block);
        Ok(block)
    }

    /// Weights `[d_out][d_in]` by elimination on the masks of a block and of its results; none if they are not what
    /// a linear system without errors gives.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the blocks are damaged or of another circuit.
    pub fn weights_of_masks(&self, block: &[u8], result: &[u8]) -> Result<Option<Vec<i8>>> {
        let parameters = &self.parameters;
        let (sent, _) = BlockHeader::parse(block)?;
        sent.expect(
            BlockKind::Activations,
            &self.circuit,
            parameters,
            self.inputs,
        )?;
        let (header, payload) = self.parse_results(result)?;
        if parameters.output_limbs < parameters.limbs {
            return Ok(None);
        }
        let rows = parameters.lwe_dimension();
        let masks = MaskStream::new(&sent.mask_seed, parameters);
        let layout = header.layout().mask;
        let mut system = System::zeros(rows, self.inputs, self.outputs);
        let mut feature_mask = vec![0; parameters.mask_bytes_per_feature()];
        let panel_bytes = PANEL_ROWS * parameters.limbs;
        for feature in 0..self.inputs {
            masks.fill_feature(feature, &mut feature_mask);
            for (panel, bytes) in feature_mask.chunks_exact(panel_bytes).enumerate() {
                for (row, &byte) in bytes[..PANEL_ROWS].iter().enumerate() {
                    system.row_mut(panel * PANEL_ROWS + row)[feature] = byte;
                }
            }
        }
        for output in 0..self.outputs {
            for row in 0..rows {
                system.row_mut(row)[self.inputs + output] =
                    payload[byte_of(&layout, row, output, 0)];
            }
        }
        Ok(system.solve())
    }

    /// Weights `[d_out][features]` from the results of [`Target::block`], of the features that its records asked for.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged or of another circuit.
    pub fn weights_of_bodies(&self, result: &[u8]) -> Result<Vec<i8>> {
        let (header, payload) = self.parse_results(result)?;
        let whole = header.layout();
        let (layout, bodies) = (whole.bodies, &payload[whole.mask.bytes()..]);
        let weights = self.weights_per_record();
        let features = (header.records * weights).min(self.inputs);
        let mut found = vec![0; self.outputs * features];
        if features == 0 {
            return Ok(found);
        }
        for (output, row) in found.chunks_exact_mut(features).enumerate() {
            for (record, digits) in row.chunks_mut(weights).enumerate() {
                let body = (0..layout.limbs).rev().fold(0u64, |value, limb| {
                    value << 8 | u64::from(bodies[byte_of(&layout, record, output, limb)])
                });
                // Scaled to 2^64, then the nearest multiple of the last digit's place.
                let shift = 64 - WEIGHT_BITS * weights;
                let scaled = body << (64 - 8 * layout.limbs);
                let mut rest = scaled.wrapping_add(1 << (shift - 1)) >> shift;
                for place in (0..weights).rev() {
                    let digit = rest as u8 as i8;
                    rest = rest.wrapping_sub(i64::from(digit) as u64) >> WEIGHT_BITS;
                    if let Some(weight) = digits.get_mut(place) {
                        *weight = digit;
                    }
                }
            }
        }
        Ok(found)
    }

    fn parse_results<'a>(&self, result: &'a [u8]) -> Result<(BlockHeader, &'a [u8])> {
        let (header, payload) = BlockHeader::parse(result)?;
        header.expect(
            BlockKind::Results,
            &self.circuit,
            &self.parameters,
            self.outputs,
        )?;
        Ok((header, payload))
    }
}

/// Where a byte of an entry lies.
fn byte_of(layout: &PanelLayout, row: usize, feature: usize, limb: usize) -> usize {
    let panel = row / PANEL_ROWS;
    layout.feature_range(panel, feature).start + limb * layout.panel_width(panel) + row % PANEL_ROWS
}

/// Linear equations mod 2^8 with several right-hand sides, which share the unknowns' coefficients.
struct System {
    unknowns: usize,
    sides: usize,
    /// `[row][unknowns + sides]`.
    entries: Vec<u8>,
}

impl System {
    fn zeros(rows: usize, unknowns: usize, sides: usize) -> Self {
        System {
            unknowns,
            sides,
            entries: vec![0; rows * (unknowns + sides)],
        }
    }

    fn width(&self) -> usize {
        self.unknowns + self.sides
    }

    fn row_mut(&mut self, row: usize) -> &mut [u8] {
        let width = self.width();
        &mut self.entries[row * width..][..width]
    }

    /// The only solution `[side][unknown]`; none if there is none, or more than one. Pivots are units, that is odd:
    /// random rows have them.
    fn solve(mut self) -> Option<Vec<i8>> {
        let (width, unknowns) = (self.width(), self.unknowns);
        let rows = self.entries.len() / width;
        for column in 0..unknowns {
            let pivot = (column..rows).find(|row| self.entries[row * width + column] & 1 == 1)?;
            for at in 0..width {
                self.entries.swap(pivot * width + at, column * width + at);
            }
            let inverse = inverse(self.entries[column * width + column]);
            for entry in &mut self.row_mut(column)[column..] {
                *entry = entry.wrapping_mul(inverse);
            }
            let (before, rest) = self.entries.split_at_mut(column * width);
            let (pivot_row, after) = rest.split_at_mut(width);
            for row in before
                .chunks_exact_mut(width)
                .chain(after.chunks_exact_mut(width))
            {
                let factor = row[column];
                for (entry, &pivot) in row[column..].iter_mut().zip(&pivot_row[column..]) {
                    *entry = entry.wrapping_sub(factor.wrapping_mul(pivot));
                }
            }
        }
        // Every row that is left says that zero is zero, or there is no solution.
        if self.entries[unknowns * width..]
            .iter()
            .any(|&entry| entry != 0)
        {
            return None;
        }
        let side = |side: usize| {
            let entries = &self.entries;
            (0..unknowns).map(move |row| entries[row * width + unknowns + side] as i8)
        };
        Some((0..self.sides).flat_map(side).collect())
    }
}

/// Of an odd number mod 2^8, by Newton's iteration.
fn inverse(odd: u8) -> u8 {
    (0..3).fold(odd, |inverse, _| {
        inverse.wrapping_mul(2u8.wrapping_sub(odd.wrapping_mul(inverse)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_have_inverses() {
        for odd in (1..=255u8).step_by(2) {
            assert_eq!(odd.wrapping_mul(inverse(odd)), 1);
        }
    }

    #[test]
    fn a_wrong_equation_is_noticed() {
        let mut system = System::zeros(3, 2, 1);
        system.row_mut(0).copy_from_slice(&[1, 2, 5]);
        system.row_mut(1).copy_from_slice(&[2, 1, 4]);
        system.row_mut(2).copy_from_slice(&[3, 3, 9]);
        assert_eq!(system.solve(), Some(vec![1, 2]));
        let mut system = System::zeros(3, 2, 1);
        system.row_mut(0).copy_from_slice(&[1, 2, 5]);
        system.row_mut(1).copy_from_slice(&[2, 1, 4]);
        system.row_mut(2).copy_from_slice(&[3, 3, 8]);
        assert_eq!(system.solve(), None);
    }
}
