//! Against an independent implementation: the numpy reference in `native/oracle`.
//!
//! `FHE_SPARK_PYTHON` names a python with numpy (`bin/python-env oracle native/oracle/requirements.txt`).

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{TestData, layer, message_bits};
use fhe_client::{
    ClientKey, Dequantizer, ModuleClient, ModuleSpec, Quantizer, Records, SecretKeyShape,
    WeightNorms,
};
use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};
use fhe_core::checksum::crc32c;
use fhe_core::mask::MaskStream;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};
use fhe_core::parameters::PackedParameters;
use fhe_server::{Kernel, PreparedWeights, Scratch};

fn run_oracle(script: &str, directory: &Path, options: &[String]) -> String {
    let python = std::env::var("FHE_SPARK_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../oracle")
        .join(script);
    let output = Command::new(&python)
        .arg(&script)
        .arg(directory)
        .args(options)
        .output()
        .unwrap_or_else(|error| panic!("{python} does not run: {error}"));
    assert!(
        output.status.success(),
        "{}: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("fhe-oracle-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

fn write<T: Copy, const BYTES: usize>(
    path: PathBuf,
    values: impl IntoIterator<Item = T>,
    bytes: impl Fn(T) -> [u8; BYTES],
) {
    let content: Vec<u8> = values.into_iter().flat_map(bytes).collect();
    std::fs::write(path, content).unwrap();
}

fn read<T, const BYTES: usize>(path: PathBuf, value: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
    std::fs::read(path)
        .unwrap()
        .chunks_exact(BYTES)
        .map(|chunk| value(chunk.try_into().unwrap()))
        .collect()
}

/// Entry (row, feature) of a payload in panels.
fn entry(payload: &[u8], layout: &PanelLayout, row: usize, feature: usize) -> u64 {
    let panel = row / PANEL_ROWS;
    let width = layout.panel_width(panel);
    let planes = &payload[layout.feature_range(panel, feature)];
    (0..layout.limbs).fold(0, |value, limb| {
        value | u64::from(planes[limb * width + row % PANEL_ROWS]) << (8 * limb)
    })
}

/// The other way: sets entry (row, feature).
fn set_entry(payload: &mut [u8], layout: &PanelLayout, row: usize, feature: usize, value: u64) {
    let panel = row / PANEL_ROWS;
    let width = layout.panel_width(panel);
    let planes = &mut payload[layout.feature_range(panel, feature)];
    for limb in 0..layout.limbs {
        planes[limb * width + row % PANEL_ROWS] = (value >> (8 * limb)) as u8;
    }
}

const CASES: [(usize, usize, usize, usize, usize, usize); 3] = [
    // k, N, limbs, records, d_in, d_out
    (3, 512, 5, 700, 24, 10),
    (20, 64, 4, 65, 7, 3),
    (9, 256, 7, 300, 16, 5),
];

#[test]
fn the_reference_decrypts_and_evaluates_what_we_encrypt() {
    for (k, n, limbs, records, inputs, outputs) in CASES {
        let mut data = TestData::new(limbs as u64);
        let weights: Vec<i8> = (0..inputs * outputs)
            .map(|_| data.signed(127) as i8)
            .collect();
        let mut parameters = PackedParameters {
            glwe_dimension: k,
            polynomial_size: n,
            limbs,
            body_limbs: limbs,
            output_limbs: limbs,
            output_body_limbs: limbs,
            message_bits: 2,
            bodies: records.div_ceil(n),
            summands: 1,
            flooding: 0,
        };
        parameters.message_bits = message_bits(&parameters, &weights, inputs).min(24);
        let layer = layer(parameters, inputs, outputs, weights.clone(), 8);
        let floats: Vec<f32> = (0..records * inputs)
            .map(|_| data.signed(1000) as f32)
            .collect();
        let table = Records::table(&floats, inputs).unwrap();
        let (activations, _) = layer.client.quantize(&table).unwrap();
        let block = layer.client.encrypt(&activations, 0).unwrap();
        let result = layer.server.evaluate(&block).unwrap();

        let directory = scratch("ours");
        std::fs::create_dir(&directory).unwrap();
        let file = |name: &str| directory.join(name);
        let message_bits = parameters.message_bits;
        let bodies = parameters.bodies;
        std::fs::write(
            file("case.json"),
            format!(
                r#"{{"k": {k}, "N": {n}, "limbs": {limbs}, "outputLimbs": {limbs}, "messageBits": {message_bits},
                "bodies": {bodies}, "records": {records}, "dIn": {inputs}, "dOut": {outputs}}}"#
            ),
        )
        .unwrap();
        let secret = layer
            .key
            .secret_bits(&SecretKeyShape {
                glwe_dimension: k,
                polynomial_size: n,
                limbs,
                bodies,
            })
            .unwrap();
        std::fs::write(file("secret.u8"), &*secret).unwrap();
        let (header, payload) = BlockHeader::parse(&block).unwrap();
        let stream = MaskStream::new(&header.mask_seed, &parameters);
        let mut mask = Vec::new();
        for feature in 0..inputs {
            let mut bytes = vec![0u8; parameters.mask_bytes_per_feature()];
            stream.fill_feature(feature, &mut bytes);
            let layout = PanelLayout {
                rows: k * n,
                features: 1,
                limbs,
            };
            mask.extend((0..k * n).map(|row| entry(&bytes, &layout, row, 0)));
        }
        write(file("mask.i64"), mask, u64::to_le_bytes);
        let layout = header.layout().bodies;
        let body = (0..inputs)
            .flat_map(|f| (0..records).map(move |r| (r, f)))
            .map(|(r, f)| entry(payload, &layout, r, f));
        write(file("body.i64"), body, u64::to_le_bytes);
        let activations = activations.to_records().into_iter().map(i32::from);
        write(file("x.i32"), activations, i32::to_le_bytes);
        write(file("w.i8"), weights, i8::to_le_bytes);
        let (header, payload) = BlockHeader::parse(&result).unwrap();
        let layout = header.layout();
        let (mask, bodies) = payload.split_at(layout.mask.bytes());
        for (name, part, layout) in [
            ("out_mask.i64", mask, layout.mask),
            ("out_body.i64", bodies, layout.bodies),
        ] {
            let entries = (0..outputs)
                .flat_map(|j| (0..layout.rows).map(move |r| (r, j)))
                .map(|(r, j)| entry(part, &layout, r, j));
            write(file(name), entries, u64::to_le_bytes);
        }
        let verdict = run_oracle("check_blocks.py", &directory, &[]);
        assert!(verdict.starts_with("ok\n"), "{verdict}");
        assert!(verdict.contains("\"evaluated\": true"), "{verdict}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

#[test]
fn we_evaluate_and_decrypt_what_the_reference_encrypts() {
    for (k, n, limbs, records, inputs, outputs) in CASES {
        let directory = scratch("theirs");
        let bodies = records.div_ceil(n);
        let message_bits = 18;
        let options = [
            ("--k", k),
            ("--N", n),
            ("--limbs", limbs),
            ("--output-limbs", limbs),
            ("--message-bits", message_bits),
            ("--bodies", bodies),
            ("--records", records),
            ("--d-in", inputs),
            ("--d-out", outputs),
        ]
        .map(|(name, value)| format!("{name}={value}"));
        run_oracle("make_case.py", &directory, &options);
        let file = |name: &str| directory.join(name);
        let mask = read(file("mask.i64"), u64::from_le_bytes);
        let body = read(file("body.i64"), u64::from_le_bytes);
        let weights = read(file("w.i8"), i8::from_le_bytes);
        let out_mask = read(file("out_mask.i64"), u64::from_le_bytes);
        let out_body = read(file("out_body.i64"), u64::from_le_bytes);
        let accumulators = read(file("acc.i64"), i64::from_le_bytes);

        // Our kernels on the reference's ciphertexts, a full panel at a time.
        let rows_in = |row: usize, feature: usize| {
            if row < k * n {
                mask[feature * k * n + row]
            } else {
                body[feature * records + row - k * n]
            }
        };
        let rows_out = |row: usize, output: usize| {
            if row < k * n {
                out_mask[output * k * n + row]
            } else {
                out_body[output * records + row - k * n]
            }
        };
        let layout = |features: usize| PanelLayout {
            rows: PANEL_ROWS,
            features,
            limbs,
        };
        for first in (0..(k * n + records) / PANEL_ROWS * PANEL_ROWS).step_by(PANEL_ROWS) {
            let mut panel = vec![0u8; layout(inputs).bytes()];
            let mut expected = vec![0u8; layout(outputs).bytes()];
            for row in 0..PANEL_ROWS {
                for feature in 0..inputs {
                    let value = rows_in(first + row, feature);
                    set_entry(&mut panel, &layout(inputs), row, feature, value);
                }
                for output in 0..outputs {
                    let value = rows_out(first + row, output);
                    set_entry(&mut expected, &layout(outputs), row, output, value);
                }
            }
            for kernel in Kernel::available() {
                let mut product = vec![0u8; expected.len()];
                let mut scratch = Scratch::default();
                PreparedWeights::new(kernel, &weights, inputs, outputs).multiply_panel(
                    &panel,
                    limbs,
                    &mut product,
                    limbs,
                    &mut scratch,
                );
                assert!(product == expected, "{kernel:?}, rows from {first}");
            }
        }

        // Our decryption of the reference's result, under the reference's key.
        let parameters = PackedParameters {
            glwe_dimension: k,
            polynomial_size: n,
            limbs,
            body_limbs: limbs,
            output_limbs: limbs,
            output_body_limbs: limbs,
            message_bits,
            bodies,
            summands: 1,
            flooding: 0,
        };
        let key =
            ClientKey::decode(&key_file(&parameters, &read(file("secret.u8"), |[b]| b))).unwrap();
        let client = ModuleClient::new(
            ModuleSpec {
                circuit: [0; 32],
                parameters,
                inputs,
                outputs,
                quantizer: Quantizer {
                    activation_bits: 8,
                    static_scale: 0.0,
                    message_bits,
                    norms: WeightNorms {
                        max_l1: 1,
                        max_l2_squared: 1,
                        max_abs: 1,
                    },
                },
                dequantizer: Dequantizer {
                    weight_scales: vec![1.0; outputs],
                    bias: vec![],
                },
            },
            Some(&key),
        )
        .unwrap();
        let header = BlockHeader::of(
            BlockKind::Results,
            &parameters,
            [0; 32],
            *key.id(),
            outputs,
            records,
            0,
        );
        let layout = header.layout();
        let mut block = vec![0u8; HEADER_BYTES + layout.bytes()];
        let (mask, bodies) = block[HEADER_BYTES..].split_at_mut(layout.mask.bytes());
        for (part, layout, first) in [(mask, layout.mask, 0), (bodies, layout.bodies, k * n)] {
            for row in 0..layout.rows {
                for output in 0..outputs {
                    let value = rows_out(first + row, output);
                    set_entry(part, &layout, row, output, value);
                }
            }
        }
        header.seal(&mut block);
        assert!(client.decrypt(&block).unwrap() == accumulators);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

/// A key file with given secret bits, one a byte.
fn key_file(parameters: &PackedParameters, secret: &[u8]) -> Vec<u8> {
    let mut bytes = b"FHEK\x02\x00\x01\x00".to_vec();
    bytes.extend([5; 16]);
    bytes.extend([0; 32]);
    for field in [
        parameters.glwe_dimension,
        parameters.polynomial_size,
        parameters.limbs,
        parameters.bodies,
    ] {
        bytes.extend((field as u32).to_le_bytes());
    }
    bytes.extend(
        secret
            .chunks(8)
            .map(|bits| bits.iter().rev().fold(0u8, |byte, bit| byte << 1 | bit)),
    );
    // No LWE keys.
    bytes.extend([0; 4]);
    let checksum = crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}
