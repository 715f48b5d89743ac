//! Evaluation of a circuit on an encrypted block: `Y = X · Wᵀ mod q` on mask rows and body rows, or on
//! either alone. Nothing is kept from one block to the next: bodies under a mask that was ordered ahead
//! are rows like any other.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use fhe_core::block::{BlockHeader, BlockKind, BlockLayout, HEADER_BYTES, Payload};
use fhe_core::checksum::Checksum;
use fhe_core::mask::MaskStream;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

use crate::PreparedCircuit;
use crate::kernel::FewRows;
use crate::workspace::Workspace;

/// A block that passed every check against its circuit, but for its payload's checksum: evaluation takes
/// that on its way.
pub struct AcceptedBlock<'a> {
    header: BlockHeader,
    payload: Payload<'a>,
    result: BlockHeader,
}

impl AcceptedBlock<'_> {
    /// Bytes of the block of results.
    pub fn result_bytes(&self) -> usize {
        HEADER_BYTES + self.result.layout().bytes()
    }
}

impl PreparedCircuit {
    /// Checks a block of encrypted activations, a mask order or bodies against this circuit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit.
    pub fn accept<'a>(&self, block: &'a [u8]) -> Result<AcceptedBlock<'a>> {
        let (header, payload) = BlockHeader::parse_header(block)?;
        let circuit = &self.circuit;
        let parameters = &circuit.parameters;
        let (kind, results) = match header.kind.results() {
            Some(results) => (header.kind, results),
            None => (BlockKind::Activations, BlockKind::Results),
        };
        header.expect(kind, &self.digest, parameters, circuit.inputs)?;
        let mut result = BlockHeader::of(
            results,
            parameters,
            self.digest,
            header.key_id,
            circuit.outputs,
            header.records,
            header.block_number,
        );
        if kind != BlockKind::Activations {
            // Says which mask it belongs to. That of activations is done with.
            result.mask_seed = header.mask_seed;
            result.first_slot = header.first_slot;
        }
        Ok(AcceptedBlock {
            header,
            payload,
            result,
        })
    }

    /// Evaluates the circuit on one block on this thread; returns the block of results.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged or belongs to another circuit.
    pub fn evaluate(&self, block: &[u8]) -> Result<Vec<u8>> {
        let accepted = self.accept(block)?;
        let mut output = vec![0; accepted.result_bytes()];
        self.evaluate_into(&accepted, &mut output, 1, &mut || false)?;
        Ok(output)
    }

    /// Evaluates the circuit on an accepted block with up to `threads` threads, this one among them; writes
    /// the block of results to `output`.
    ///
    /// `should_stop` is asked on this thread, some thousand times a second.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the payload is damaged, [`Error::Stopped`] if `should_stop` said so; what
    /// `output` holds is then of no use.
    ///
    /// # Panics
    /// If `output` is not [`AcceptedBlock::result_bytes`] long.
    pub fn evaluate_into(
        &self,
        block: &AcceptedBlock<'_>,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        assert_eq!(output.len(), block.result_bytes(), "bytes of the result");
        let panels = Panels {
            circuit: self,
            header: &block.header,
            payload: block.payload.bytes,
            output: block.result.layout(),
        };
        let checksums = panels.evaluate_all(&mut output[HEADER_BYTES..], threads, should_stop)?;
        block.payload.verify(checksums.read.value())?;
        block.result.seal_with(checksums.written.value(), output);
        Ok(())
    }
}

/// The panels of a result, mask rows first.
#[derive(Clone, Copy)]
struct Panels<'a> {
    circuit: &'a PreparedCircuit,
    header: &'a BlockHeader,
    payload: &'a [u8],
    output: BlockLayout,
}

/// Of what was read and written.
#[derive(Clone, Copy, Default)]
struct Checksums {
    read: Checksum,
    written: Checksum,
}

impl Panels<'_> {
    fn count(&self) -> usize {
        self.output.mask.panels() + self.output.bodies.panels()
    }

    /// Where a panel's results begin; the end of the payload for the panel after the last.
    fn start(&self, index: usize) -> usize {
        let layout = &self.output;
        match index.checked_sub(layout.mask.panels()) {
            None => layout.mask.panel_range(index).start,
            Some(body) if body < layout.bodies.panels() => {
                layout.mask.bytes() + layout.bodies.panel_range(body).start
            }
            Some(_) => layout.bytes(),
        }
    }

    /// Shares the panels out to threads.
    fn evaluate_all(
        &self,
        output: &mut [u8],
        threads: usize,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Checksums> {
        let count = self.count();
        let threads = threads.clamp(1, count);
        let share = |thread: usize| count * thread / threads..count * (thread + 1) / threads;
        let is_stopped = AtomicBool::new(false);
        let mut ask_caller = || {
            if should_stop() {
                is_stopped.store(true, Ordering::Relaxed);
            }
            is_stopped.load(Ordering::Relaxed)
        };
        let (first, mut rest) = output.split_at_mut(self.start(share(0).end));
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|thread| {
                    let share = share(thread);
                    let bytes = self.start(share.end) - self.start(share.start);
                    let (part, after) = std::mem::take(&mut rest).split_at_mut(bytes);
                    rest = after;
                    let mut ask_caller = || is_stopped.load(Ordering::Relaxed);
                    scope.spawn(move || self.evaluate_some(share, part, &mut ask_caller))
                })
                .collect();
            let mut all = self.evaluate_some(share(0), first, &mut ask_caller);
            for other in others {
                let part = other
                    .join()
                    .unwrap_or_else(|_| Err(Error::Internal("a thread panicked".into())));
                all = all.and_then(|mut all| {
                    let part = part?;
                    all.read.append(part.read);
                    all.written.append(part.written);
                    Ok(all)
                });
            }
            all
        })
    }

    /// Evaluates some panels to `output`, which holds just those.
    fn evaluate_some(
        &self,
        panels: Range<usize>,
        output: &mut [u8],
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Result<Checksums> {
        let mask_panels = self.output.mask.panels();
        let first = self.start(panels.start);
        let mask = MaskStream::new(&self.header.mask_seed, &self.circuit.circuit.parameters);
        let mut checksums = Checksums::default();
        self.circuit.workspaces.with(|workspace| {
            for index in panels {
                if should_stop() {
                    return Err(Error::Stopped);
                }
                let output = &mut output[self.start(index) - first..self.start(index + 1) - first];
                match index.checked_sub(mask_panels) {
                    None => self.evaluate_mask(index, &mask, output, workspace),
                    Some(body) => {
                        let input = &self.payload[self.header.layout().bodies.panel_range(body)];
                        checksums.read.update(input);
                        self.evaluate_bodies(body, input, output, workspace);
                    }
                }
                // Now, while the lines are in cache.
                checksums.written.update(output);
            }
            Ok(checksums)
        })
    }

    fn evaluate_mask(
        &self,
        index: usize,
        mask: &MaskStream,
        output: &mut [u8],
        workspace: &mut Workspace,
    ) {
        let PreparedCircuit {
            circuit, weights, ..
        } = self.circuit;
        let parameters = &circuit.parameters;
        let line_bytes = parameters.limbs * PANEL_ROWS;
        workspace.panel.resize(circuit.inputs * line_bytes, 0);
        let lines = workspace.panel.chunks_exact_mut(line_bytes);
        for (feature, line) in lines.enumerate() {
            mask.fill_panel(feature, index, line);
        }
        weights.multiply_panel(
            &workspace.panel,
            parameters.limbs,
            output,
            parameters.output_limbs,
            &mut workspace.scratch,
        );
    }

    fn evaluate_bodies(
        &self,
        index: usize,
        input: &[u8],
        output: &mut [u8],
        workspace: &mut Workspace,
    ) {
        let PreparedCircuit {
            circuit, weights, ..
        } = self.circuit;
        let Workspace {
            scratch,
            panel,
            product,
            digits,
        } = workspace;
        let limbs = circuit.parameters.body_limbs;
        let output_limbs = circuit.parameters.output_body_limbs;
        let width = self.output.bodies.panel_width(index);
        if width == PANEL_ROWS {
            weights.multiply_panel(input, limbs, output, output_limbs, scratch);
            return;
        }
        if weights.prefers_rows(width) {
            let rows = FewRows {
                bytes: input,
                width,
                limbs,
            };
            weights.multiply_rows(&circuit.weights, rows, output, output_limbs, digits);
            return;
        }
        panel.resize(circuit.inputs * limbs * PANEL_ROWS, 0);
        product.resize(circuit.outputs * output_limbs * PANEL_ROWS, 0);
        widen(input, width, panel);
        weights.multiply_panel(panel, limbs, product, output_limbs, scratch);
        narrow(product, width, output);
    }
}

/// Spreads lines of `width` rows to lines of a full panel; what is beyond them does not matter.
fn widen(narrow: &[u8], width: usize, wide: &mut [u8]) {
    for (from, to) in narrow
        .chunks_exact(width)
        .zip(wide.chunks_exact_mut(PANEL_ROWS))
    {
        to[..width].copy_from_slice(from);
    }
}

/// Takes the first `width` rows of each line of a full panel.
fn narrow(wide: &[u8], width: usize, narrow: &mut [u8]) {
    for (to, from) in narrow
        .chunks_exact_mut(width)
        .zip(wide.chunks_exact(PANEL_ROWS))
    {
        to.copy_from_slice(&from[..width]);
    }
}
