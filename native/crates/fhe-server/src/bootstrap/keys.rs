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
    /// Expands an evaluation key file on up to `threads` threads.
    ///
    /// # Errors
    /// As [`EvaluationKey::decode`]; [`Error::Internal`] if threads cannot be started.
    pub fn expand(file: &[u8], threads: usize) -> Result<Self> {
        let key = EvaluationKey::decode(file)?;
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build()
            .map_err(|error| Error::Internal(format!("threads for an evaluation key: {error}")))?;
        Ok(threads.install(|| Self::expand_here(&key)))
    }

    fn expand_here(key: &EvaluationKey<'_>) -> Self {
        let header = key.header.clone();
        let p = &header.parameters;
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
            seed(header.bootstrap_seed),
            CiphertextModulus::new_native(),
        )
        .par_decompress_into_lwe_bootstrap_key();
        let mut bootstrap = FourierLweBootstrapKeyOwned::new(
            LweDimension(p.lwe_dimension),
            glwe_size,
            polynomial_size,
            base_log,
            levels,
        );
        par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
        let keyswitch = SeededLweKeyswitchKey::from_container(
            key.keyswitch_words(),
            DecompositionBaseLog(p.keyswitch.base_log),
            DecompositionLevelCount(p.keyswitch.levels),
            LweDimension(p.lwe_dimension).to_lwe_size(),
            seed(header.keyswitch_seed),
            CiphertextModulus::new_native(),
        )
        .decompress_into_lwe_keyswitch_key();
        BootstrapKeys {
            keyswitch: TiledKeyswitchKey::new(&header.parameters, &keyswitch),
            header,
            bootstrap,
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

fn seed(bytes: [u8; 16]) -> CompressionSeed {
    CompressionSeed::from(Seed(u128::from_le_bytes(bytes)))
}
