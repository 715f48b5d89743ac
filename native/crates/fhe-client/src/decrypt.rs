//! Decryption of a block of results.

use std::ops::Range;

use fhe_core::block::{BlockHeader, BlockKind, BlockLayout, Payload, short_hex};
use fhe_core::checksum::Checksum;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};

use crate::buffer::OnLine;
use crate::key::SecretKeySet;
use crate::mask::MaskTransforms;
use crate::negacyclic::i64_to_f64;
use crate::planes::{Planes, Task, dispatch};
use crate::rows::RowWriter;
use crate::staging::{STAGED_FEATURES, Staging};
use crate::threads::in_parallel;
use crate::transpose::Cell;
use crate::{ModuleClient, Outputs};

impl ModuleClient {
    /// Accumulators `[T][d_out]` of a block of results.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, or made by another circuit or under another key.
    pub fn decrypt(&self, block: &[u8]) -> Result<Vec<i64>> {
        let (header, payload) = self.accept_results(block)?;
        let mut accumulators = vec![0; header.records * self.spec.outputs];
        let message_bits = self.message_bits();
        self.decrypt_phases(
            (&header, payload),
            1,
            Outputs::table(&mut accumulators, self.spec.outputs)?,
            |_, _, phases, values| {
                for (value, &phase) in values.iter_mut().zip(phases) {
                    *value = round_to_message(phase, message_bits);
                }
            },
        )?;
        Ok(accumulators)
    }

    /// Decrypts block `block_number` of results and dequantises it to floats `[T][d_out]`, given the
    /// records' scales `[T]`, on at most `threads` threads.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`], and if it is another block, or `scales` or `out` do not fit it. What is
    /// in `out` then means nothing.
    pub fn decrypt_to_floats(
        &self,
        block: &[u8],
        block_number: u64,
        scales: &[f32],
        threads: usize,
        out: Outputs<f32>,
    ) -> Result<()> {
        let (header, payload) = self.accept_results(block)?;
        if header.block_number != block_number {
            return Err(Error::invalid(format!(
                "encrypted block {} came back where block {block_number} was expected",
                header.block_number
            )));
        }
        self.check_outputs(&out, scales.len())?;
        if header.records != scales.len() {
            return Err(Error::invalid(format!(
                "encrypted block {} has {} records where {} were sent",
                header.block_number,
                header.records,
                scales.len()
            )));
        }
        let (dequantizer, message_bits) = (&self.spec.dequantizer, self.message_bits());
        self.decrypt_phases(
            (&header, payload),
            threads,
            out,
            #[inline(always)]
            |output, first, phases, values| {
                let column = dequantizer.column(output);
                let rows = values.iter_mut().zip(phases).zip(&scales[first..]);
                for ((value, &phase), &scale) in rows {
                    let accumulator = i64_to_f64(round_to_message(phase, message_bits));
                    *value = column.output(accumulator, scale);
                }
            },
        )
    }

    /// Signed distance of every phase to its nearest message `[T][d_out]`, relative to q: the noise that
    /// decryption removes.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`].
    pub fn residual_noise(&self, block: &[u8]) -> Result<Vec<f64>> {
        let (header, payload) = self.accept_results(block)?;
        let mut noise = vec![0.0; header.records * self.spec.outputs];
        let message_bits = self.message_bits();
        let places = Outputs::table(&mut noise, self.spec.outputs)?;
        self.decrypt_phases((&header, payload), 1, places, |_, _, phases, values| {
            for (value, &phase) in values.iter_mut().zip(phases) {
                *value = residue(phase, message_bits);
            }
        })?;
        Ok(noise)
    }

    fn message_bits(&self) -> u32 {
        self.spec.parameters.message_bits as u32
    }

    /// Checks that a block holds results of this module under this key.
    fn accept_results<'a>(&self, block: &'a [u8]) -> Result<(BlockHeader, Payload<'a>)> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        let (header, payload) = BlockHeader::parse_header(block)?;
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

    /// Decrypts a block on at most `threads` threads to `out`, which has places for its records.
    ///
    /// `convert` is called with an output, the first of some records, at most 64, their phases, scaled to
    /// q = 2^64, and the places of their values.
    fn decrypt_phases<T: Cell + Send>(
        &self,
        (header, payload): (&BlockHeader, Payload),
        threads: usize,
        out: Outputs<T>,
        convert: impl Fn(usize, usize, &[u64], &mut [T]) + Sync,
    ) -> Result<()> {
        let (_, set) = self.keys()?;
        let parameters = &self.spec.parameters;
        let layout = header.layout();
        let checksums = in_parallel(out.parts(threads), |(outputs, pieces)| {
            let new = || Workspace::new(parameters, set);
            self.decryption.lend(new, |workspace| {
                dispatch(DecryptOutputs {
                    set,
                    layout,
                    payload: payload.bytes,
                    outputs,
                    rows: RowWriter::new(pieces, header.records, PANEL_ROWS),
                    convert: &convert,
                    workspace,
                })
            })
        });
        let mut checksum = Checksum::new();
        for panel in 0..layout.mask.panels() + layout.bodies.panels() {
            for part in &checksums {
                checksum.append(part[panel]);
            }
        }
        payload.verify(checksum.value())
    }
}

/// The message nearest to a phase scaled to q = 2^64: rounded to a multiple of Δ, the top p bits with
/// their sign.
#[inline(always)]
pub(crate) fn round_to_message(phase: u64, message_bits: u32) -> i64 {
    let shift = 64 - message_bits;
    (phase.wrapping_add(1 << (shift - 1)) as i64) >> shift
}

/// Signed distance of a phase, scaled to q = 2^64, to the message nearest to it, relative to q.
pub(crate) fn residue(phase: u64, message_bits: u32) -> f64 {
    // The bits below the message, with their sign.
    let residue = ((phase << message_bits) as i64) >> message_bits;
    residue as f64 * (-64f64).exp2()
}

/// Buffers of one thread.
pub(crate) struct Workspace {
    mask: MaskTransforms,
    staged_mask: Staging,
    staged_bodies: Staging,
}

impl Workspace {
    fn new(parameters: &PackedParameters, set: &SecretKeySet) -> Self {
        Workspace {
            mask: MaskTransforms::new(parameters, parameters.output_limbs, set),
            staged_mask: Staging::new(),
            staged_bodies: Staging::new(),
        }
    }
}

/// The loop over outputs, compiled for the machine at hand; gives the checksum of each panel, those of the
/// mask first.
struct DecryptOutputs<'a, T, F> {
    set: &'a SecretKeySet,
    layout: BlockLayout,
    payload: &'a [u8],
    outputs: Range<usize>,
    rows: RowWriter<'a, T>,
    convert: &'a F,
    workspace: &'a mut Workspace,
}

impl<T, F> Task for DecryptOutputs<'_, T, F>
where
    T: Cell,
    F: Fn(usize, usize, &[u64], &mut [T]),
{
    type Output = Vec<Checksum>;

    #[inline(always)]
    fn run<P: Planes>(mut self, planes: P) -> Vec<Checksum> {
        let layout = self.layout;
        let (mask_payload, body_payload) = self.payload.split_at(layout.mask.bytes());
        self.workspace.staged_mask.reset(layout.mask);
        self.workspace.staged_bodies.reset(layout.bodies);
        let mut mask_checksums = vec![Checksum::new(); layout.mask.panels()];
        let mut body_checksums = vec![Checksum::new(); layout.bodies.panels()];
        for first in self.outputs.clone().step_by(STAGED_FEATURES) {
            let count = (self.outputs.end - first).min(STAGED_FEATURES);
            let Workspace {
                staged_mask,
                staged_bodies,
                ..
            } = &mut *self.workspace;
            staged_mask.load(mask_payload, &mut mask_checksums, first, count);
            staged_bodies.load(body_payload, &mut body_checksums, first, count);
            let next = first + count;
            let next_count = (self.outputs.end - next).min(STAGED_FEATURES);
            for staged in 0..count {
                let Workspace {
                    staged_mask,
                    staged_bodies,
                    ..
                } = &*self.workspace;
                staged_mask.prefetch(mask_payload, next, next_count, staged);
                staged_bodies.prefetch(body_payload, next, next_count, staged);
                self.decrypt_output(planes, first + staged, staged);
            }
        }
        mask_checksums.append(&mut body_checksums);
        mask_checksums
    }
}

impl<T, F> DecryptOutputs<'_, T, F>
where
    T: Cell,
    F: Fn(usize, usize, &[u64], &mut [T]),
{
    #[inline(always)]
    fn decrypt_output(&mut self, planes: impl Planes, output: usize, staged: usize) {
        let layout = self.layout;
        let Workspace {
            mask,
            staged_mask,
            staged_bodies,
        } = &mut *self.workspace;
        let mask_planes = (0..layout.mask.panels()).map(|panel| staged_mask.planes(panel, staged));
        mask.transform(planes, self.set, mask_planes);

        // Both are scaled to q = 2^64.
        let product_shift = 64 - 8 * layout.mask.limbs;
        let body_shift = 64 - 8 * layout.bodies.limbs;
        let body_panels = mask.polynomial_size() / PANEL_ROWS;
        let OnLine(phases) = &mut OnLine([0; PANEL_ROWS]);
        for first in (0..layout.bodies.panels()).step_by(body_panels) {
            let products = mask.multiply_by_secret(planes, self.set, first / body_panels);
            let products = products.as_chunks::<PANEL_ROWS>().0;
            for (panel, products) in (first..layout.bodies.panels()).zip(products) {
                planes.join(staged_bodies.planes(panel, staged), phases);
                for (phase, product) in phases.iter_mut().zip(products) {
                    let body = *phase << body_shift;
                    *phase = body.wrapping_sub(*product << product_shift);
                }
                let width = layout.bodies.panel_width(panel);
                let first = panel * PANEL_ROWS;
                let values = &mut self.rows.column(first)[..width];
                (self.convert)(output, first, &phases[..width], values);
            }
        }
        self.rows.end_column();
    }
}
