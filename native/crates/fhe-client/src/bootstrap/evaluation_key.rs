//! Making evaluation keys.

use fhe_core::bootstrap::{
    BootstrapParameters, EvaluationKey, EvaluationKeyHeader, lwe_noise_bound_log2,
};
use fhe_core::{Error, Result};
use rayon::ThreadPoolBuilder;
use tfhe::core_crypto::commons::math::random::{CompressionSeed, Seed, Seeder};
use tfhe::core_crypto::prelude::{
    ChunkSize, CiphertextModulus, DecompositionBaseLog, DecompositionLevelCount, GlweDimension,
    GlweSecretKey, LweDimension, LweSecretKey, PolynomialSize, SeededLweBootstrapKeyChunkGenerator,
    SeededLweKeyswitchKey, TUniform, generate_seeded_lwe_keyswitch_key,
};

use crate::{ClientKey, SecretKeyShape};
use fhe_core::random::fill_from_os;

impl ClientKey {
    /// Makes the evaluation key of a circuit with look-ups on up to `threads` threads: the file's bytes.
    ///
    /// Seeds of masks and of noise are drawn anew from the system's CSPRNG: making it twice gives two keys,
    /// both good. `progress` is told the share that is done, up to 1, and says whether to go on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the client key has no secrets of these parameters; [`Error::Stopped`] if
    /// `progress` said so.
    pub fn evaluation_key(
        &self,
        parameters: &BootstrapParameters,
        packed: &SecretKeyShape,
        threads: usize,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Vec<u8>> {
        let parameters = parameters.validate()?;
        if (packed.glwe_dimension, packed.polynomial_size, packed.bodies)
            != (parameters.glwe_dimension, parameters.polynomial_size, 1)
        {
            return Err(Error::invalid(format!(
                "evaluation key: its parameters are not those of the packed layer's keys, {packed:?}"
            )));
        }
        let mut seeds = OsSeeds::draw()?;
        let header = EvaluationKeyHeader {
            key_id: *self.id(),
            parameters,
            keyswitch_seed: seeds.next().to_le_bytes(),
            bootstrap_seed: seeds.next().to_le_bytes(),
        };
        let glwe = self.glwe_secret_words(packed)?;
        let lwe = self.lwe_secret_words(parameters.lwe_dimension)?;
        let glwe_key = GlweSecretKey::from_container(
            glwe.as_slice(),
            PolynomialSize(parameters.polynomial_size),
        );
        let value_key = LweSecretKey::from_container(glwe.as_slice());
        let lwe_key = LweSecretKey::from_container(lwe.as_slice());

        let mut keyswitch = SeededLweKeyswitchKey::from_container(
            vec![0u64; header.keyswitch_words()],
            DecompositionBaseLog(parameters.keyswitch.base_log),
            DecompositionLevelCount(parameters.keyswitch.levels),
            LweDimension(parameters.lwe_dimension).to_lwe_size(),
            compression_seed(header.keyswitch_seed),
            CiphertextModulus::new_native(),
        );
        generate_seeded_lwe_keyswitch_key(
            &value_key,
            &lwe_key,
            &mut keyswitch,
            TUniform::new(lwe_noise_bound_log2(parameters.lwe_dimension)?),
            &mut seeds,
        );

        let mut chunks = SeededLweBootstrapKeyChunkGenerator::new(
            ChunkSize(CHUNK),
            LweDimension(parameters.lwe_dimension),
            GlweDimension(parameters.glwe_dimension).to_glwe_size(),
            PolynomialSize(parameters.polynomial_size),
            DecompositionBaseLog(parameters.bootstrap.base_log),
            DecompositionLevelCount(parameters.bootstrap.levels),
            CiphertextModulus::new_native(),
            &lwe_key,
            &glwe_key,
            TUniform::new(lwe_noise_bound_log2(parameters.value_dimension())?),
            compression_seed(header.bootstrap_seed),
            &mut seeds,
            true,
        );
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build()
            .map_err(|error| Error::Internal(format!("threads for an evaluation key: {error}")))?;
        let mut bootstrap = Vec::with_capacity(header.bootstrap_words());
        while let Some(chunk) = pool.install(|| chunks.next()) {
            bootstrap.extend_from_slice(chunk.as_ref());
            if !progress(bootstrap.len() as f64 / header.bootstrap_words() as f64) {
                return Err(Error::Stopped);
            }
        }
        Ok(EvaluationKey::encode(
            &header,
            keyswitch.as_ref(),
            &bootstrap,
        ))
    }
}

/// Bits of the LWE key whose part of the bootstrap key is made between two calls of `progress`.
const CHUNK: usize = 16;

fn compression_seed(bytes: [u8; 16]) -> CompressionSeed {
    CompressionSeed::from(Seed(u128::from_le_bytes(bytes)))
}

/// Seeds from the operating system, drawn before they are needed: [`Seeder`] cannot fail.
struct OsSeeds(Vec<u128>);

impl OsSeeds {
    /// Two of masks, and one of the noise of each key.
    const NEEDED: usize = 4;

    fn draw() -> Result<Self> {
        let mut seeds = Vec::with_capacity(Self::NEEDED);
        for _ in 0..Self::NEEDED {
            let mut bytes = [0; 16];
            fill_from_os(&mut bytes)?;
            seeds.push(u128::from_le_bytes(bytes));
        }
        Ok(OsSeeds(seeds))
    }

    /// One that nothing else uses.
    fn next(&mut self) -> u128 {
        self.0.pop().expect("a key takes one seed of noise")
    }
}

impl Seeder for OsSeeds {
    fn seed(&mut self) -> Seed {
        Seed(self.next())
    }

    fn is_available() -> bool {
        true
    }
}

impl Drop for OsSeeds {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
