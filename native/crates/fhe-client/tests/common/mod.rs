//! A layer with its keys on both sides, for tests of the whole way.

// Each test binary uses a part of this.
#![allow(dead_code)]

use fhe_client::{
    ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, SecretKeyShape, WeightNorms,
};
use fhe_core::circuit::PackedCircuit;
use fhe_core::noise::{ColumnNorms, OutputNoise};
use fhe_core::parameters::PackedParameters;
use fhe_server::{PreparedCircuit, PublicKey};

/// A small generator of test data; nothing secret comes from it.
pub struct TestData(u64);

impl TestData {
    pub fn new(seed: u64) -> Self {
        TestData(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform on [-max, max].
    pub fn signed(&mut self, max: i64) -> i64 {
        ((self.next() >> 11) % (2 * max as u64 + 1)) as i64 - max
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let mut uniform = || (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * (1.0 - uniform()).ln()).sqrt(), uniform());
        radius * (2.0 * std::f64::consts::PI * angle).cos()
    }
}

pub struct Layer {
    pub client: ModuleClient,
    pub server: PreparedCircuit,
    pub key: ClientKey,
}

pub fn column_norms(weights: &[i8], inputs: usize) -> ColumnNorms {
    let largest =
        |norm: &dyn Fn(&[i8]) -> f64| weights.chunks_exact(inputs).map(norm).fold(0.0, f64::max);
    let magnitudes = |row: &[i8]| row.iter().map(|&w| f64::from(w).abs()).collect::<Vec<_>>();
    ColumnNorms {
        l1: largest(&|row| magnitudes(row).iter().sum()),
        l2: largest(&|row| magnitudes(row).iter().map(|w| w * w).sum::<f64>().sqrt()),
    }
}

/// The most message bits that 2^-40 allows for these weights.
pub fn message_bits(parameters: &PackedParameters, weights: &[i8], inputs: usize) -> usize {
    let any = PackedParameters {
        message_bits: 2,
        ..*parameters
    };
    let noise = OutputNoise::of(&any, column_norms(weights, inputs)).unwrap();
    (2..=8 * parameters.output_body_limbs)
        .rev()
        .find(|&bits| noise.log2_failure_probability(bits) <= -40.0)
        .expect("a message bit")
}

pub fn layer(
    parameters: PackedParameters,
    inputs: usize,
    outputs: usize,
    weights: Vec<i8>,
    activation_bits: usize,
) -> Layer {
    layer_with_scale(parameters, inputs, outputs, weights, activation_bits, 0.0)
}

/// A layer with one scale for all records, or 0 for a scale each; with a scale, the bias of output j is j.
pub fn layer_with_scale(
    parameters: PackedParameters,
    inputs: usize,
    outputs: usize,
    weights: Vec<i8>,
    activation_bits: usize,
    static_scale: f32,
) -> Layer {
    let magnitude = |w: &i8| u64::from(w.unsigned_abs());
    let norms = WeightNorms {
        max_l1: weights
            .chunks_exact(inputs)
            .map(|r| r.iter().map(magnitude).sum())
            .max()
            .unwrap(),
        max_l2_squared: weights
            .chunks_exact(inputs)
            .map(|r| r.iter().map(|w| magnitude(w).pow(2)).sum())
            .max()
            .unwrap(),
        max_abs: weights.iter().map(magnitude).max().unwrap(),
    };
    let circuit = PackedCircuit {
        parameters,
        module_key: "test".into(),
        inputs,
        outputs,
        weights,
    }
    .validate()
    .unwrap()
    .encode();
    let key = ClientKey::generate(
        [1; 32],
        &[SecretKeyShape {
            glwe_dimension: parameters.glwe_dimension,
            polynomial_size: parameters.polynomial_size,
            limbs: parameters.limbs,
            bodies: parameters.bodies,
        }],
    )
    .unwrap();
    let server = PreparedCircuit::open(&circuit).unwrap();
    let spec = ModuleSpec {
        circuit: *server.digest(),
        parameters,
        inputs,
        outputs,
        quantizer: Quantizer {
            activation_bits,
            static_scale,
            message_bits: parameters.message_bits,
            norms,
        },
        dequantizer: Dequantizer {
            weight_scales: vec![1.0; outputs],
            bias: if static_scale == 0.0 {
                vec![]
            } else {
                (0..outputs).map(|output| output as f32).collect()
            },
        },
    };
    Layer {
        client: ModuleClient::new(spec, Some(&key)).unwrap(),
        server,
        key,
    }
}

/// Of the layer's client, for circuits that re-randomise results.
pub fn public_key(layer: &Layer) -> PublicKey {
    let parameters = layer.client.spec().parameters;
    let shape = SecretKeyShape {
        glwe_dimension: parameters.glwe_dimension,
        polynomial_size: parameters.polynomial_size,
        limbs: parameters.limbs,
        bodies: parameters.bodies,
    };
    PublicKey::open(&layer.key.public_key(&[shape]).unwrap()).unwrap()
}

/// The results of a block, re-randomised under a public key.
pub fn evaluate_under(layer: &Layer, key: &PublicKey, block: &[u8], threads: usize) -> Vec<u8> {
    let accepted = layer.server.accept_under(Some(key), block).unwrap();
    let mut output = vec![0; accepted.result_bytes()];
    let mut never = || false;
    layer
        .server
        .evaluate_into(&accepted, &mut output, threads, &mut never)
        .unwrap();
    output
}
