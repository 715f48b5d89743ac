//! One look-up: keyswitch, then programmable bootstrap.

use fhe_core::bootstrap::BootstrapParameters;
use tfhe::core_crypto::fft_impl::fft64::math::fft::Fft;
use tfhe::core_crypto::prelude::{
    CiphertextModulus, ComputationBuffers, GlweCiphertextOwned, GlweDimension, LweCiphertext,
    LweCiphertextOwned, LweDimension, PolynomialSize, keyswitch_lwe_ciphertext,
    programmable_bootstrap_lwe_ciphertext_mem_optimized,
    programmable_bootstrap_lwe_ciphertext_mem_optimized_requirement,
};

use super::BootstrapKeys;

/// A table as look-ups read it: a GLWE ciphertext without a mask.
pub(crate) struct Table(GlweCiphertextOwned<u64>);

impl Table {
    pub(crate) fn new(parameters: &BootstrapParameters, entries: &[u64]) -> Self {
        let mut table = GlweCiphertextOwned::new(
            0,
            GlweDimension(parameters.glwe_dimension).to_glwe_size(),
            PolynomialSize(parameters.polynomial_size),
            CiphertextModulus::new_native(),
        );
        table.get_mut_body().as_mut().copy_from_slice(entries);
        Table(table)
    }
}

/// The buffers of a thread that looks up.
pub(crate) struct Lookups<'a> {
    keys: &'a BootstrapKeys,
    fft: Fft,
    buffers: ComputationBuffers,
    /// What is read: a value times a factor, and an offset.
    argument: Vec<u64>,
    /// The same, switched to n.
    switched: LweCiphertextOwned<u64>,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(keys: &'a BootstrapKeys) -> Self {
        let parameters = keys.parameters();
        let fft = Fft::new(PolynomialSize(parameters.polynomial_size));
        let mut buffers = ComputationBuffers::new();
        buffers.resize(
            programmable_bootstrap_lwe_ciphertext_mem_optimized_requirement::<u64>(
                GlweDimension(parameters.glwe_dimension).to_glwe_size(),
                PolynomialSize(parameters.polynomial_size),
                fft.as_view(),
            )
            .unaligned_bytes_required(),
        );
        Lookups {
            keys,
            fft,
            buffers,
            argument: vec![0; parameters.value_dimension() + 1],
            switched: LweCiphertextOwned::new(
                0,
                LweDimension(parameters.lwe_dimension).to_lwe_size(),
                CiphertextModulus::new_native(),
            ),
        }
    }

    /// `table[factor · value + offset]`.
    pub(crate) fn look_up(
        &mut self,
        table: &Table,
        value: &[u64],
        factor: i64,
        offset: u64,
    ) -> Vec<u64> {
        for (to, &from) in self.argument.iter_mut().zip(value) {
            *to = from.wrapping_mul(factor as u64);
        }
        if let Some(body) = self.argument.last_mut() {
            *body = body.wrapping_add(offset);
        }
        let modulus = CiphertextModulus::new_native();
        keyswitch_lwe_ciphertext(
            &self.keys.keyswitch,
            &LweCiphertext::from_container(self.argument.as_slice(), modulus),
            &mut self.switched,
        );
        let mut result = vec![0; value.len()];
        programmable_bootstrap_lwe_ciphertext_mem_optimized(
            &self.switched,
            &mut LweCiphertext::from_container(result.as_mut_slice(), modulus),
            &table.0,
            &self.keys.bootstrap,
            self.fft.as_view(),
            self.buffers.stack(),
        );
        result
    }

    /// A value switched to n, mask and body.
    pub(crate) fn switch(&mut self, value: &[u64]) -> &[u64] {
        keyswitch_lwe_ciphertext(
            &self.keys.keyswitch,
            &LweCiphertext::from_container(value, CiphertextModulus::new_native()),
            &mut self.switched,
        );
        self.switched.as_ref()
    }
}
