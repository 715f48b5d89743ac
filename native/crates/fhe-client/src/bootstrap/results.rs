//! Results of look-ups.

use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, short_hex};
use fhe_core::bootstrap::BootstrapParameters;
use fhe_core::{Error, Result};

use crate::ClientKey;

/// What the client knows of a circuit with look-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupResultsSpec {
    /// The circuit.
    pub circuit: CircuitDigest,
    /// Its parameters.
    pub parameters: BootstrapParameters,
    /// Outputs of a record.
    pub outputs: usize,
}

impl LookupResultsSpec {
    /// Decrypts a block of results: phases `[records][outputs]`, in units of 2^-64 of the torus.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the block is damaged, made by another circuit, under another key, or another
    /// block's result.
    pub fn decrypt(&self, key: &ClientKey, block_number: u64, block: &[u8]) -> Result<Vec<i64>> {
        let (header, payload) = BlockHeader::parse(block)?;
        self.expect(&header, key, block_number)?;
        let bytes = self.parameters.output_bytes;
        let secret = key.lwe_secret_words(self.parameters.lwe_dimension)?;
        let entry = |bytes_of: &[u8]| {
            let mut word = [0; 8];
            word[8 - bytes..].copy_from_slice(bytes_of);
            u64::from_le_bytes(word)
        };
        let (masks, bodies) = payload.split_at(header.layout().mask.bytes());
        Ok(masks
            .chunks_exact(secret.len() * bytes)
            .zip(bodies.chunks_exact(bytes))
            .map(|(mask, body)| {
                let inner = mask
                    .chunks_exact(bytes)
                    .zip(secret.iter())
                    .fold(0u64, |sum, (mask, bit)| {
                        sum.wrapping_add(entry(mask).wrapping_mul(*bit))
                    });
                entry(body).wrapping_sub(inner) as i64
            })
            .collect())
    }

    fn expect(&self, header: &BlockHeader, key: &ClientKey, block_number: u64) -> Result<()> {
        let number = header.block_number;
        if header.kind != BlockKind::LookupResults {
            return Err(Error::invalid(format!(
                "encrypted block {number} holds {:?}, expected {:?}",
                header.kind,
                BlockKind::LookupResults
            )));
        }
        if header.circuit != self.circuit {
            return Err(Error::invalid(format!(
                "encrypted block {number} is of circuit {}, not of circuit {}",
                short_hex(&header.circuit),
                short_hex(&self.circuit)
            )));
        }
        if header.key_id != *key.id() {
            return Err(Error::invalid(format!(
                "encrypted block {number} is under client key {}, not under client key {}",
                short_hex(&header.key_id),
                short_hex(key.id())
            )));
        }
        if number != block_number {
            return Err(Error::invalid(format!(
                "encrypted block {number} came back for block {block_number}"
            )));
        }
        for (name, found, wanted) in [
            (
                "LWE dimension",
                header.glwe_dimension,
                self.parameters.lwe_dimension,
            ),
            ("mask count", header.polynomial_size, header.records),
            ("limbs", header.limbs, self.parameters.output_bytes),
            (
                "body limbs",
                header.body_limbs,
                self.parameters.output_bytes,
            ),
            ("outputs", header.features, self.outputs),
        ] {
            if found != wanted {
                return Err(Error::invalid(format!(
                    "encrypted block {number} has {name} {found}, expected {wanted}"
                )));
            }
        }
        Ok(())
    }
}
