//! Decryption of a block of results.

use fhe_core::block::{BlockHeader, BlockKind, short_hex};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};
use pulp::{Arch, NullaryFnOnce};
use zeroize::Zeroizing;

use crate::ModuleClient;
use crate::dequantize::FloatRows;
use crate::mask::{MaskTransforms, read_entries, read_narrow_entries};
use crate::staging::{STAGED_FEATURES, Staging};

impl ModuleClient {
    /// Accumulators `[T][d_out]` of a block of results.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, or made by another circuit or under another key.
    pub fn decrypt(&self, block: &[u8]) -> Result<Vec<i64>> {
        let outputs = self.spec.outputs;
        let (header, payload) = self.accept_results(block)?;
        let mut accumulators = vec![0; header.records * outputs];
        self.decrypt_phases(
            &header,
            payload,
            Columns {
                outputs,
                out: &mut accumulators,
                value: |phase| round_to_message(phase, self.message_bits()),
            },
        )?;
        Ok(accumulators)
    }

    /// Decrypts block `block_number` of results and dequantises it to floats `[T][d_out]`, given the
    /// records' scales `[T]`.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`], and if it is another block, or `scales` or `out` do not fit it.
    pub fn decrypt_to_floats(
        &self,
        block: &[u8],
        block_number: u64,
        scales: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        let (header, payload) = self.accept_results(block)?;
        if header.block_number != block_number {
            return Err(Error::invalid(format!(
                "encrypted block {} came back where block {block_number} was expected",
                header.block_number
            )));
        }
        let outputs = self.spec.outputs;
        if header.records != scales.len() || out.len() != scales.len() * outputs {
            return Err(Error::invalid(format!(
                "encrypted block {} has {} records of {outputs} outputs where {} were sent",
                header.block_number,
                header.records,
                scales.len()
            )));
        }
        self.decrypt_phases(
            &header,
            payload,
            Floats {
                message_bits: self.message_bits(),
                rows: FloatRows::new(&self.spec.dequantizer, scales, out),
            },
        )
    }

    /// Signed distance of every phase to its nearest message `[T][d_out]`, relative to q: the noise that
    /// decryption removes.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`].
    pub fn residual_noise(&self, block: &[u8]) -> Result<Vec<f64>> {
        let outputs = self.spec.outputs;
        let (header, payload) = self.accept_results(block)?;
        let mut noise = vec![0.0; header.records * outputs];
        let message_bits = self.message_bits();
        self.decrypt_phases(
            &header,
            payload,
            Columns {
                outputs,
                out: &mut noise,
                // The bits below the message, with their sign.
                value: |phase| {
                    let residue = ((phase << message_bits) as i64) >> message_bits;
                    residue as f64 * (-64f64).exp2()
                },
            },
        )?;
        Ok(noise)
    }

    fn message_bits(&self) -> u32 {
        self.spec.parameters.message_bits as u32
    }

    /// Checks that a block holds results of this module under this key.
    fn accept_results<'a>(&self, block: &'a [u8]) -> Result<(BlockHeader, &'a [u8])> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        let (header, payload) = BlockHeader::parse(block)?;
        header.expect(
            BlockKind::Results,
            &spec.circuit,
            &spec.parameters,
            spec.outputs,
        )?;
        if &header.key_id != key_id {
            return Err(Error::invalid(format!(
                "encrypted block {} is under key {}, this is key {}",
                header.block_number,
                short_hex(&header.key_id),
                short_hex(key_id)
            )));
        }
        Ok((header, payload))
    }

    /// Gives `sink` the phases of all outputs.
    fn decrypt_phases(
        &self,
        header: &BlockHeader,
        payload: &[u8],
        sink: impl PhaseSink,
    ) -> Result<()> {
        let (_, set) = self.keys()?;
        let parameters = &self.spec.parameters;
        let layout = header.layout();
        let (mask_payload, body_payload) = payload.split_at(layout.mask.bytes());
        Arch::new().dispatch(DecryptOutputs {
            header,
            mask_payload,
            body_payload,
            mask: MaskTransforms::new(parameters, 8 * layout.mask.limbs, set),
            staged_mask: Staging::new(layout.mask),
            staged_bodies: Staging::new(layout.bodies),
            sink,
        });
        Ok(())
    }
}

/// The message nearest to a phase scaled to q = 2^64: rounded to a multiple of Δ, the top p bits with
/// their sign.
#[inline(always)]
fn round_to_message(phase: u64, message_bits: u32) -> i64 {
    let shift = 64 - message_bits;
    (phase.wrapping_add(1 << (shift - 1)) as i64) >> shift
}

/// Takes decrypted phases, scaled to q = 2^64.
trait PhaseSink {
    /// Phases of up to 64 records from `first` on; outputs come in order.
    fn take(&mut self, output: usize, first: usize, phases: &[u64]);

    /// All phases were taken.
    fn finish(&mut self) {}
}

/// Writes a value a phase to `out`, `[T][outputs]`.
struct Columns<'a, T, F> {
    outputs: usize,
    out: &'a mut [T],
    value: F,
}

impl<T, F: Fn(u64) -> T> PhaseSink for Columns<'_, T, F> {
    #[inline(always)]
    fn take(&mut self, output: usize, first: usize, phases: &[u64]) {
        let rows = self.out[first * self.outputs..].chunks_exact_mut(self.outputs);
        for (row, &phase) in rows.zip(phases) {
            row[output] = (self.value)(phase);
        }
    }
}

/// Dequantises to rows of floats.
struct Floats<'a> {
    message_bits: u32,
    rows: FloatRows<'a>,
}

impl PhaseSink for Floats<'_> {
    #[inline(always)]
    fn take(&mut self, output: usize, first: usize, phases: &[u64]) {
        let mut accumulators = [0i64; PANEL_ROWS];
        for (accumulator, &phase) in accumulators.iter_mut().zip(phases) {
            *accumulator = round_to_message(phase, self.message_bits);
        }
        self.rows.put(output, first, &accumulators[..phases.len()]);
    }

    #[inline(always)]
    fn finish(&mut self) {
        self.rows.finish();
    }
}

/// The loop over outputs, compiled for the machine at hand.
struct DecryptOutputs<'a, S> {
    header: &'a BlockHeader,
    mask_payload: &'a [u8],
    body_payload: &'a [u8],
    mask: MaskTransforms<'a>,
    staged_mask: Staging,
    staged_bodies: Staging,
    sink: S,
}

impl<S: PhaseSink> NullaryFnOnce for DecryptOutputs<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let records = self.header.records;
        let layout = self.header.layout();
        let size = self.header.polynomial_size;
        // Both are scaled to q = 2^64.
        let product_shift = 64 - 8 * layout.mask.limbs as u32;
        let body_shift = 64 - 8 * layout.bodies.limbs as u32;
        let mut entries = [0u64; PANEL_ROWS];
        let mut product = Zeroizing::new(vec![0u64; size]);
        for output in 0..self.header.features {
            let staged = output % STAGED_FEATURES;
            if staged == 0 {
                self.staged_mask.load(self.mask_payload, output);
                self.staged_bodies.load(self.body_payload, output);
            }
            for panel in 0..layout.mask.panels() {
                read_entries(self.staged_mask.planes(panel, staged), &mut entries);
                self.mask.set_entries(panel, &entries);
            }
            self.mask.transform();
            for first in (0..records).step_by(size) {
                self.mask.multiply_by_secret(first / size, &mut product);
                let tiles = product.as_chunks::<PANEL_ROWS>().0;
                for (first, tile) in (first..records).step_by(PANEL_ROWS).zip(tiles) {
                    let panel = first / PANEL_ROWS;
                    let planes = self.staged_bodies.planes(panel, staged);
                    match layout.bodies.panel_width(panel) {
                        PANEL_ROWS => read_entries(planes, &mut entries),
                        width => read_narrow_entries(planes, width, &mut entries),
                    }
                    for (entry, product) in entries.iter_mut().zip(tile) {
                        let body = *entry << body_shift;
                        *entry = body.wrapping_sub(*product << product_shift);
                    }
                    let count = (records - first).min(PANEL_ROWS);
                    self.sink.take(output, first, &entries[..count]);
                }
            }
        }
        self.sink.finish();
    }
}
