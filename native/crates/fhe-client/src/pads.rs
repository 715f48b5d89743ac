//! What meets the records of a slot, made ahead of them: products of masks with the secret keys.

use std::ops::Range;

use fhe_core::Result;
use fhe_core::parameters::PackedParameters;
use zeroize::Zeroize;

use crate::buffer::Buffer;
use crate::key::SecretKeySet;
use crate::mask::MaskTransforms;
use crate::planes::{Planes, Task, dispatch};
use crate::threads::{in_parallel, ranges};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::random::NoiseStream;

/// Entries of some columns for each of some slots, wiped when they are dropped.
pub(crate) struct Pads {
    /// `[slot][column][entry_bytes]`, little-endian; a slot's lie together, since few slots are used at a
    /// time.
    bytes: Buffer<u8>,
    columns: usize,
    entry_bytes: usize,
}

/// Bytes behind the last entry, so that eight can be read from any.
const SLACK: usize = 8;

impl Pads {
    fn zeros(slots: usize, columns: usize, entry_bytes: usize) -> Result<Self> {
        Ok(Pads {
            bytes: Buffer::try_zeros(slots * columns * entry_bytes + SLACK)?,
            columns,
            entry_bytes,
        })
    }

    /// Room for the pads of so many slots.
    ///
    /// # Errors
    /// [`fhe_core::Error::InvalidInput`] if there is no memory for them.
    pub(crate) fn room_for(&self, slots: usize) -> Result<Pads> {
        Pads::zeros(slots, self.columns, self.entry_bytes)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the pads of some slots to `taken`, which has room for them; what stays is wiped.
    pub(crate) fn take(&mut self, slots: Range<usize>, taken: &mut Pads) {
        let row_bytes = self.columns * self.entry_bytes;
        let source = &mut self.bytes[slots.start * row_bytes..slots.end * row_bytes];
        taken.bytes[..source.len()].copy_from_slice(source);
        source.zeroize();
    }

    /// The pad of a slot and column in its low bytes; what is above means nothing.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: usize, column: usize) -> u64 {
        let start = (slot * self.columns + column) * self.entry_bytes;
        let bytes = &self.bytes[start..start + 8];
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }
}

/// How pads are made: the product of a column's mask with the key of the slot's body, and noise if there is
/// any, rounded to the top `entry_bytes`.
pub(crate) struct PadSource<'a, F> {
    pub(crate) set: &'a SecretKeySet,
    pub(crate) parameters: &'a PackedParameters,
    /// Bytes of a mask entry.
    pub(crate) limbs: usize,
    pub(crate) entry_bytes: usize,
    pub(crate) columns: usize,
    /// Of the K·N, from the first on.
    pub(crate) slots: usize,
    pub(crate) noise: Option<&'a NoiseStream>,
    /// Writes the mask of a column, `[k·N/64][limbs][64]`.
    pub(crate) fill_mask: F,
}

impl<F: Fn(usize, &mut [u8]) + Sync> PadSource<'_, F> {
    /// Makes the pads on at most `threads` threads. A column costs what it costs in a block: k forward
    /// transforms, and an inverse one for each body that has slots.
    ///
    /// # Errors
    /// [`fhe_core::Error::InvalidInput`] if there is no memory for them.
    pub(crate) fn make(&self, threads: usize) -> Result<Pads> {
        let mut pads = Pads::zeros(self.slots, self.columns, self.entry_bytes)?;
        let row_bytes = self.columns * self.entry_bytes;
        let mut parts: Vec<_> = ranges(self.columns, threads)
            .map(|columns| (columns, Vec::with_capacity(self.slots)))
            .collect();
        let len = self.slots * row_bytes;
        for mut row in pads.bytes[..len].chunks_exact_mut(row_bytes) {
            for (columns, rows) in &mut parts {
                let (piece, rest) = row.split_at_mut(columns.len() * self.entry_bytes);
                rows.push(piece);
                row = rest;
            }
        }
        in_parallel(parts, |(columns, rows)| {
            dispatch(FillPads {
                source: self,
                columns,
                rows,
            });
        });
        Ok(pads)
    }
}

/// Columns gathered before they are written, so that writes come in runs.
const GATHERED: usize = 16;

/// The loop over columns, compiled for the machine at hand.
struct FillPads<'a, 'b, F> {
    source: &'a PadSource<'a, F>,
    columns: Range<usize>,
    /// The columns' part of each slot.
    rows: Vec<&'b mut [u8]>,
}

/// Buffers of one thread.
struct Workspace {
    mask: MaskTransforms,
    mask_bytes: Buffer<u8>,
    noise_bytes: Buffer<u8>,
}

impl<F: Fn(usize, &mut [u8])> Task for FillPads<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn run<P: Planes>(mut self, planes: P) {
        let source = self.source;
        let panels = source.slots.div_ceil(PANEL_ROWS);
        let noise_bytes = source.noise.map_or(0, NoiseStream::panel_bytes);
        let workspace = &mut Workspace {
            mask: MaskTransforms::new(source.parameters, source.limbs, 1, source.set),
            mask_bytes: Buffer::zeros(source.parameters.lwe_dimension() * source.limbs),
            noise_bytes: Buffer::zeros(panels * noise_bytes),
        };
        // A line more, so that the columns do not all fall into one set of the cache.
        let stride = panels * PANEL_ROWS + 8;
        let mut gathered = Buffer::<u64>::zeros(GATHERED * stride);
        let mut run = Buffer::<u8>::zeros(GATHERED * 8);
        let mut written = 0;
        for first in self.columns.clone().step_by(GATHERED) {
            let count = (self.columns.end - first).min(GATHERED);
            for (column, entries) in (first..first + count).zip(gathered.chunks_exact_mut(stride)) {
                source.fill_column(planes, column, entries, workspace);
            }
            let bytes = count * source.entry_bytes;
            for (slot, row) in self.rows.iter_mut().enumerate() {
                for gathered_column in 0..count {
                    let entry = gathered[gathered_column * stride + slot];
                    // The next entry overwrites the bytes that are too many.
                    let place = gathered_column * source.entry_bytes;
                    run[place..place + 8].copy_from_slice(&entry.to_le_bytes());
                }
                row[written..written + bytes].copy_from_slice(&run[..bytes]);
            }
            written += bytes;
        }
    }
}

impl<F: Fn(usize, &mut [u8])> PadSource<'_, F> {
    /// Writes the pads of a column, whole panels.
    #[inline(always)]
    fn fill_column(
        &self,
        planes: impl Planes,
        column: usize,
        entries: &mut [u64],
        workspace: &mut Workspace,
    ) {
        let Workspace {
            mask,
            mask_bytes,
            noise_bytes,
        } = workspace;
        (self.fill_mask)(column, mask_bytes);
        let mask_planes = mask_bytes.as_chunks().0.chunks_exact(self.limbs);
        mask.transform(planes, self.set, 0, mask_planes);
        let dropped_bits = 8 * (self.limbs - self.entry_bytes);
        let half_unit = (1u64 << dropped_bits) >> 1;
        let slots = self.slots.next_multiple_of(PANEL_ROWS);
        let bodies = entries[..slots].chunks_mut(self.parameters.polynomial_size);
        for (body, entries) in bodies.enumerate() {
            let products = mask.multiply_by_secret(planes, self.set, 0, body);
            for (entry, &product) in entries.iter_mut().zip(products) {
                *entry = (product as u64).wrapping_add(half_unit);
            }
        }
        let panels = entries[..slots].as_chunks_mut::<PANEL_ROWS>().0;
        if let Some(noise) = self.noise {
            noise.fill_panels(column * panels.len(), noise_bytes);
            let samples = noise_bytes.chunks_exact(noise.panel_bytes());
            for (entries, samples) in panels.iter_mut().zip(samples) {
                noise.add(samples, entries);
            }
        }
        for entry in panels.as_flattened_mut() {
            *entry >>= dropped_bits;
        }
    }
}
