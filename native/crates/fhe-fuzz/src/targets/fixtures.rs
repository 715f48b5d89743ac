//! Small modules, keys and blocks, the same in every run.
//!
//! Payloads and secret bits are test data: any bytes are ciphertexts.

use fhe_client::{
    ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, SecretKeyShape, WeightNorms,
};
use fhe_core::block::{BlockHeader, BlockKind, CircuitDigest, HEADER_BYTES, KeyId};
use fhe_core::checksum::crc32c;
use fhe_core::circuit::PackedCircuit;
use fhe_core::parameters::PackedParameters;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// Of every key here.
pub(super) const KEY_ID: KeyId = [0x4b; 16];
/// Of every block here.
pub(super) const BLOCK_NUMBER: u64 = 7;

/// Bytes of test data.
pub(super) fn data(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A linear module.
pub(super) struct Module {
    pub(super) circuit: PackedCircuit,
    pub(super) file: Vec<u8>,
    pub(super) digest: CircuitDigest,
}

impl Module {
    fn new(parameters: PackedParameters, inputs: usize, outputs: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(inputs as u64);
        let circuit = PackedCircuit {
            parameters,
            module_key: "seq.0".into(),
            inputs,
            outputs,
            weights: (0..inputs * outputs)
                .map(|_| random.random_range(-127i8..=127) | 1)
                .collect(),
        };
        let file = circuit.encode();
        Module {
            digest: PackedCircuit::digest(&file),
            circuit: circuit.validate().expect("a module's circuit"),
            file,
        }
    }

    pub(super) fn shape(&self) -> SecretKeyShape {
        shape_of(&self.circuit.parameters)
    }

    /// What the client artefact says of it.
    pub(super) fn spec(&self) -> ModuleSpec {
        let parameters = self.circuit.parameters;
        ModuleSpec {
            circuit: self.digest,
            parameters,
            inputs: self.circuit.inputs,
            outputs: self.circuit.outputs,
            quantizer: Quantizer {
                activation_bits: 4,
                static_scale: 0.5,
                message_bits: parameters.message_bits,
                norms: WeightNorms {
                    max_l1: 600,
                    max_l2_squared: 80_000,
                    max_abs: 127,
                },
            },
            dequantizer: Dequantizer {
                weight_scales: vec![0.25; self.circuit.outputs],
                bias: vec![1.0; self.circuit.outputs],
            },
        }
    }

    pub(super) fn client(&self, key: &ClientKey) -> ModuleClient {
        ModuleClient::new(self.spec(), Some(key)).expect("a module's client")
    }

    /// The header of a block of so many records.
    pub(super) fn header(&self, kind: BlockKind, records: usize) -> BlockHeader {
        let features = match kind.results() {
            Some(_) => self.circuit.inputs,
            None => self.circuit.outputs,
        };
        BlockHeader::of(
            kind,
            &self.circuit.parameters,
            self.digest,
            KEY_ID,
            features,
            records,
            BLOCK_NUMBER,
        )
    }

    /// A block of so many records.
    pub(super) fn block(&self, kind: BlockKind, records: usize) -> Vec<u8> {
        let mut header = self.header(kind, records);
        if kind.results().is_some() {
            header.mask_seed = [0x3a; 16];
        }
        fill(&header)
    }
}

/// A block of test data.
pub(super) fn fill(header: &BlockHeader) -> Vec<u8> {
    let mut block = data(header.records as u64, HEADER_BYTES + header.payload_bytes());
    header.seal(&mut block);
    block
}

pub(super) fn shape_of(parameters: &PackedParameters) -> SecretKeyShape {
    SecretKeyShape {
        glwe_dimension: parameters.glwe_dimension,
        polynomial_size: parameters.polynomial_size,
        limbs: parameters.limbs,
        bodies: parameters.bodies,
    }
}

fn parameters(
    (glwe_dimension, polynomial_size): (usize, usize),
    [limbs, body_limbs, output_limbs, output_body_limbs]: [usize; 4],
    bodies: usize,
) -> PackedParameters {
    PackedParameters {
        glwe_dimension,
        polynomial_size,
        limbs,
        body_limbs,
        output_limbs,
        output_body_limbs,
        message_bits: 8 * output_body_limbs - 4,
        bodies,
        summands: 1,
        flooding: 0,
    }
}

/// Modules whose results are not re-randomised.
pub(super) fn modules() -> Vec<Module> {
    let narrow = parameters((16, 64), [3, 3, 2, 2], 3);
    let wide = parameters((20, 64), [4, 4, 3, 3], 2);
    let large = parameters((1, 2048), [5, 4, 4, 4], 1);
    vec![
        Module::new(narrow, 1, 1),
        Module::new(wide, 5, 3),
        Module::new(large, 2, 2),
        module_for_sums(),
    ]
}

/// A module whose results can be added.
pub(super) fn module_for_sums() -> Module {
    let mut parameters = parameters((36, 64), [7, 6, 6, 5], 2);
    parameters.summands = 1000;
    Module::new(parameters, 4, 3)
}

/// A module whose results are re-randomised.
pub(super) fn re_randomised_module() -> Module {
    let mut parameters = parameters((26, 64), [6, 6, 6, 6], 2);
    parameters.message_bits = 20;
    parameters.flooding = parameters.most_flooding();
    Module::new(parameters, 3, 2)
}

/// A client key's file.
pub(super) fn key_file(shapes: &[SecretKeyShape], lwe_dimensions: &[usize]) -> Vec<u8> {
    let mut file = b"FHEK\x02\x00".to_vec();
    file.extend_from_slice(&(shapes.len() as u16).to_le_bytes());
    file.extend_from_slice(&KEY_ID);
    file.extend_from_slice(&[0x43; 32]);
    for shape in shapes {
        let bits = shape.bodies * shape.glwe_dimension * shape.polynomial_size;
        for field in [
            shape.glwe_dimension,
            shape.polynomial_size,
            shape.limbs,
            shape.bodies,
        ] {
            file.extend_from_slice(&(field as u32).to_le_bytes());
        }
        file.extend(data(bits as u64, bits / 8));
    }
    file.extend_from_slice(&(lwe_dimensions.len() as u32).to_le_bytes());
    for &dimension in lwe_dimensions {
        file.extend_from_slice(&(dimension as u32).to_le_bytes());
        file.extend(data(dimension as u64, dimension.div_ceil(8)));
    }
    let checksum = crc32c(&file);
    file.extend_from_slice(&checksum.to_le_bytes());
    file
}

/// A key for these modules.
pub(super) fn key(modules: &[Module]) -> ClientKey {
    let shapes: Vec<_> = modules.iter().map(Module::shape).collect();
    ClientKey::decode(&key_file(&shapes, &[])).expect("a key file")
}
