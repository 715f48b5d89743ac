//! Evaluation of a circuit on an encrypted block: `Y = X · Wᵀ mod q` on mask rows and body rows, or on
//! either alone, and, if the circuit is to protect its weights, an encryption of zero added to each output. Nothing is kept from one block to the next: bodies under a mask that was ordered ahead
//! are rows like any other.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use fhe_core::block::{BlockHeader, BlockKind, BlockLayout, HEADER_BYTES, Payload};
use fhe_core::checksum::Checksum;
use fhe_core::mask::MaskStream;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

use crate::kernel::FewRows;
use crate::rerandomize::{Addends, PreparedSet};
use crate::workspace::Workspace;
use crate::{PreparedCircuit, PublicKey};

/// A block that passed every check against its circuit, but for its payload's checksum: evaluation takes
/// that on its way.
pub struct AcceptedBlock<'a> {
    header: BlockHeader,
    payload: Payload<'a>,
    result: BlockHeader,
    /// The client's public key, if results are re-randomised.
    public_key: Option<&'a PreparedSet>,
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
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit, or the circuit
    /// re-randomises results.
    pub fn accept<'a>(&self, block: &'a [u8]) -> Result<AcceptedBlock<'a>> {
        self.accept_under(None, block)
    }

    /// The same with the client's public key, which circuits that re-randomise results need.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block's header is damaged or belongs to another circuit, or the key is
    /// wanting or of another client.
    pub fn accept_under<'a>(
        &self,
        public_key: Option<&'a PublicKey>,
        block: &'a [u8],
    ) -> Result<AcceptedBlock<'a>> {
        let (header, payload) = BlockHeader::parse_header(block)?;
        let circuit = &self.circuit;
        let parameters = &circuit.parameters;
        let (kind, results) = match header.kind.results() {
            Some(results) if !header.kind.is_leveled() => (header.kind, results),
            _ => (BlockKind::Activations, BlockKind::Results),
        };
        header.expect(kind, &self.digest, parameters, circuit.inputs)?;
        let public_key = if parameters.protects_weights() {
            Some(self.public_key_for(&header, public_key)?)
        } else {
            None
        };
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
            public_key,
        })
    }

    /// The key to re-randomise the results of a block with.
    fn public_key_for<'k>(
        &self,
        header: &BlockHeader,
        public_key: Option<&'k PublicKey>,
    ) -> Result<&'k PreparedSet> {
        let module = &self.circuit.module_key;
        if header.kind != BlockKind::Activations {
            return Err(Error::invalid(format!(
                "encrypted block {} holds {:?}, but results of module {module:?} are re-randomised (--protect-weights): their masks cannot be prepared ahead",
                header.block_number, header.kind
            )));
        }
        let Some(public_key) = public_key else {
            return Err(Error::invalid(format!(
                "results of module {module:?} are re-randomised (--protect-weights), which needs the client's public key: give it its public.key"
            )));
        };
        if public_key.id() != &header.key_id {
            return Err(Error::invalid(format!(
                "encrypted block {} is under key {:032x}, the public key is of key {:032x}",
                header.block_number,
                u128::from_be_bytes(header.key_id),
                u128::from_be_bytes(*public_key.id())
            )));
        }
        public_key.set(&self.circuit.parameters)
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
        let addends = block
            .public_key
            .map(|key| {
                let (parameters, layout) = (&self.circuit.parameters, block.result.layout());
                key.encryptions_of_zero(parameters, &layout, threads, should_stop)
            })
            .transpose()?;
        let panels = Panels {
            circuit: self,
            addends: addends.as_ref(),
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
    /// What is added to results.
    addends: Option<&'a Addends>,
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
        let limbs = parameters.limbs;
        let Some(addends) = self.addends else {
            weights.multiply_panel(
                &workspace.panel,
                limbs,
                output,
                parameters.output_limbs,
                &mut workspace.scratch,
            );
            return;
        };
        let product = &mut workspace.product;
        product.resize(circuit.outputs * line_bytes, 0);
        weights.multiply_panel(
            &workspace.panel,
            limbs,
            product,
            limbs,
            &mut workspace.scratch,
        );
        addends.add_and_round(
            index,
            (product, limbs, PANEL_ROWS),
            (output, parameters.output_limbs, PANEL_ROWS),
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
        if let Some(addends) = self.addends {
            product.resize(circuit.outputs * limbs * PANEL_ROWS, 0);
            let stride = if width == PANEL_ROWS {
                weights.multiply_panel(input, limbs, product, limbs, scratch);
                PANEL_ROWS
            } else if weights.prefers_rows(width) {
                let rows = FewRows {
                    bytes: input,
                    width,
                    limbs,
                };
                product.truncate(circuit.outputs * limbs * width);
                weights.multiply_rows(&circuit.weights, rows, product, limbs, digits);
                width
            } else {
                panel.resize(circuit.inputs * limbs * PANEL_ROWS, 0);
                widen(input, width, panel);
                weights.multiply_panel(panel, limbs, product, limbs, scratch);
                PANEL_ROWS
            };
            addends.add_and_round(
                self.output.mask.panels() + index,
                (product, limbs, stride),
                (output, output_limbs, width),
            );
            return;
        }
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
