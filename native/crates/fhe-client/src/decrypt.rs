//! Decryption of a block of results.

use fhe_core::block::{BlockHeader, BlockKind, short_hex};
use fhe_core::panel::PANEL_ROWS;
use fhe_core::{Error, Result};

use crate::ModuleClient;
use crate::encrypt::MaskTransforms;

impl ModuleClient {
    /// Accumulators `[T][d_out]` of a block of results.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, or made by another circuit or under another key.
    pub fn decrypt(&self, block: &[u8]) -> Result<Vec<i64>> {
        let outputs = self.spec.outputs;
        let shift = 64 - self.spec.parameters.message_bits as u32;
        let mut accumulators = Vec::new();
        self.decrypt_phases(block, |records, record, output, phase| {
            accumulators.resize(records * outputs, 0);
            // Rounded to a multiple of Δ; the top p bits are the message, with its sign.
            let rounded = phase.wrapping_add(1 << (shift - 1));
            accumulators[record * outputs + output] = (rounded as i64) >> shift;
        })?;
        Ok(accumulators)
    }

    /// Signed distance of every phase to its nearest message `[T][d_out]`, relative to q: the noise that
    /// decryption removes.
    ///
    /// # Errors
    /// As [`ModuleClient::decrypt`].
    pub fn residual_noise(&self, block: &[u8]) -> Result<Vec<f64>> {
        let outputs = self.spec.outputs;
        let message_bits = self.spec.parameters.message_bits as u32;
        let mut noise = Vec::new();
        self.decrypt_phases(block, |records, record, output, phase| {
            noise.resize(records * outputs, 0.0);
            // The bits below the message, with their sign.
            let residue = ((phase << message_bits) as i64) >> message_bits;
            noise[record * outputs + output] = residue as f64 * (-64f64).exp2();
        })?;
        Ok(noise)
    }

    /// Calls `take(records, record, output, phase)` for every value, the phase scaled to q = 2^64.
    ///
    /// A server that keeps the top limbs only truncates; reading an entry v as v + 1/2 units of what was
    /// kept centres the error.
    fn decrypt_phases(
        &self,
        block: &[u8],
        mut take: impl FnMut(usize, usize, usize, u64),
    ) -> Result<()> {
        let (key_id, set) = self.keys()?;
        let spec = &self.spec;
        let parameters = &spec.parameters;
        let (header, payload) = BlockHeader::parse(block)?;
        header.expect(BlockKind::Results, &spec.circuit, parameters, spec.outputs)?;
        if &header.key_id != key_id {
            return Err(Error::invalid(format!(
                "encrypted block {} is under key {}, this is key {}",
                header.block_number,
                short_hex(&header.key_id),
                short_hex(key_id)
            )));
        }
        let layout = header.layout();
        let limbs = header.limbs;
        let is_truncated = limbs < parameters.limbs;
        let phase_bits = 8 * limbs + usize::from(is_truncated);
        let centre = |entry: u64| {
            if is_truncated { entry << 1 | 1 } else { entry }
        };
        let entry = |output: usize, row: usize| {
            let panel = row / PANEL_ROWS;
            let width = layout.panel_width(panel);
            let planes = &payload[layout.feature_range(panel, output)];
            let row = row % PANEL_ROWS;
            centre((0..limbs).fold(0, |entry, limb| {
                entry | u64::from(planes[limb * width + row]) << (8 * limb)
            }))
        };
        let mask_rows = parameters.lwe_dimension();
        let mut mask = MaskTransforms::new(parameters, phase_bits, set);
        let mut product = vec![0u64; parameters.polynomial_size];
        for output in 0..spec.outputs {
            mask.load(|row| entry(output, row));
            for first in (0..header.records).step_by(parameters.polynomial_size) {
                mask.multiply_by_secret(first / parameters.polynomial_size, &mut product);
                let records = first..header.records.min(first + parameters.polynomial_size);
                for (record, product) in records.zip(&product) {
                    let phase = entry(output, mask_rows + record).wrapping_sub(*product);
                    take(
                        header.records,
                        record,
                        output,
                        phase << (64 - phase_bits as u32),
                    );
                }
            }
        }
        Ok(())
    }
}
