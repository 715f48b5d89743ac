//! Evaluation keys made ready, once per process.

use fhe_core::bootstrap::{BootstrapParameters, EvaluationKey, EvaluationKeyHeader};
use fhe_core::{Error, Result};
use rayon::ThreadPoolBuilder;
use tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed};
use tfhe::core_crypto::prelude::{
    CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, FourierLweBootstrapKeyOwned,
    GlweDimension, LweDimension, PolynomialSize, SeededLweBootstrapKey, SeededLweKeyswitchKey,
    par_convert_standard_lwe_bootstrap_key_to_fourier,
};

use super::keyswitch::TiledKeyswitchKey;

/// A client's evaluation key with its masks expanded and its bootstrap key transformed; immutable, shared by
/// all threads.
pub struct BootstrapKeys {
    header: EvaluationKeyHeader,
    pub(crate) keyswitch: TiledKeyswitchKey,
    pub(crate) bootstrap: FourierLweBootstrapKeyOwned,
}

impl BootstrapKeys {
    /// Expands an evaluation key on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no memory for it, or threads cannot be started.
    pub fn expand(key: &EvaluationKey<'_>, threads: usize) -> Result<Self> {
        require_memory(key.header.parameters.expansion_bytes())?;
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build()
            .map_err(|error| Error::Internal(format!("threads for an evaluation key: {error}")))?;
        Ok(threads.install(|| Self::expand_here(key)))
    }

    fn expand_here(key: &EvaluationKey<'_>) -> Self {
        BootstrapKeys {
            bootstrap: expand_bootstrap_key(key),
            keyswitch: expand_keyswitch_key(key),
            header: key.header.clone(),
        }
    }

    /// What the key says of itself.
    pub fn header(&self) -> &EvaluationKeyHeader {
        &self.header
    }

    /// Its parameters.
    pub fn parameters(&self) -> &BootstrapParameters {
        &self.header.parameters
    }

    /// Bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        self.keyswitch.memory_bytes() + size_of_val(self.bootstrap.as_view().data())
    }
}

/// tfhe-rs allocates without a way out: whether there is as much is asked before.
fn require_memory(bytes: usize) -> Result<()> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
        // No fault of the key's, nor of the blocks that are to be evaluated with it.
        Error::Internal(format!(
            "evaluation key: there are no {} MiB of memory to expand it: give executors more memory beside their heap, or fewer at a time",
            bytes >> 20
        ))
    })
}

fn expand_bootstrap_key(key: &EvaluationKey<'_>) -> FourierLweBootstrapKeyOwned {
    let p = &key.header.parameters;
    let glwe_size = GlweDimension(p.glwe_dimension).to_glwe_size();
    let polynomial_size = PolynomialSize(p.polynomial_size);
    let (base_log, levels) = (
        DecompositionBaseLog(p.bootstrap.base_log),
        DecompositionLevelCount(p.bootstrap.levels),
    );
    let standard = SeededLweBootstrapKey::from_container(
        key.bootstrap_words(),
        glwe_size,
        polynomial_size,
        base_log,
        levels,
        seed(key.header.bootstrap_seed),
        CiphertextModulus::new_native(),
    )
    .par_decompress_into_lwe_bootstrap_key();
    let mut fourier = FourierLweBootstrapKeyOwned::new(
        LweDimension(p.lwe_dimension),
        glwe_size,
        polynomial_size,
        base_log,
        levels,
    );
    par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut fourier);
    fourier
}

fn expand_keyswitch_key(key: &EvaluationKey<'_>) -> TiledKeyswitchKey {
    let p = &key.header.parameters;
    let standard = SeededLweKeyswitchKey::from_container(
        key.keyswitch_words(),
        DecompositionBaseLog(p.keyswitch.base_log),
        DecompositionLevelCount(p.keyswitch.levels),
        LweDimension(p.lwe_dimension).to_lwe_size(),
        seed(key.header.keyswitch_seed),
        CiphertextModulus::new_native(),
    )
    .decompress_into_lwe_keyswitch_key();
    TiledKeyswitchKey::new(p, &standard)
}

fn seed(bytes: [u8; 16]) -> CompressionSeed {
    CompressionSeed::from(Seed(u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_told_in_one_line() {
        assert_eq!(require_memory(1 << 20), Ok(()));
        let error = require_memory(1 << 62).unwrap_err().to_string();
        assert!(error.contains("no 4398046511104 MiB of memory"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
