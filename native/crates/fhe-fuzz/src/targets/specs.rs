//! What Java gives as arrays of numbers, read from a client artefact: specifications of modules and of windows.

use fhe_client::{
    ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, Records, Unfolding, WeightNorms,
};
use fhe_core::block::BlockHeader;
use fhe_core::parameters::PackedParameters;

use super::fixtures::{self, Module, re_randomised_module};
use crate::Target;
use crate::bytes::Fields;

/// Lengths that are read as what they are; longer ones are cut.
const MOST_OUTPUTS: usize = 64;
/// Values of records that are encrypted.
const MOST_VALUES: usize = 1 << 14;

fn spec_bytes(module: &Module) -> Vec<u8> {
    let spec = module.spec();
    let mut bytes = Vec::new();
    let mut put = |value: u32| bytes.extend_from_slice(&value.to_le_bytes());
    let shape = [spec.inputs, spec.outputs, spec.quantizer.activation_bits];
    for field in spec.parameters.fields().into_iter().chain(shape) {
        put(field as u32);
    }
    put(spec.quantizer.static_scale.to_bits());
    put(spec.quantizer.message_bits as u32);
    let norms = spec.quantizer.norms;
    for norm in [norms.max_l1, norms.max_l2_squared, norms.max_abs] {
        put(norm as u32);
        put((norm >> 32) as u32);
    }
    put(spec.dequantizer.weight_scales.len() as u32);
    put(spec.dequantizer.bias.len() as u32);
    for value in [1.0f32, -2.5, 1e-30, 3e38, 0.0, f32::MIN_POSITIVE] {
        put(value.to_bits());
    }
    bytes
}

fn spec(fields: &mut Fields) -> ModuleSpec {
    let parameters = PackedParameters {
        glwe_dimension: fields.count(),
        polynomial_size: fields.count(),
        limbs: fields.count(),
        body_limbs: fields.count(),
        output_limbs: fields.count(),
        output_body_limbs: fields.count(),
        message_bits: fields.count(),
        bodies: fields.count(),
        summands: fields.count(),
        flooding: fields.count(),
    };
    ModuleSpec {
        circuit: [2; 32],
        parameters,
        inputs: fields.count(),
        outputs: fields.count(),
        quantizer: Quantizer {
            activation_bits: fields.count(),
            static_scale: fields.f32(),
            message_bits: fields.count(),
            norms: WeightNorms {
                max_l1: fields.u64() >> 1,
                max_l2_squared: fields.u64() >> 1,
                max_abs: fields.u64() >> 1,
            },
        },
        dequantizer: Dequantizer {
            weight_scales: vec![f32::MAX; fields.count().min(MOST_OUTPUTS)],
            bias: vec![f32::NAN; fields.count().min(MOST_OUTPUTS)],
        },
    }
}

/// A module that is opened quantises and encrypts, or names the value that it cannot.
fn use_module(key: &ClientKey, input: &[u8]) -> bool {
    let mut fields = Fields(input);
    let spec = spec(&mut fields);
    let without = ModuleClient::new(spec.clone(), None);
    let Ok(client) = ModuleClient::new(spec, Some(key)) else {
        return false;
    };
    assert!(without.is_ok());
    let (inputs, outputs) = (client.spec().inputs, client.spec().outputs);
    if inputs > MOST_VALUES || outputs > MOST_VALUES {
        return true;
    }
    let pattern: Vec<f32> = (0..6).map(|_| fields.f32()).collect();
    let records: Vec<f32> = pattern.iter().copied().cycle().take(inputs).collect();
    let records = Records::table(&records, inputs).expect("a record");
    let Ok((activations, scales)) = client.quantize(&records) else {
        return true;
    };
    assert!(scales[0] > 0.0, "a scale of {}", scales[0]);
    let most = client.spec().quantizer.max_activation();
    let in_range = |&value: &i16| i32::from(value).abs() <= most;
    assert!(activations.to_records().iter().all(in_range));
    let block = client.encrypt(&activations, 3).expect("activations");
    BlockHeader::parse(&block).expect("a block");
    true
}

/// Specifications of modules.
pub(super) fn modules() -> Target {
    let mut modules = fixtures::modules();
    modules.push(re_randomised_module());
    let key = fixtures::key(&modules);
    Target {
        name: "module-spec",
        share: 4,
        seeds: modules.iter().map(spec_bytes).collect(),
        most_bytes: (64, 32 << 20),
        check: Box::new(move |input| use_module(&key, input)),
    }
}

/// Windows of images: all of an unfolding that is accepted, if they are not many, are copied.
pub(super) fn windows() -> Target {
    let numbers: [&[u32]; 3] = [
        &[1, 4, 5, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1],
        &[2, 6, 3, 2, 1, 2, 3, 1, 2, 3, 4, 2, 1],
        &[3, 1, 9, 1, 4, 1, 2, 0, 3, 0, 3, 1, 2],
    ];
    let bytes = |numbers: &&[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let module = fixtures::modules().swap_remove(1);
    let key = fixtures::key(std::slice::from_ref(&module));
    Target {
        name: "windows",
        share: 4,
        seeds: numbers.iter().map(bytes).collect(),
        most_bytes: (64, 32 << 20),
        check: Box::new(move |input| use_windows(&module, &key, input)),
    }
}

fn use_windows(module: &Module, key: &ClientKey, input: &[u8]) -> bool {
    let mut fields = Fields(input);
    let mut pair = || [fields.count(), fields.count()];
    let [channels, height] = pair();
    let [width, kernel_height] = pair();
    let [kernel_width, stride_y] = pair();
    let [stride_x, top] = pair();
    let [left, bottom] = pair();
    let [right, dilation_y] = pair();
    let unfolding = Unfolding {
        channels,
        extent: [height, width],
        kernel: [kernel_height, kernel_width],
        strides: [stride_y, stride_x],
        pads_begin: [top, left],
        pads_end: [bottom, right],
        dilations: [dilation_y, fields.count()],
    };
    let Ok(unfolding) = unfolding.validate() else {
        return false;
    };
    let (values, window) = (unfolding.image_values(), unfolding.window_values());
    if values > MOST_VALUES || window > MOST_VALUES {
        return true;
    }
    let positions = unfolding.positions();
    let image = vec![0.5; values];
    for first in [0, positions - 1] {
        let count = (positions - first).min(MOST_VALUES / window);
        let images = [(image.as_slice(), first, count)];
        let records = Records::windows(unfolding, images).expect("windows of an image");
        let spec = ModuleSpec {
            inputs: window,
            ..module.spec()
        };
        let client = ModuleClient::new(spec, Some(key)).expect("a module");
        let (activations, _) = client.quantize(&records).expect("finite values");
        assert_eq!(activations.records(), count);
    }
    let beyond = [(image.as_slice(), positions, 1)];
    assert!(Records::windows(unfolding, beyond).is_err());
    true
}
