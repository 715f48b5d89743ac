//! Evaluation of a circuit on an encrypted block: `Y = X · Wᵀ mod q` on mask rows and body rows.

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::mask::MaskStream;
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

use crate::PreparedCircuit;
use crate::kernel::Scratch;

/// A block that passed every check against its circuit.
pub struct AcceptedBlock<'a> {
    header: BlockHeader,
    payload: &'a [u8],
    result: BlockHeader,
}

impl AcceptedBlock<'_> {
    /// Bytes of the block of results.
    pub fn result_bytes(&self) -> usize {
        HEADER_BYTES + self.result.layout().bytes()
    }
}

impl PreparedCircuit {
    /// Checks a block of encrypted activations against this circuit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged or belongs to another circuit.
    pub fn accept<'a>(&self, block: &'a [u8]) -> Result<AcceptedBlock<'a>> {
        let (header, payload) = BlockHeader::parse(block)?;
        let circuit = &self.circuit;
        let parameters = &circuit.parameters;
        header.expect(
            BlockKind::Activations,
            &self.digest,
            parameters,
            circuit.inputs,
        )?;
        let result = BlockHeader::of(
            BlockKind::Results,
            parameters,
            self.digest,
            header.key_id,
            circuit.outputs,
            header.records,
            header.block_number,
        );
        Ok(AcceptedBlock {
            header,
            payload,
            result,
        })
    }

    /// Evaluates the circuit on one block of encrypted activations; returns the block of results.
    ///
    /// # Errors
    /// As [`PreparedCircuit::accept`], and [`Error::Internal`] if memory runs out.
    pub fn evaluate(&self, block: &[u8]) -> Result<Vec<u8>> {
        let accepted = self.accept(block)?;
        let mut output = Vec::new();
        output
            .try_reserve_exact(accepted.result_bytes())
            .map_err(|_| {
                Error::Internal(format!(
                    "no memory for a result of {} bytes",
                    accepted.result_bytes()
                ))
            })?;
        output.resize(accepted.result_bytes(), 0);
        self.evaluate_into(&accepted, &mut output);
        Ok(output)
    }

    /// Evaluates the circuit on an accepted block, writing the block of results to `output`.
    ///
    /// # Panics
    /// If `output` is not [`AcceptedBlock::result_bytes`] long.
    pub fn evaluate_into(&self, block: &AcceptedBlock<'_>, output: &mut [u8]) {
        assert_eq!(output.len(), block.result_bytes(), "bytes of the result");
        let AcceptedBlock {
            header,
            payload,
            result,
        } = block;
        let circuit = &self.circuit;
        let parameters = &circuit.parameters;
        let input_layout = header.layout().bodies;
        let output_layout = result.layout();
        let (output_mask, output_bodies) =
            output[HEADER_BYTES..].split_at_mut(output_layout.mask.bytes());

        let (limbs, body_limbs) = (parameters.limbs, parameters.body_limbs);
        let mut scratch = Scratch::default();
        let mut panel = vec![0u8; circuit.inputs * limbs * PANEL_ROWS];
        let mut product = vec![0u8; circuit.outputs * parameters.output_body_limbs * PANEL_ROWS];

        let mut mask = MaskStream::new(&header.mask_seed, parameters);
        for index in 0..output_layout.mask.panels() {
            for (feature, slot) in panel.chunks_exact_mut(limbs * PANEL_ROWS).enumerate() {
                mask.fill_panel(feature, index, slot);
            }
            let output = &mut output_mask[output_layout.mask.panel_range(index)];
            self.multiply(&panel, limbs, output, parameters.output_limbs, &mut scratch);
        }
        let panel = &mut panel[..circuit.inputs * body_limbs * PANEL_ROWS];
        for index in 0..input_layout.panels() {
            let width = input_layout.panel_width(index);
            let input = &payload[input_layout.panel_range(index)];
            let output = &mut output_bodies[output_layout.bodies.panel_range(index)];
            let kept = parameters.output_body_limbs;
            if width == PANEL_ROWS {
                self.multiply(input, body_limbs, output, kept, &mut scratch);
            } else {
                widen(input, width, panel);
                self.multiply(panel, body_limbs, &mut product, kept, &mut scratch);
                narrow(&product, width, output);
            }
        }
        result.seal(output);
    }

    fn multiply(
        &self,
        panel: &[u8],
        limbs: usize,
        product: &mut [u8],
        output_limbs: usize,
        scratch: &mut Scratch,
    ) {
        self.weights
            .multiply_panel(panel, limbs, product, output_limbs, scratch);
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
