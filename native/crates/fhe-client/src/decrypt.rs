//! Decryption of a block of results.

use std::ops::Range;

use fhe_core::block::{BlockHeader, BlockKind, Payload};
use fhe_core::checksum::Checksum;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::{MAX_LIMBS, PackedParameters};
use fhe_core::{Error, Result};

use crate::buffer::OnLine;
use crate::cache;
use crate::key::SecretKeySet;
use crate::mask::MaskTransforms;
use crate::negacyclic::i64_to_f64;
use crate::planes::{Plane, Planes, Task, dispatch};
use crate::rows::{GROUP, RowWriter};
use crate::threads::in_parallel;
use crate::transpose::Cell;
use crate::{ModuleClient, Outputs};

/// Results of a block, in one block or in parts that follow each other.
pub(crate) struct ReceivedResults<'a> {
    pub(crate) mask: PanelLayout,
    pub(crate) bodies: PanelLayout,
    /// Those of the mask, then those of the bodies.
    pub(crate) panels: Vec<&'a [u8]>,
    /// What came, and how many of the panels are in it.
    pub(crate) payloads: Vec<(Payload<'a>, usize)>,
}

impl<'a> ReceivedResults<'a> {
    /// Of one block.
    fn of_block((header, payload): (&BlockHeader, Payload<'a>)) -> Self {
        let layout = header.layout();
        let (mask, bodies) = payload.bytes.split_at(layout.mask.bytes());
        let panels: Vec<_> = panels_of(layout.mask, mask)
            .chain(panels_of(layout.bodies, bodies))
            .collect();
        ReceivedResults {
            mask: layout.mask,
            bodies: layout.bodies,
            payloads: vec![(payload, panels.len())],
            panels,
        }
    }
}

/// The panels of a payload.
pub(crate) fn panels_of(layout: PanelLayout, payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..layout.panels()).map(move |panel| &payload[layout.panel_range(panel)])
}

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
            &ReceivedResults::of_block((&header, payload)),
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

    /// Sums of accumulators `[T][d_out]` of a sum of blocks of results.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`].
    pub fn decrypt_sums(&self, sums: &[u8]) -> Result<Vec<i64>> {
        let (header, payload) = self.accept(sums, BlockKind::Sums)?;
        let mut accumulators = vec![0; header.records * self.spec.outputs];
        let message_bits = self.message_bits();
        let places = Outputs::table(&mut accumulators, self.spec.outputs)?;
        let results = ReceivedResults::of_block((&header, payload));
        self.decrypt_phases(&results, 1, places, |_, _, phases, values| {
            for (value, &phase) in values.iter_mut().zip(phases) {
                *value = round_to_message(phase, message_bits);
            }
        })?;
        Ok(accumulators)
    }

    /// Decrypts a sum of blocks of results and dequantises it to sums of floats `[T][d_out]`, on at most `threads`
    /// threads.
    ///
    /// `counts` `[T]` says how many records each slot is the sum of, those of zeros that only pad not among
    /// them: so often the bias is added.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`], and if `counts` or `out` do not fit the block. What is in `out` then means
    /// nothing.
    pub fn decrypt_sums_to_floats(
        &self,
        sums: &[u8],
        counts: &[u64],
        threads: usize,
        out: Outputs<f32>,
    ) -> Result<()> {
        let (header, payload) = self.accept(sums, BlockKind::Sums)?;
        self.check_outputs(&out, counts.len())?;
        if header.records != counts.len() {
            return Err(Error::invalid(format!(
                "a sum of encrypted blocks has {} slots where counts of {} are given",
                header.records,
                counts.len()
            )));
        }
        if let Some(&count) = counts.iter().find(|&&count| count > header.summands as u64) {
            return Err(Error::invalid(format!(
                "a sum of {} results cannot hold {count} records in one slot",
                header.summands
            )));
        }
        let (dequantizer, message_bits) = (&self.spec.dequantizer, self.message_bits());
        // A module with sums has one scale, or it would not have been opened.
        let scale = self.spec.quantizer.static_scale;
        self.decrypt_phases(
            &ReceivedResults::of_block((&header, payload)),
            threads,
            out,
            #[inline(always)]
            |output, first, phases, values| {
                let column = dequantizer.column(output);
                let rows = values.iter_mut().zip(phases).zip(&counts[first..]);
                for ((value, &phase), &count) in rows {
                    let accumulator = i64_to_f64(round_to_message(phase, message_bits));
                    *value = column.sum(accumulator, scale, count);
                }
            },
        )
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
        if header.records != scales.len() {
            return Err(Error::invalid(format!(
                "encrypted block {} has {} records where {} were sent",
                header.block_number,
                header.records,
                scales.len()
            )));
        }
        let results = ReceivedResults::of_block((&header, payload));
        self.decrypt_received(&results, scales, threads, out)
    }

    /// Decrypts and dequantises results for as many records as there are scales.
    pub(crate) fn decrypt_received(
        &self,
        results: &ReceivedResults,
        scales: &[f32],
        threads: usize,
        out: Outputs<f32>,
    ) -> Result<()> {
        self.check_outputs(&out, scales.len())?;
        let (dequantizer, message_bits) = (&self.spec.dequantizer, self.message_bits());
        self.decrypt_phases(
            results,
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
        let results = ReceivedResults::of_block((&header, payload));
        self.decrypt_phases(&results, 1, places, |_, _, phases, values| {
            for (value, &phase) in values.iter_mut().zip(phases) {
                *value = residue(phase, message_bits);
            }
        })?;
        Ok(noise)
    }

    fn message_bits(&self) -> u32 {
        self.spec.parameters.message_bits as u32
    }

    fn accept_results<'a>(&self, block: &'a [u8]) -> Result<(BlockHeader, Payload<'a>)> {
        self.accept(block, BlockKind::Results)
    }

    /// Checks that a block holds results, or sums of such, of this module under this key.
    fn accept<'a>(&self, block: &'a [u8], kind: BlockKind) -> Result<(BlockHeader, Payload<'a>)> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        let (header, payload) = BlockHeader::parse_header(block)?;
        header.expect(kind, &spec.circuit, &spec.parameters, spec.outputs)?;
        if &header.key_id != key_id {
            return Err(Error::invalid(format!(
                "encrypted block {} is under key {:032x}, this is key {:032x}",
                header.block_number,
                u128::from_be_bytes(header.key_id),
                u128::from_be_bytes(*key_id)
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
        results: &ReceivedResults,
        threads: usize,
        out: Outputs<T>,
        convert: impl Fn(usize, usize, &[u64], &mut [T]) + Sync,
    ) -> Result<()> {
        let (_, set) = self.keys()?;
        let parameters = &self.spec.parameters;
        let (mask_panels, body_panels) = results.panels.split_at(results.mask.panels());
        let checksums = in_parallel(out.parts(threads), |(outputs, pieces)| {
            let new = || Workspace::new(parameters, set);
            self.decryption.lend(new, |workspace| {
                dispatch(DecryptOutputs {
                    set,
                    mask: PanelReader::new(results.mask, mask_panels),
                    bodies: PanelReader::new(results.bodies, body_panels),
                    outputs,
                    rows: RowWriter::new(pieces, parameters.polynomial_size),
                    convert: &convert,
                    workspace,
                })
            })
        });
        let mut first = 0;
        for (payload, panels) in &results.payloads {
            let mut checksum = Checksum::new();
            for panel in first..first + panels {
                for share in &checksums {
                    checksum.append(share[panel]);
                }
            }
            payload.verify(checksum.value())?;
            first += panels;
        }
        Ok(())
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
    /// Of a group.
    masks: MaskTransforms,
}

impl Workspace {
    fn new(parameters: &PackedParameters, set: &SecretKeySet) -> Self {
        Workspace {
            masks: MaskTransforms::new(parameters, parameters.output_limbs, GROUP, set),
        }
    }
}

/// The loop over groups of outputs, compiled for the machine at hand; gives the checksum of each panel, those
/// of the mask first.
///
/// A group goes body by body, so that a body's key, its share of the results and its outputs stay near.
struct DecryptOutputs<'a, T, F> {
    set: &'a SecretKeySet,
    mask: PanelReader<'a>,
    bodies: PanelReader<'a>,
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
        let mut first = self.outputs.start;
        while let count @ 1.. = self.rows.next_group() {
            self.decrypt_group(planes, first..first + count);
            first += count;
        }
        cache::fence();
        self.mask.checksums.append(&mut self.bodies.checksums);
        self.mask.checksums
    }
}

impl<T, F> DecryptOutputs<'_, T, F>
where
    T: Cell,
    F: Fn(usize, usize, &[u64], &mut [T]),
{
    #[inline(always)]
    fn decrypt_group(&mut self, planes: impl Planes, outputs: Range<usize>) {
        let masks = &mut self.workspace.masks;
        let body_panels = masks.polynomial_size() / PANEL_ROWS;
        let (mask_panels, panels) = (self.mask.layout.panels(), self.bodies.layout.panels());
        self.mask.check(0..mask_panels, outputs.clone());
        for (place, output) in outputs.clone().enumerate() {
            let share = (place, outputs.len());
            let first_body = 0..panels.min(body_panels);
            self.bodies.prefetch(first_body, outputs.clone(), share);
            let mask = &self.mask;
            let mask_planes = (0..mask_panels).map(|panel| mask.planes(panel, output));
            masks.transform(planes, self.set, place, mask_planes);
        }

        // Both are scaled to q = 2^64.
        let product_shift = 64 - 8 * self.mask.layout.limbs;
        let body_shift = 64 - 8 * self.bodies.layout.limbs;
        let next_outputs = outputs.end..self.outputs.end.min(outputs.end + outputs.len());
        let OnLine(phases) = &mut OnLine([0; PANEL_ROWS]);
        let OnLine(narrow) = &mut OnLine([[0; PANEL_ROWS]; MAX_LIMBS]);
        for first_panel in (0..panels).step_by(body_panels) {
            let end_panel = panels.min(first_panel + body_panels);
            self.bodies.check(first_panel..end_panel, outputs.clone());
            for (place, output) in outputs.clone().enumerate() {
                let share = (place, outputs.len());
                if end_panel < panels {
                    let next_body = end_panel..panels.min(end_panel + body_panels);
                    self.bodies.prefetch(next_body, outputs.clone(), share);
                } else {
                    self.mask
                        .prefetch(0..mask_panels, next_outputs.clone(), share);
                }
                let body = first_panel / body_panels;
                let products = masks.multiply_by_secret(planes, self.set, place, body);
                let products = products.as_chunks::<PANEL_ROWS>().0;
                for (panel, products) in (first_panel..end_panel).zip(products) {
                    let width = self.bodies.layout.panel_width(panel);
                    if width == PANEL_ROWS {
                        planes.join(self.bodies.planes(panel, output), phases);
                    } else {
                        let limbs = self.bodies.bytes(panel, output).chunks_exact(width);
                        let narrow = &mut narrow[..limbs.len()];
                        for (plane, limb) in narrow.iter_mut().zip(limbs) {
                            plane[..width].copy_from_slice(limb);
                        }
                        planes.join(narrow, phases);
                    }
                    for (phase, product) in phases.iter_mut().zip(products) {
                        let body = *phase << body_shift;
                        *phase = body.wrapping_sub((*product as u64) << product_shift);
                    }
                    let place_in_body = (panel - first_panel) * PANEL_ROWS;
                    let values = &mut self.rows.column(place, place_in_body)[..width];
                    (self.convert)(output, panel * PANEL_ROWS, &phases[..width], values);
                }
            }
            let end = self.bodies.layout.rows.min(end_panel * PANEL_ROWS);
            self.rows.write(planes, first_panel * PANEL_ROWS..end);
        }
    }
}

/// Reads panels, some features at a time.
struct PanelReader<'a> {
    layout: PanelLayout,
    panels: &'a [&'a [u8]],
    /// One for each panel.
    checksums: Vec<Checksum>,
}

impl<'a> PanelReader<'a> {
    fn new(layout: PanelLayout, panels: &'a [&'a [u8]]) -> Self {
        PanelReader {
            layout,
            panels,
            checksums: vec![Checksum::new(); layout.panels()],
        }
    }

    /// `[limbs][rows]` of a panel of a feature.
    #[inline(always)]
    fn bytes(&self, panel: usize, feature: usize) -> &'a [u8] {
        self.run(panel, feature..feature + 1)
    }

    /// The same of a whole panel.
    #[inline(always)]
    fn planes(&self, panel: usize, feature: usize) -> &'a [Plane] {
        self.bytes(panel, feature).as_chunks().0
    }

    /// `[features][limbs][rows]` of a panel.
    #[inline(always)]
    fn run(&self, panel: usize, features: Range<usize>) -> &'a [u8] {
        let bytes = self.layout.limbs * self.layout.panel_width(panel);
        &self.panels[panel][features.start * bytes..features.end * bytes]
    }

    /// Has the panels' checksums take these features.
    fn check(&mut self, panels: Range<usize>, features: Range<usize>) {
        for panel in panels {
            let run = self.run(panel, features.clone());
            self.checksums[panel].update(run);
        }
    }

    /// Has the first of so many shares of these features on its way to the cache.
    #[inline(always)]
    fn prefetch(&self, panels: Range<usize>, features: Range<usize>, share: (usize, usize)) {
        let (first, shares) = share;
        for panel in panels.skip(first).step_by(shares) {
            cache::prefetch(self.run(panel, features.clone()));
        }
    }
}
