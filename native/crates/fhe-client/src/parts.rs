//! Blocks in parts, for several tasks to evaluate side by side: where blocks are few and a layer is large, one task a
//! block leaves cores idle. A block's mask goes as an order, its rows as bodies under that mask; the server takes both
//! as they are ([`fhe_core::block`]), and neither its work nor the bytes grow but for the headers.
//!
//! Parts hold what the block holds, the seed of its mask and its bodies, and no byte that depends on anything
//! else: who sees them sees the block.

use std::ops::Range;

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::{Error, Result};

use crate::decrypt::{ReceivedResults, panels_of};
use crate::{ModuleClient, Outputs};

impl ModuleClient {
    /// Writes the order of a block's mask to `out`, [`HEADER_BYTES`] long. Its results are the mask's rows of those of
    /// the block.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is no block of activations of this module, its results are re-randomised, or
    /// `out` has another length.
    pub fn cut_mask(&self, block: &[u8], out: &mut [u8]) -> Result<()> {
        let (whole, _) = self.whole_block(block)?;
        check_room(out, HEADER_BYTES)?;
        self.part(BlockKind::MaskOrder, &whole, 0).seal(out);
        Ok(())
    }

    /// Writes a run of a block's records to `out`, [`ModuleClient::block_bytes`] long. Its results are these records'
    /// rows of those of the block.
    ///
    /// # Errors
    /// As [`ModuleClient::cut_mask`], and if the run is not of whole panels of 64 rows but for the block's last, or
    /// not in the block.
    pub fn cut_records(&self, block: &[u8], records: Range<usize>, out: &mut [u8]) -> Result<()> {
        let (whole, payload) = self.whole_block(block)?;
        let ends_well = records.end.is_multiple_of(PANEL_ROWS) || records.end == whole.records;
        if records.is_empty()
            || records.end > whole.records
            || !records.start.is_multiple_of(PANEL_ROWS)
            || !ends_well
        {
            return Err(Error::invalid(format!(
                "records {records:?} of a block of {} are no part of it",
                whole.records
            )));
        }
        check_room(out, self.block_bytes(records.len()))?;
        let mut part = self.part(BlockKind::Bodies, &whole, records.len());
        part.first_slot = records.start;
        let panels = records.start / PANEL_ROWS..records.end.div_ceil(PANEL_ROWS);
        let bodies = whole.layout().bodies;
        let start = bodies.panel_range(panels.start).start;
        let end = bodies.panel_range(panels.end - 1).end;
        out[HEADER_BYTES..].copy_from_slice(&payload[start..end]);
        part.seal(out);
        Ok(())
    }

    fn whole_block<'a>(&self, block: &'a [u8]) -> Result<(BlockHeader, &'a [u8])> {
        let spec = &self.spec;
        let (header, payload) = BlockHeader::parse_header(block)?;
        let kind = BlockKind::Activations;
        header.expect(kind, &spec.circuit, &spec.parameters, spec.inputs)?;
        if spec.parameters.protects_weights() {
            return Err(Error::invalid(
                "results of this module are re-randomised (--protect-weights): its blocks cannot be evaluated in parts",
            ));
        }
        Ok((header, payload.bytes))
    }

    fn part(&self, kind: BlockKind, whole: &BlockHeader, records: usize) -> BlockHeader {
        let spec = &self.spec;
        let mut part = BlockHeader::of(
            kind,
            &spec.parameters,
            spec.circuit,
            whole.key_id,
            spec.inputs,
            records,
            whole.block_number,
        );
        part.mask_seed = whole.mask_seed;
        part
    }

    /// As [`ModuleClient::decrypt_to_floats`], for the results of a block's parts: of its mask, then of its records, in
    /// order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if one is damaged, of another block, circuit or key, or they are not all of the
    /// block, or `scales` or `out` do not fit them. What is in `out` then means nothing.
    pub fn decrypt_parts_to_floats(
        &self,
        parts: &[&[u8]],
        block_number: u64,
        scales: &[f32],
        threads: usize,
        out: Outputs<f32>,
    ) -> Result<()> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        let mut seed = None;
        let mut records = 0;
        let mut mask = None;
        let mut results = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let (header, payload) = BlockHeader::parse_header(part)?;
            let kind = match index {
                0 => BlockKind::MaskResults,
                _ => BlockKind::BodyResults,
            };
            header.expect(kind, &spec.circuit, &spec.parameters, spec.outputs)?;
            let is_next = header.first_slot == records
                && header.block_number == block_number
                && &header.key_id == key_id
                && *seed.get_or_insert(header.mask_seed) == header.mask_seed
                && records.is_multiple_of(PANEL_ROWS);
            if !is_next {
                return Err(Error::invalid(format!(
                    "part {index} of the results of encrypted block {block_number} is of another block, key or place"
                )));
            }
            records += header.records;
            mask.get_or_insert(header.layout().mask);
            results.push((header, payload));
        }
        let Some(mask) = mask.filter(|_| records == scales.len() && records > 0) else {
            return Err(Error::invalid(format!(
                "the results of encrypted block {block_number} have {records} records where {} were sent",
                scales.len()
            )));
        };
        let mut panels = Vec::new();
        let payloads = results.iter().map(|(header, payload)| {
            let (layout, before) = (header.layout(), panels.len());
            panels.extend(panels_of(layout.mask, payload.bytes));
            panels.extend(panels_of(
                layout.bodies,
                &payload.bytes[layout.mask.bytes()..],
            ));
            (*payload, panels.len() - before)
        });
        let received = ReceivedResults {
            payloads: payloads.collect(),
            mask,
            bodies: PanelLayout {
                rows: records,
                features: spec.outputs,
                limbs: spec.parameters.output_body_limbs,
            },
            panels,
        };
        self.decrypt_received(&received, scales, threads, out)
    }
}

fn check_room(out: &[u8], bytes: usize) -> Result<()> {
    if out.len() != bytes {
        return Err(Error::invalid(format!(
            "{} bytes of room for a part of {bytes}",
            out.len()
        )));
    }
    Ok(())
}
