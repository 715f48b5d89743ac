//! Parameters of a packed circuit.

use crate::panel::PANEL_ROWS;
use crate::{Error, Result};

/// Parameters of a packed GLWE circuit; `q = 2^(8·limbs)`.
///
/// Mask and body entries travel with limbs of their own: an error of a mask entry meets the secret and
/// grows with its weight, one of a body entry does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackedParameters {
    /// k, the number of mask polynomials.
    pub glwe_dimension: usize,
    /// N, the number of records a body carries.
    pub polynomial_size: usize,
    /// Bytes of a mask entry.
    pub limbs: usize,
    /// Bytes kept of a body's entry on the way up, from the top; the client rounds.
    pub body_limbs: usize,
    /// Bytes kept of a mask entry of the result, from the top; the server rounds.
    pub output_limbs: usize,
    /// Bytes kept of a body's entry of the result, from the top; the server rounds.
    pub output_body_limbs: usize,
    /// p: an accumulator m in [-2^(p-1), 2^(p-1)) is encoded as m·q/2^p.
    pub message_bits: usize,
    /// K, the number of bodies that can share a mask.
    pub bodies: usize,
    /// M: so many results may be added before they are decrypted; 1 for none.
    pub summands: usize,
    /// b: results are re-randomised under the client's public key, and noise of TUniform(-2^b, 2^b) is added to
    /// their bodies, in units of 1/q; 0 for neither.
    pub flooding: usize,
}

impl PackedParameters {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first field that is out of range.
    pub fn validate(self) -> Result<Self> {
        let within = |name: &str, value: usize, min: usize, max: usize| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid(format!(
                    "packed parameters: {name} is {value}, must be in {min}..={max}"
                )))
            }
        };
        within("GLWE dimension", self.glwe_dimension, 1, 64)?;
        within(
            "polynomial size",
            self.polynomial_size,
            PANEL_ROWS,
            MAX_POLYNOMIAL_SIZE,
        )?;
        if !self.polynomial_size.is_power_of_two() {
            return Err(Error::invalid(format!(
                "packed parameters: polynomial size is {}, must be a power of two",
                self.polynomial_size
            )));
        }
        within("limbs", self.limbs, MIN_LIMBS, MAX_LIMBS)?;
        within("body limbs", self.body_limbs, 2, self.limbs)?;
        within("output limbs", self.output_limbs, 1, self.limbs)?;
        within(
            "output body limbs",
            self.output_body_limbs,
            1,
            self.body_limbs.min(self.output_limbs),
        )?;
        within(
            "message bits",
            self.message_bits,
            2,
            8 * self.output_body_limbs,
        )?;
        within("bodies", self.bodies, 1, MAX_BODIES)?;
        within("summands", self.summands, 1, MAX_SUMMANDS)?;
        within("flooding", self.flooding, 0, self.most_flooding())?;
        Ok(self)
    }

    /// All fields, in the order in which they are declared, and travel.
    pub fn fields(&self) -> [usize; 10] {
        [
            self.glwe_dimension,
            self.polynomial_size,
            self.limbs,
            self.body_limbs,
            self.output_limbs,
            self.output_body_limbs,
            self.message_bits,
            self.bodies,
            self.summands,
            self.flooding,
        ]
    }

    /// n = k·N, the rows of the mask and the LWE dimension of the security estimate.
    pub fn lwe_dimension(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
    }

    /// Whether somebody drops low bytes of entries.
    pub fn rounds(&self) -> bool {
        self.output_limbs < self.limbs || self.output_body_limbs < self.limbs
    }

    /// Whether results are re-randomised, so that their masks say nothing of the weights.
    pub fn protects_weights(&self) -> bool {
        self.flooding > 0
    }

    /// The most the flooding can be: that of all summands together then reaches half of the way from a message to the
    /// middle between two.
    pub fn most_flooding(&self) -> usize {
        let log2_summands = self.summands.next_power_of_two().ilog2() as usize;
        (8 * self.limbs).saturating_sub(self.message_bits + 2 + log2_summands)
    }

    /// log2 q.
    pub fn log2_modulus(&self) -> usize {
        8 * self.limbs
    }

    /// The most records a block can hold, K·N.
    pub fn max_records(&self) -> usize {
        self.bodies * self.polynomial_size
    }

    /// Bytes of one feature's mask, k·N·limbs.
    pub fn mask_bytes_per_feature(&self) -> usize {
        self.lwe_dimension() * self.limbs
    }
}

/// Largest polynomial size; up to it the client's transforms are exact even for the worst masks.
pub const MAX_POLYNOMIAL_SIZE: usize = 2048;
/// Fewest bytes of a mask entry.
pub const MIN_LIMBS: usize = 3;
/// Most bytes of a mask entry.
pub const MAX_LIMBS: usize = 7;
/// Most bodies under one mask.
pub const MAX_BODIES: usize = 256;
/// Most results in a sum.
pub const MAX_SUMMANDS: usize = 1 << 20;
/// Most inputs of a layer: a sum of this many products u8 × s8, with the carry of the limb below,
/// stays inside an i32.
pub const MAX_INPUTS: usize = 65_000;
/// Most outputs of a layer.
pub const MAX_OUTPUTS: usize = 1 << 20;
