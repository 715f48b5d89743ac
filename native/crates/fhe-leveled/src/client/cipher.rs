//! Encryption and decryption of blocks.

use fhe_core::block::{
    BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, KeyId, leveled_polynomial_bytes, short_hex,
};
use fhe_core::keystream::Keystream;
use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS};
use fhe_core::random::fill_from_os;
use fhe_core::{Error, Result};
use zeroize::Zeroizing;

use super::LeveledClientKey;
use crate::LeveledParameters;
use crate::pack::{pack, unpack};
use crate::plan::largest_output_scale;
use crate::pointwise::{add_product, subtract_product};
use crate::ring::{Encoder, EncoderScratch, Integers, PAD};
use crate::sampling::{Errors, input_stream, uniform};

/// Largest magnitude of an input times its scale: those of other records stay exact beside it.
const LARGEST_ENCODED: f64 = 1_099_511_627_776.0; // 2^40

/// Largest magnitude of an output; circuits are made for outputs within ±1, and noise is far below the rest.
const LARGEST_OUTPUT: f64 = 1.0625; // 1 + 2^-4

/// What the client knows of a leveled circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeveledSpec {
    /// The circuit.
    pub circuit: CircuitDigest,
    /// Its parameters.
    pub parameters: LeveledParameters,
    /// d_in.
    pub inputs: usize,
    /// d_out.
    pub outputs: usize,
    /// What inputs are multiplied by.
    pub input_scale: f64,
    /// What outputs are multiplied by in the results.
    pub output_scale: f64,
}

/// What a block of results must be the result of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentBlock {
    /// The number that the block was given.
    pub number: u64,
    /// T, its records.
    pub records: usize,
}

/// The client's side of a leveled circuit.
pub struct LeveledClient {
    spec: LeveledSpec,
    encoder: Encoder,
}

impl LeveledClient {
    /// Checks the specification.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn new(spec: LeveledSpec) -> Result<Self> {
        let parameters = spec.parameters.validate()?;
        for (name, found, most) in [
            ("inputs", spec.inputs, MAX_INPUTS),
            ("outputs", spec.outputs, MAX_OUTPUTS),
        ] {
            if !(1..=most).contains(&found) {
                return Err(Error::invalid(format!(
                    "leveled circuit of the client has {found} {name}, must be in 1..={most}"
                )));
            }
        }
        let largest_output = largest_output_scale(parameters.polynomial_size);
        for (name, found, most) in [
            ("input scale", spec.input_scale, LARGEST_ENCODED),
            ("output scale", spec.output_scale, largest_output),
        ] {
            if !(1.0..=most).contains(&found) {
                return Err(Error::invalid(format!(
                    "leveled circuit of the client has {name} {found}, must be in 1..={most}"
                )));
            }
        }
        Ok(LeveledClient {
            spec,
            encoder: Encoder::new(parameters.polynomial_size),
        })
    }

    /// The specification.
    pub fn spec(&self) -> &LeveledSpec {
        &self.spec
    }

    /// Bytes of a block of activations.
    pub fn block_bytes(&self) -> usize {
        let LeveledParameters {
            polynomial_size,
            levels,
        } = self.spec.parameters;
        HEADER_BYTES + self.spec.inputs * levels * leveled_polynomial_bytes(polynomial_size)
    }

    /// Encrypts records `[T][d_in]`, at most n of them, under a fresh mask: block `number`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first record and feature that is no number or too large, or if these are
    /// not whole records, none or too many, or the key is for another polynomial size.
    pub fn encrypt(&self, key: &LeveledClientKey, records: &[f32], number: u64) -> Result<Vec<u8>> {
        let mut block = fhe_core::memory::zeros(self.block_bytes())?;
        self.encrypt_into(key, records, number, &mut block)?;
        Ok(block)
    }

    /// The same to a place of [`LeveledClient::block_bytes`].
    ///
    /// # Errors
    /// As [`LeveledClient::encrypt`].
    ///
    /// # Panics
    /// If `block` has another length.
    pub fn encrypt_into(
        &self,
        key: &LeveledClientKey,
        records: &[f32],
        number: u64,
        block: &mut [u8],
    ) -> Result<()> {
        assert_eq!(block.len(), self.block_bytes(), "bytes of a block");
        self.expect_key(key)?;
        let LeveledParameters {
            polynomial_size: n,
            levels,
        } = self.spec.parameters;
        let inputs = self.spec.inputs;
        let count = records.len() / inputs;
        if !records.len().is_multiple_of(inputs) || !(1..=n).contains(&count) {
            return Err(Error::invalid(format!(
                "block {number}: {} activations are not 1 to {n} records of {inputs}",
                records.len()
            )));
        }
        self.check_records(records, number)?;
        let mut header = BlockHeader::of_leveled(
            levels,
            n,
            self.spec.circuit,
            *key.id(),
            inputs,
            count,
            number,
        );
        fill_from_os(&mut header.mask_seed)?;
        let masks = Keystream::new(&header.mask_seed);
        let mut buffers = Buffers::new(&self.encoder, n)?;
        let bytes = leveled_polynomial_bytes(n);
        let features = block[HEADER_BYTES..].chunks_exact_mut(levels * bytes);
        for (feature, bodies) in features.enumerate() {
            let slots = records.iter().skip(feature).step_by(inputs);
            for (slot, &value) in buffers.slots.iter_mut().zip(slots) {
                *slot = f64::from(value) * self.spec.input_scale;
            }
            buffers.slots[count..].fill(0.0);
            buffers.encode_with_errors(&self.encoder);
            for (prime, body) in bodies.chunks_exact_mut(bytes).enumerate() {
                let transform = key.ring().level(prime);
                let modulus = transform.modulus();
                buffers.integers.residues(modulus, &mut buffers.residues);
                transform.forward(&buffers.residues, &mut buffers.points);
                uniform(
                    &masks,
                    input_stream(feature, prime, levels),
                    modulus.p(),
                    &mut buffers.mask,
                );
                subtract_product(
                    modulus,
                    &mut buffers.points,
                    &buffers.mask,
                    key.level(prime),
                );
                pack(&buffers.points, body);
            }
        }
        header.seal(block);
        Ok(())
    }

    /// Decrypts the results of a block: outputs `[T][d_out]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, made by another circuit, under another key, or another block's
    /// result; and if any slot holds what no output can be.
    pub fn decrypt(
        &self,
        key: &LeveledClientKey,
        sent: &SentBlock,
        block: &[u8],
    ) -> Result<Vec<f32>> {
        self.expect_key(key)?;
        let (header, payload) = BlockHeader::parse(block)?;
        self.expect(&header, key.id(), sent)?;
        let n = self.spec.parameters.polynomial_size;
        let outputs = self.spec.outputs;
        let transform = key.ring().level(0);
        let modulus = transform.modulus();
        let mut buffers = Buffers::new(&self.encoder, n)?;
        let mut results = fhe_core::memory::zeros(sent.records * outputs)?;
        let bytes = leveled_polynomial_bytes(n);
        for (output, parts) in payload.chunks_exact(2 * bytes).enumerate() {
            let (body, mask) = parts.split_at(bytes);
            let is_whole = unpack(body, modulus.p(), &mut buffers.points);
            if !(is_whole & unpack(mask, modulus.p(), &mut buffers.mask)) {
                return Err(Error::invalid(format!(
                    "encrypted block {} has a residue of output {output} that is not below its prime {}",
                    header.block_number,
                    modulus.p()
                )));
            }
            add_product(modulus, &mut buffers.points, &buffers.mask, key.level(0));
            transform.inverse(&buffers.points, &mut buffers.mask, &mut buffers.residues);
            for (slot, &coefficient) in buffers.slots.iter_mut().zip(&*buffers.residues) {
                *slot = f64::from(coefficient as i32) / self.spec.output_scale;
            }
            self.encoder
                .decode(&mut buffers.slots, &mut buffers.scratch);
            if let Some(slot) = buffers
                .slots
                .iter()
                .position(|y| !(-LARGEST_OUTPUT..=LARGEST_OUTPUT).contains(y))
            {
                return Err(Error::invalid(format!(
                    "results of encrypted block {} are broken: slot {slot} of output {output} holds {:.3}, circuits are made for at most 1: a record left the range that its circuit was made for, or the server returned something else",
                    header.block_number, buffers.slots[slot]
                )));
            }
            let places = results.iter_mut().skip(output).step_by(outputs);
            for (place, &y) in places.zip(&*buffers.slots) {
                *place = y as f32;
            }
        }
        Ok(results)
    }

    fn expect_key(&self, key: &LeveledClientKey) -> Result<()> {
        let (expected, found) = (self.spec.parameters.polynomial_size, key.ring().n());
        if expected != found {
            return Err(Error::invalid(format!(
                "the client key's secret has polynomial size {found}, the circuit has {expected}"
            )));
        }
        Ok(())
    }

    fn check_records(&self, records: &[f32], number: u64) -> Result<()> {
        let largest = LARGEST_ENCODED / self.spec.input_scale;
        // What is not a number is in no range.
        let is_wrong = |&value: &f32| !(-largest..=largest).contains(&f64::from(value));
        match records.iter().position(is_wrong) {
            Some(at) => Err(Error::invalid(format!(
                "block {number}: feature {} of record {} is {}, must be at most {largest:e} in magnitude",
                at % self.spec.inputs,
                at / self.spec.inputs,
                records[at]
            ))),
            None => Ok(()),
        }
    }

    fn expect(&self, header: &BlockHeader, key_id: &KeyId, sent: &SentBlock) -> Result<()> {
        let number = header.block_number;
        if header.kind != BlockKind::LeveledResults {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {:?}, expected {:?}",
                header.kind,
                BlockKind::LeveledResults
            )));
        }
        for (name, found, expected) in [
            ("circuit", &header.circuit[..], &self.spec.circuit[..]),
            ("client key", &header.key_id, key_id),
        ] {
            if found != expected {
                return Err(Error::invalid(format!(
                    "encrypted block {number} is of {name} {}, not of {name} {}",
                    short_hex(found),
                    short_hex(expected)
                )));
            }
        }
        let LeveledParameters {
            polynomial_size, ..
        } = self.spec.parameters;
        let activations = BlockHeader::of_leveled(
            1,
            polynomial_size,
            self.spec.circuit,
            *key_id,
            self.spec.inputs,
            sent.records,
            sent.number,
        );
        if *header != BlockHeader::of_leveled_results(&activations, self.spec.outputs) {
            return Err(Error::invalid(format!(
                "encrypted block {number} has polynomial size {}, {} records and {} outputs, expected is block {} with {polynomial_size}, {} and {}",
                header.polynomial_size,
                header.records,
                header.features,
                sent.number,
                sent.records,
                self.spec.outputs
            )));
        }
        Ok(())
    }
}

/// The nearest integer of a double below 2^51 in magnitude: adding 1.5 · 2^52 leaves it in the lowest bits.
fn rounded(value: f64) -> i64 {
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    (value + ROUNDER).to_bits() as i64 - ROUNDER.to_bits() as i64
}

/// Buffers of one call; what is secret is wiped.
struct Buffers {
    errors: Errors,
    slots: Zeroizing<Vec<f64>>,
    coefficients: Zeroizing<Vec<i64>>,
    integers: Integers,
    /// Of one prime, padded.
    residues: Zeroizing<Vec<u32>>,
    points: Zeroizing<Vec<u32>>,
    mask: Zeroizing<Vec<u32>>,
    scratch: EncoderScratch,
}

impl Buffers {
    fn new(encoder: &Encoder, n: usize) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 16]);
        fill_from_os(&mut *seed)?;
        Ok(Buffers {
            errors: Errors::new(&seed),
            slots: Zeroizing::new(vec![0.0; n]),
            coefficients: Zeroizing::new(vec![0; n]),
            integers: Integers::zeros(n)?,
            residues: Zeroizing::new(vec![0; n + PAD]),
            points: Zeroizing::new(vec![0; n]),
            mask: Zeroizing::new(fhe_core::memory::zeros(n)?),
            scratch: encoder.scratch(),
        })
    }

    /// Coefficients of the slots, rounded, and errors.
    fn encode_with_errors(&mut self, encoder: &Encoder) {
        encoder.encode(&mut self.slots, &mut self.scratch);
        for (coefficient, &value) in self.coefficients.iter_mut().zip(&*self.slots) {
            *coefficient = rounded(value);
        }
        self.errors.add_to(self.coefficients.iter_mut());
        self.integers.set(&self.coefficients);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn doubles_are_rounded_to_the_nearest(value in -2.0 * LARGEST_ENCODED..2.0 * LARGEST_ENCODED) {
            prop_assert_eq!(rounded(value), value.round_ties_even() as i64);
            prop_assert_eq!(rounded(value / 1e12), (value / 1e12).round_ties_even() as i64);
        }
    }
}
