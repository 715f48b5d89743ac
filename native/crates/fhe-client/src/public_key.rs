//! A client's public key.

use fhe_core::Result;
use fhe_core::block::BlockHeader;
use fhe_core::public_key::{PublicKeyFile, PublicKeySet};

use crate::{
    Activations, ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, SecretKeyShape,
    WeightNorms,
};

impl ClientKey {
    /// The bytes of a public key's file for secret keys of these shapes, with which a server re-randomises results
    /// ([`fhe_core::public_key`]). There is no secret in it.
    ///
    /// # Errors
    /// [`fhe_core::Error::InvalidInput`] if this key has no secret keys of a shape.
    pub fn public_key(&self, shapes: &[SecretKeyShape]) -> Result<Vec<u8>> {
        let sets = shapes.iter().map(|shape| self.public_key_set(shape));
        let file = PublicKeyFile {
            key_id: *self.id(),
            sets: sets.collect::<Result<_>>()?,
        };
        Ok(file.encode())
    }

    /// A full block of zeros is what is wanted: k features, each an encryption of zero with all bodies.
    fn public_key_set(&self, shape: &SecretKeyShape) -> Result<PublicKeySet> {
        let &SecretKeyShape {
            glwe_dimension,
            polynomial_size,
            limbs,
            bodies,
        } = shape;
        let parameters =
            PublicKeySet::block_parameters(glwe_dimension, polynomial_size, limbs, bodies);
        let spec = ModuleSpec {
            circuit: [0; 32],
            parameters,
            inputs: glwe_dimension,
            outputs: 1,
            quantizer: Quantizer {
                activation_bits: 2,
                static_scale: 1.0,
                message_bits: parameters.message_bits,
                norms: WeightNorms {
                    max_l1: 0,
                    max_l2_squared: 0,
                    max_abs: 0,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![1.0],
                bias: vec![],
            },
        };
        let zeros = Activations::zeros(parameters.max_records(), glwe_dimension);
        let block = ModuleClient::new(spec, Some(self))?.encrypt(&zeros, 0)?;
        let (header, payload) = BlockHeader::parse(&block)?;
        Ok(PublicKeySet {
            glwe_dimension,
            polynomial_size,
            limbs,
            bodies,
            mask_seed: header.mask_seed,
            payload: payload.to_vec(),
        })
    }
}
