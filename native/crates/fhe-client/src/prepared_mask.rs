//! Masks ahead of the data: a block's mask is ordered, multiplied by the weights and met with the secret
//! keys before its records exist, so that a few records cost the server a few rows.
//!
//! A client draws a seed and sends a mask order ([`ModuleClient::order_mask`]); the server answers with mask
//! · W. From seed and key the client makes an encryption pad A·S + E for each of d_in features, from the
//! answer a decryption pad (A·W)·S for each of d_out outputs, in each of up to K·N slots
//! ([`ModuleClient::prepare_mask`]). A record then takes one slot: it is added to the slot's encryption pads
//! ([`ModuleClient::encrypt_ahead`]), and the slot's decryption pads are taken off its result
//! ([`ModuleClient::decrypt_ahead`]).
//!
//! # Same values
//! Nothing is computed otherwise than in [`ModuleClient::encrypt`] and [`ModuleClient::decrypt`], only
//! earlier. A message is a multiple of the unit that bodies are rounded to (p ≤ 8·body limbs), so rounding
//! before it is added gives the same entry; the server multiplies and rounds each row by itself, whatever
//! rows lie beside it; the phase is the difference of the same two numbers. Bodies, results and phases are
//! those of one block with these seeds bit for bit, and the bound of [`fhe_core::noise`] is the same.
//!
//! # Why it is as secure
//! * What the server sees of a mask in the end is one ordinary block: a seed and at most K·N body rows, in
//!   pieces. Under the ring-LWE assumption the pads of all slots are, given the mask, indistinguishable from
//!   independent uniform entries. So each piece is a one-time pad, whatever the records depend on: the
//!   mask, which the server knows first, other slots' bodies, or results of an honest server.
//! * **A slot encrypts once, ever.** Two records under one pad give their difference away, exactly, noise
//!   and all. Slots are handed out in order by a counter behind a lock, and their encryption pads are moved
//!   out and wiped under the same lock, before they meet a record: an error or a panic after that loses the
//!   slots and frees none, threads cannot share any, and no index is taken from a caller. If less is left
//!   than asked for, nothing is taken.
//! * A seed gives one set of pads: an order is consumed by preparation, successful or not, and neither type
//!   can be cloned, serialised or made from bytes. Seeds of mask and noise are drawn from the system for each
//!   order, and no other call uses them.
//! * Nothing that the server sends enters an encryption pad. Its answer to the order enters decryption pads
//!   alone, linearly, as the mask rows of any results do. A server that lies there, replays an answer, or
//!   answers for other slots makes wrong numbers (the header's seed, slots and number catch mistakes, not
//!   malice) and learns nothing, as long as nothing that it can observe, later requests among it, depends on decryptions;
//!   that holds for every block.
//! * The server, or Spark, may evaluate the same bodies any number of times: they are the same bytes. Trying
//!   again from the records instead takes new slots: one message under two independent pads, as in two
//!   blocks.
//! * Which slots a request takes tells how many records came before, a count that the server sees anyway.
//! * Pads are as secret as the key: the products (A·W)·S of a few slots determine S. They stay in this
//!   process, in memory that is wiped when it is released.
//! * A copy of a running process (a restored snapshot of a machine, a fork) would hand out the same slots a
//!   second time, where an ordinary block draws its seed anew. Prepared masks must not live through one.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, KeyId, short_hex};
use fhe_core::mask::MaskSeed;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};

use crate::cache;
use crate::decrypt::round_to_message;
use crate::negacyclic::i64_to_f64;
use crate::outputs::Piece;
use crate::pads::{PadSource, Pads};
use crate::planes::{Plane, Planes, Task, dispatch};
use crate::rows::RowWriter;
use crate::seeds::Seeds;
use crate::{Activations, ModuleClient, Outputs, Records};

/// A mask that was asked for and has no answer yet.
pub struct MaskOrder {
    owner: MaskOwner,
    header: BlockHeader,
    slots: usize,
    seeds: Seeds,
}

/// What a mask belongs to. Pads are laid out by parameters and shape, so these must be the same too: under
/// others a pad would meet the wrong message, or two.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MaskOwner {
    circuit: CircuitDigest,
    key_id: KeyId,
    parameters: PackedParameters,
    inputs: usize,
    outputs: usize,
}

impl MaskOrder {
    /// The block for the server.
    pub fn block(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        self.header.seal(&mut block);
        block
    }
}

/// A mask with its part of encryption, evaluation and decryption done, and slots for records, each for one.
///
/// Safe to share between threads.
pub struct PreparedMask {
    owner: MaskOwner,
    seed: MaskSeed,
    slots: usize,
    unused: Mutex<UnusedSlots>,
    decryption: Pads,
}

/// Slots from `next` on have never been used; the pads of those before are gone.
struct UnusedSlots {
    next: usize,
    pads: Pads,
}

impl PreparedMask {
    /// Slots that are left.
    pub fn slots_left(&self) -> usize {
        self.slots - self.unused().next
    }

    /// Bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        self.unused().pads.bytes() + self.decryption.bytes()
    }

    /// Uses up the next `count` slots, if so many are left: the first of them, and their encryption pads.
    fn take(&self, count: usize) -> Result<Option<(usize, Pads)>> {
        let mut unused = self.unused();
        let first = unused.next;
        let end = first.checked_add(count).filter(|&end| end <= self.slots);
        let Some(end) = end else {
            return Ok(None);
        };
        let mut taken = unused.pads.room_for(count)?;
        // Before they are read: whatever fails from here on, they are never handed out again.
        unused.next = end;
        unused.pads.take(first..end, &mut taken);
        Ok(Some((first, taken)))
    }

    fn unused(&self) -> MutexGuard<'_, UnusedSlots> {
        // A panic beside it leaves the counter ahead of the pads, which is safe.
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModuleClient {
    /// Draws a mask for up to `slots` records, 1 to K·N, to be multiplied by the weights ahead of them.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the module has no key or the slots are out of range.
    pub fn order_mask(&self, slots: usize, block_number: u64) -> Result<MaskOrder> {
        self.order_with(Seeds::from_os()?, slots, block_number)
    }

    /// Each seed must be fresh.
    fn order_with(&self, seeds: Seeds, slots: usize, block_number: u64) -> Result<MaskOrder> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        if spec.parameters.protects_weights() {
            return Err(Error::invalid(
                "results of this module are re-randomised (--protect-weights): their masks cannot be prepared ahead",
            ));
        }
        let most = spec.parameters.max_records();
        if !(1..=most).contains(&slots) {
            return Err(Error::invalid(format!(
                "a mask cannot be prepared for {slots} records, this module's hold 1 to {most}"
            )));
        }
        let mut header = BlockHeader::of(
            BlockKind::MaskOrder,
            &spec.parameters,
            spec.circuit,
            *key_id,
            spec.inputs,
            0,
            block_number,
        );
        header.mask_seed = *seeds.mask();
        Ok(MaskOrder {
            owner: self.mask_owner()?,
            header,
            slots,
            seeds,
        })
    }

    /// Makes the pads of an ordered mask, given the server's answer, on at most `threads` threads. The order is
    /// used up even if that fails.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, or does not answer this order of this module, or there
    /// is no memory for the pads.
    pub fn prepare_mask(
        &self,
        order: MaskOrder,
        results: &[u8],
        threads: usize,
    ) -> Result<PreparedMask> {
        let (_, set) = self.keys()?;
        let (spec, parameters) = (&self.spec, &self.spec.parameters);
        self.check_owner("a mask order", &order.owner)?;
        let (header, payload) = BlockHeader::parse(results)?;
        self.check_results(
            &header,
            BlockKind::MaskResults,
            order.seeds.mask(),
            order.header.block_number,
        )?;
        let mask_stream = order.seeds.mask_stream(parameters);
        let noise_stream = order.seeds.noise_stream(self.noise_bound_log2);
        let encryption = PadSource {
            set,
            parameters,
            limbs: parameters.limbs,
            entry_bytes: parameters.body_limbs,
            columns: spec.inputs,
            slots: order.slots,
            noise: Some(&noise_stream),
            fill_mask: |feature, mask: &mut [u8]| mask_stream.fill_feature(feature, mask),
        };
        let rows = header.layout().mask;
        let decryption = PadSource {
            set,
            parameters,
            limbs: parameters.output_limbs,
            entry_bytes: parameters.output_limbs,
            columns: spec.outputs,
            slots: order.slots,
            noise: None,
            fill_mask: |output, mask: &mut [u8]| {
                let panels = mask.chunks_exact_mut(PANEL_ROWS * rows.limbs);
                for (panel, out) in panels.enumerate() {
                    out.copy_from_slice(&payload[rows.feature_range(panel, output)]);
                }
            },
        };
        Ok(PreparedMask {
            owner: order.owner,
            seed: *order.seeds.mask(),
            slots: order.slots,
            unused: Mutex::new(UnusedSlots {
                next: 0,
                pads: encryption.make(threads)?,
            }),
            decryption: decryption.make(threads)?,
        })
    }

    /// Quantises and encrypts float records `[T][d_in]`, 1 ≤ T ≤ K·N, in the next T slots of a mask to `out`,
    /// [`ModuleClient::block_bytes`] long; writes the records' scales `[T]`. Returns the first slot, which
    /// decryption needs.
    ///
    /// If the mask has fewer than T slots left, it returns nothing and uses none of them: the records need
    /// another mask, or the ordinary way. What is in `out` and `scales` then means nothing.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the mask is another module's or another key's, the shape is out of range,
    /// a value is NaN or infinite, with its record and feature, or memory is wanting; no slots are lost then.
    pub fn encrypt_ahead(
        &self,
        mask: &PreparedMask,
        records: &Records,
        scales: &mut [f32],
        block_number: u64,
        out: &mut [u8],
    ) -> Result<Option<usize>> {
        let spec = &self.spec;
        self.check_owner("a prepared mask", &mask.owner)?;
        let count = scales.len();
        self.check_records(count, records.inputs())?;
        if out.len() != self.block_bytes(count) {
            return Err(Error::invalid(format!(
                "{} bytes of room for a block of {}",
                out.len(),
                self.block_bytes(count)
            )));
        }
        self.activations.lend(
            || Activations::zeros(0, spec.inputs),
            |activations| {
                self.quantize_to(records, activations, scales, 1)?;
                let Some((first_slot, pads)) = mask.take(count)? else {
                    return Ok(None);
                };
                let mut header = BlockHeader::of(
                    BlockKind::Bodies,
                    &spec.parameters,
                    spec.circuit,
                    mask.owner.key_id,
                    spec.inputs,
                    count,
                    block_number,
                );
                header.mask_seed = mask.seed;
                header.first_slot = first_slot;
                dispatch(AddMessages {
                    pads: &pads,
                    activations,
                    shift: 8 * spec.parameters.body_limbs - spec.parameters.message_bits,
                    layout: header.layout().bodies,
                    payload: &mut out[HEADER_BYTES..],
                });
                header.seal(out);
                Ok(Some(first_slot))
            },
        )
    }

    /// Decrypts block `block_number` of results for the records in the slots from `first_slot` on of a mask, and
    /// dequantises it to floats `[T][d_out]`, given the records' scales `[T]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, belongs to another module, key, mask or slots, or `out`
    /// does not fit it; nothing is written then.
    pub fn decrypt_ahead(
        &self,
        mask: &PreparedMask,
        first_slot: usize,
        block: &[u8],
        block_number: u64,
        scales: &[f32],
        out: Outputs<f32>,
    ) -> Result<()> {
        self.check_owner("a prepared mask", &mask.owner)?;
        let (header, payload) = BlockHeader::parse(block)?;
        self.check_results(&header, BlockKind::BodyResults, &mask.seed, block_number)?;
        let slots = first_slot..first_slot.saturating_add(scales.len());
        if header.first_slot != first_slot
            || header.records != scales.len()
            || slots.end > mask.unused().next
        {
            return Err(Error::invalid(format!(
                "encrypted block {block_number} has {} records from slot {} on, where {} from slot {first_slot} on were sent",
                header.records,
                header.first_slot,
                scales.len()
            )));
        }
        self.check_outputs(&out, scales.len())?;
        for (outputs, pieces) in out.parts(1) {
            dispatch(TakePadsOff {
                client: self,
                pads: &mask.decryption,
                slots: slots.clone(),
                scales,
                layout: header.layout().bodies,
                payload,
                outputs,
                pieces,
            });
        }
        Ok(())
    }

    fn mask_owner(&self) -> Result<MaskOwner> {
        let (key_id, _) = self.keys()?;
        Ok(MaskOwner {
            circuit: self.spec.circuit,
            key_id: *key_id,
            parameters: self.spec.parameters,
            inputs: self.spec.inputs,
            outputs: self.spec.outputs,
        })
    }

    fn check_owner(&self, what: &str, owner: &MaskOwner) -> Result<()> {
        let own = self.mask_owner()?;
        if *owner != own {
            return Err(Error::invalid(format!(
                "{what} is for circuit {}, {} x {}, under key {}, this module has circuit {}, {} x {}, and key {}, or other parameters",
                short_hex(&owner.circuit),
                owner.inputs,
                owner.outputs,
                short_hex(&owner.key_id),
                short_hex(&own.circuit),
                own.inputs,
                own.outputs,
                short_hex(&own.key_id)
            )));
        }
        Ok(())
    }

    fn check_results(
        &self,
        header: &BlockHeader,
        kind: BlockKind,
        seed: &MaskSeed,
        block_number: u64,
    ) -> Result<()> {
        let (key_id, _) = self.keys()?;
        let spec = &self.spec;
        header.expect(kind, &spec.circuit, &spec.parameters, spec.outputs)?;
        if header.block_number != block_number {
            return Err(Error::invalid(format!(
                "encrypted block {} came back where block {block_number} was expected",
                header.block_number
            )));
        }
        for (what, found, wanted) in [
            ("under key", &header.key_id, key_id),
            ("under the mask of seed", &header.mask_seed, seed),
        ] {
            if found != wanted {
                return Err(Error::invalid(format!(
                    "encrypted block {block_number} is {what} {}, this one is {}",
                    short_hex(found),
                    short_hex(wanted)
                )));
            }
        }
        Ok(())
    }
}

/// Panels up to this width are moved byte by byte: a whole panel would cost more.
const NARROW: usize = 12;

/// Adds messages to pads, and lays the sums out as bodies.
struct AddMessages<'a> {
    pads: &'a Pads,
    activations: &'a Activations,
    /// log2 of a message of one, in units of a body's entry.
    shift: usize,
    layout: PanelLayout,
    payload: &'a mut [u8],
}

impl Task for AddMessages<'_> {
    type Output = ();

    #[inline(always)]
    fn run<P: Planes>(self, planes: P) {
        let layout = self.layout;
        let mut entries = [0; PANEL_ROWS];
        for panel in 0..layout.panels() {
            let width = layout.panel_width(panel);
            let columns = self.activations.columns(panel, 0, layout.features);
            for (feature, column) in columns.iter().enumerate() {
                let slots = panel * PANEL_ROWS..;
                for ((entry, &message), slot) in entries[..width].iter_mut().zip(column).zip(slots)
                {
                    let message = (i64::from(message) << self.shift) as u64;
                    *entry = self.pads.entry(slot, feature).wrapping_add(message);
                }
                let out = &mut self.payload[layout.feature_range(panel, feature)];
                if width <= NARROW {
                    for (limb, out) in out.chunks_exact_mut(width).enumerate() {
                        for (byte, entry) in out.iter_mut().zip(&entries) {
                            *byte = (entry >> (8 * limb)) as u8;
                        }
                    }
                } else {
                    let mut limbs = [[0; PANEL_ROWS]; 8];
                    planes.split(&entries, &mut limbs[..layout.limbs]);
                    for (out, limb) in out.chunks_exact_mut(width).zip(&limbs) {
                        out.copy_from_slice(&limb[..width]);
                    }
                }
            }
        }
    }
}

/// Takes pads off results, rounds to messages and dequantises.
struct TakePadsOff<'a> {
    client: &'a ModuleClient,
    pads: &'a Pads,
    slots: Range<usize>,
    scales: &'a [f32],
    layout: PanelLayout,
    payload: &'a [u8],
    outputs: Range<usize>,
    pieces: Vec<Piece<'a, f32>>,
}

impl Task for TakePadsOff<'_> {
    type Output = ();

    #[inline(always)]
    fn run<P: Planes>(self, planes: P) {
        let layout = self.layout;
        let spec = &self.client.spec;
        let message_bits = spec.parameters.message_bits as u32;
        // Both are scaled to q = 2^64, which leaves nothing of what lies above a pad.
        let pad_shift = 64 - 8 * spec.parameters.output_limbs;
        let body_shift = 64 - 8 * layout.limbs;
        let mut rows = RowWriter::new(self.pieces, PANEL_ROWS);
        let mut entries = [0; PANEL_ROWS];
        let mut limbs: [Plane; 8] = [[0; PANEL_ROWS]; 8];
        let mut first_output = self.outputs.start;
        while let count @ 1.. = rows.next_group() {
            for panel in 0..layout.panels() {
                let width = layout.panel_width(panel);
                let first = panel * PANEL_ROWS;
                for place in 0..count {
                    let output = first_output + place;
                    let bytes = &self.payload[layout.feature_range(panel, output)];
                    if width <= NARROW {
                        entries[..width].fill(0);
                        for (limb, bytes) in bytes.chunks_exact(width).enumerate() {
                            for (entry, &byte) in entries.iter_mut().zip(bytes) {
                                *entry |= u64::from(byte) << (8 * limb);
                            }
                        }
                    } else {
                        for (limb, bytes) in limbs.iter_mut().zip(bytes.chunks_exact(width)) {
                            limb[..width].copy_from_slice(bytes);
                        }
                        planes.join(&limbs[..layout.limbs], &mut entries);
                    }
                    let column = spec.dequantizer.column(output);
                    let values = rows.column(place, 0)[..width].iter_mut();
                    for (row, (value, &entry)) in (first..).zip(values.zip(&entries)) {
                        let pad = self.pads.entry(self.slots.start + row, output) << pad_shift;
                        let phase = (entry << body_shift).wrapping_sub(pad);
                        let accumulator = i64_to_f64(round_to_message(phase, message_bits));
                        *value = column.output(accumulator, self.scales[row]);
                    }
                }
                rows.write(planes, first..first + width);
            }
            first_output += count;
        }
        cache::fence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientKey, Dequantizer, ModuleSpec, Quantizer, SecretKeyShape, WeightNorms};
    use fhe_core::circuit::PackedCircuit;
    use fhe_core::parameters::PackedParameters;
    use fhe_server::PreparedCircuit;
    use proptest::prelude::*;

    const OUTPUTS: usize = 3;

    /// A layer whose weights are odd and small, both sides.
    fn layer(inputs: usize, parameters: PackedParameters) -> (ModuleClient, PreparedCircuit) {
        let circuit = PackedCircuit {
            parameters,
            module_key: "test".into(),
            inputs,
            outputs: OUTPUTS,
            weights: (0..inputs * OUTPUTS)
                .map(|i| (i % 3) as i8 * 2 - 1)
                .collect(),
        };
        let server = PreparedCircuit::open(&circuit.encode()).unwrap();
        let spec = ModuleSpec {
            circuit: *server.digest(),
            parameters,
            inputs,
            outputs: OUTPUTS,
            quantizer: Quantizer {
                activation_bits: 4,
                static_scale: 0.0,
                message_bits: parameters.message_bits,
                norms: WeightNorms {
                    max_l1: 3 * inputs as u64,
                    max_l2_squared: 9 * inputs as u64,
                    max_abs: 3,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![0.5; OUTPUTS],
                bias: vec![],
            },
        };
        let key = ClientKey::generate([1; 32], &[shape(&parameters)]).unwrap();
        (ModuleClient::new(spec, Some(&key)).unwrap(), server)
    }

    fn shape(parameters: &PackedParameters) -> SecretKeyShape {
        SecretKeyShape {
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs: parameters.limbs,
            bodies: parameters.bodies,
        }
    }

    fn parameters() -> PackedParameters {
        PackedParameters {
            glwe_dimension: 20,
            polynomial_size: 64,
            limbs: 4,
            body_limbs: 4,
            output_limbs: 4,
            output_body_limbs: 3,
            message_bits: 12,
            bodies: 3,
            summands: 1,
            flooding: 0,
        }
    }

    fn prepared(client: &ModuleClient, server: &PreparedCircuit, slots: usize) -> PreparedMask {
        let order = client.order_mask(slots, 1).unwrap();
        let results = server.evaluate(&order.block()).unwrap();
        client.prepare_mask(order, &results, 1).unwrap()
    }

    fn records(count: usize, inputs: usize) -> Vec<f32> {
        (0..count * inputs)
            .map(|i| ((i * 7919) % 1000) as f32 - 500.0)
            .collect()
    }

    /// One record.
    fn table(values: &[f32]) -> Records<'_> {
        Records::table(values, values.len()).unwrap()
    }

    /// Rows of a body payload, as entries `[row][column]`.
    fn rows(layout: PanelLayout, payload: &[u8]) -> Vec<Vec<u64>> {
        (0..layout.rows)
            .map(|row| {
                let (panel, at) = (row / PANEL_ROWS, row % PANEL_ROWS);
                let width = layout.panel_width(panel);
                (0..layout.features)
                    .map(|feature| {
                        let bytes = &payload[layout.feature_range(panel, feature)];
                        bytes
                            .chunks_exact(width)
                            .rev()
                            .fold(0, |entry, limb| entry << 8 | u64::from(limb[at]))
                    })
                    .collect()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn pieces_under_a_prepared_mask_are_the_block_of_the_same_seeds(
            (glwe_dimension, polynomial_size, limbs) in prop_oneof![
                Just((15, 64, 3)), Just((5, 256, 4)), Just((3, 512, 5)), Just((1, 2048, 6)), Just((9, 256, 7)),
            ],
            (body_limbs, output_limbs, output_body_limbs) in (2usize..=7, 2usize..=7, 2usize..=7),
            inputs in 1usize..=40,
            pieces in prop::collection::vec(prop_oneof![1usize..5, 1usize..150], 1..6),
            threads in 1usize..=3,
        ) {
            let body_limbs = body_limbs.min(limbs);
            let output_limbs = output_limbs.min(limbs);
            let parameters = PackedParameters {
                glwe_dimension,
                polynomial_size,
                limbs,
                body_limbs,
                output_limbs,
                output_body_limbs: output_body_limbs.min(body_limbs).min(output_limbs),
                message_bits: 12,
                bodies: 750usize.div_ceil(polynomial_size),
                summands: 1,
                flooding: 0,
            };
            let (client, server) = layer(inputs, parameters);
            let seeds = || Seeds::known([4; 16], [9; 16]);
            let count = pieces.iter().sum();
            let records = records(count, inputs);
            let table = Records::table(&records, inputs).unwrap();
            let (activations, scales) = client.quantize(&table).unwrap();
            let mut block = vec![0; client.block_bytes(count)];
            client.encrypt_with(seeds(), &activations, 5, 1, &mut block).unwrap();
            let results = server.evaluate(&block).unwrap();
            let parse = |block: &[u8]| {
                let (header, payload) = BlockHeader::parse(block).unwrap();
                let layout = header.layout();
                (payload[..layout.mask.bytes()].to_vec(), rows(layout.bodies, &payload[layout.mask.bytes()..]))
            };
            let (_, bodies) = parse(&block);
            let (mask_results, body_results) = parse(&results);

            let order = client.order_with(seeds(), count, 6).unwrap();
            let answer = server.evaluate(&order.block()).unwrap();
            prop_assert!(parse(&answer).0 == mask_results);
            let mask = client.prepare_mask(order, &answer, threads).unwrap();
            let mut first = 0;
            for piece in pieces {
                let end = first + piece;
                let mut piece_scales = vec![0.0; piece];
                let mut block = vec![0; client.block_bytes(piece)];
                let part = Records::table(&records[first * inputs..end * inputs], inputs).unwrap();
                let slot = client.encrypt_ahead(&mask, &part, &mut piece_scales, 7, &mut block).unwrap();
                prop_assert_eq!(slot, Some(first));
                prop_assert!(piece_scales == scales[first..end]);
                prop_assert!(parse(&block).1 == bodies[first..end]);
                let answer = server.evaluate(&block).unwrap();
                prop_assert!(parse(&answer).1 == body_results[first..end]);
                first = end;
            }
            prop_assert_eq!(mask.slots_left(), 0);
        }
    }

    #[test]
    fn no_two_threads_get_a_slot_and_none_comes_back() {
        let (client, server) = layer(2, parameters());
        let mask = prepared(&client, &server, 150);
        let taken: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4)
                .map(|count| {
                    let (client, mask) = (&client, &mask);
                    scope.spawn(move || {
                        let (mut slots, mut scales) = (Vec::new(), vec![0.0; count]);
                        let mut block = vec![0; client.block_bytes(count)];
                        let records = records(count, 2);
                        let records = Records::table(&records, 2).unwrap();
                        while let Some(first) = client
                            .encrypt_ahead(mask, &records, &mut scales, 0, &mut block)
                            .unwrap()
                        {
                            slots.extend(first..first + count);
                        }
                        slots
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut slots = taken.concat();
        slots.sort_unstable();
        assert!(slots.iter().copied().eq(0..150), "{slots:?}");
        assert_eq!(mask.slots_left(), 0);
    }

    #[test]
    fn pads_of_used_slots_are_wiped_and_those_of_others_stay() {
        let (client, server) = layer(5, parameters());
        let mask = prepared(&client, &server, 10);
        let entries = |slots: Range<usize>| {
            let unused = mask.unused();
            let modulus_mask = u64::from(u32::MAX);
            slots
                .flat_map(|slot| (0..5).map(move |feature| (slot, feature)))
                .map(|(slot, feature)| unused.pads.entry(slot, feature) & modulus_mask)
                .collect::<Vec<_>>()
        };
        let before = entries(0..10);
        assert!(before.iter().filter(|&&entry| entry == 0).count() < 3);
        let (first, _) = mask.take(3).unwrap().unwrap();
        assert_eq!((first, mask.slots_left()), (0, 7));
        assert!(entries(0..3).iter().all(|&entry| entry == 0));
        assert!(entries(3..10) == before[15..]);
        assert!(mask.take(8).unwrap().is_none());
        assert_eq!(mask.take(7).unwrap().unwrap().0, 3);
        for count in [1, usize::MAX] {
            assert!(mask.take(count).unwrap().is_none());
        }
    }

    #[test]
    fn records_that_are_refused_cost_no_slots() {
        let (client, server) = layer(2, parameters());
        let mask = prepared(&client, &server, 10);
        let mut block = vec![0; client.block_bytes(2)];
        let error = |records: &[f32], inputs: usize, block: &mut [u8], scales: &mut [f32]| {
            let records = Records::table(records, inputs).unwrap();
            let result = client.encrypt_ahead(&mask, &records, scales, 0, block);
            result.unwrap_err().to_string()
        };
        let (values, scales) = ([1.0, 2.0, 3.0, 4.0], &mut [0.0; 2]);
        let message = error(&[1.0, 2.0, 3.0, f32::NAN], 2, &mut block, scales);
        assert!(message.contains("record 1: feature 1"), "{message}");
        let message = error(&values[2..], 2, &mut block, scales);
        assert!(
            message.contains("1 records of 2 activations where 2"),
            "{message}"
        );
        let message = error(&values, 4, &mut block, scales);
        assert!(
            message.contains("2 records of 4 activations are not"),
            "{message}"
        );
        let message = error(&[], 2, &mut block, &mut []);
        assert!(
            message.contains("0 records of 2 activations are not 1 to 192"),
            "{message}"
        );
        let message = error(&values, 2, &mut block[1..], scales);
        assert!(message.contains("bytes of room"), "{message}");
        assert_eq!(mask.slots_left(), 10);
    }

    #[test]
    fn a_mask_serves_its_module_and_key_alone() {
        let (client, server) = layer(2, parameters());
        let mask = prepared(&client, &server, 10);
        let spec = client.spec().clone();
        let other_key = ClientKey::generate([1; 32], &[shape(&spec.parameters)]).unwrap();
        let other = ModuleClient::new(spec.clone(), Some(&other_key)).unwrap();
        let (other_layer, other_server) = layer(3, parameters());
        for (client, inputs) in [(&other, 2), (&other_layer, 3)] {
            let mut block = vec![0; client.block_bytes(1)];
            let error = client
                .encrypt_ahead(&mask, &table(&vec![1.0; inputs]), &mut [0.0], 0, &mut block)
                .unwrap_err();
            assert!(
                error.to_string().contains("a prepared mask is for circuit"),
                "{error}"
            );
            let mut values = [0.0; OUTPUTS];
            let out = Outputs::table(&mut values, OUTPUTS).unwrap();
            let error = client.decrypt_ahead(&mask, 0, &block, 0, &[1.0], out);
            assert!(
                error
                    .unwrap_err()
                    .to_string()
                    .contains("a prepared mask is for circuit")
            );
        }
        let own = prepared(&other, &server, 10);
        // The same circuit and key, as a specification that contradicts the mask's has them.
        for change in [
            |spec: &mut ModuleSpec| spec.inputs = 3,
            |spec: &mut ModuleSpec| spec.parameters.output_body_limbs = 2,
        ] {
            let mut altered = spec.clone();
            change(&mut altered);
            let inputs = altered.inputs;
            let altered = ModuleClient::new(altered, Some(&other_key)).unwrap();
            let mut block = vec![0; altered.block_bytes(1)];
            let record = vec![1.0; inputs];
            let error = altered.encrypt_ahead(&own, &table(&record), &mut [0.0], 0, &mut block);
            assert!(
                error
                    .unwrap_err()
                    .to_string()
                    .contains("or other parameters")
            );
            assert_eq!(own.slots_left(), 10);
        }
        let order = other_layer.order_mask(1, 0).unwrap();
        let results = other_server.evaluate(&order.block()).unwrap();
        assert!(client.prepare_mask(order, &results, 1).is_err());
        for slots in [0, 193] {
            let error = client.order_mask(slots, 0).err().unwrap();
            assert!(error.to_string().contains("hold 1 to 192"), "{error}");
        }
    }
}
