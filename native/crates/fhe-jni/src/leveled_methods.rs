//! Native methods of leveled circuits.

use fhe_client::{ClientKey, NormalSamples, Outputs, Records};
use fhe_core::{Error, Result};
use fhe_leveled::{
    ActivationForm, LeveledActivation, LeveledCircuit, LeveledClient, LeveledClientKey,
    LeveledLayer, LeveledParameters, LeveledSpec, PreparedLeveledCircuit, RecordBall, SentBlock,
};
use jni::JNIEnv;
use jni::objects::{
    JByteArray, JByteBuffer, JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject,
    JObjectArray, JString,
};
use jni::sys::{jboolean, jbyteArray, jdouble, jdoubleArray, jint, jintArray, jlong};

use crate::arrays;
use crate::blocks::LeveledEvaluator;
use crate::call::{call, release};
use crate::evaluation_keys::progress_of;
use crate::handles::{EVALUATION_KEYS, KEYS, LEVELED_CIRCUITS, LEVELED_CLIENTS};
use crate::library_methods::pointer;
use crate::rows;
use crate::server_methods::evaluate_batch;

/// A client of a leveled circuit: what normalises its records and what outputs are worth.
pub struct LeveledModule {
    client: LeveledClient,
    key: Option<LeveledClientKey>,
    ball: RecordBall,
    output_ranges: Vec<f64>,
}

/// The next `count` of some values.
fn split<'a, T>(values: &mut &'a [T], count: usize, what: &str) -> Result<&'a [T]> {
    let (first, rest) = values
        .split_at_checked(count)
        .ok_or_else(|| Error::invalid(format!("a leveled chain lacks {what}")))?;
    *values = rest;
    Ok(first)
}

fn exhausted<T>(values: &[T], what: &str) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a leveled chain has {what} left over"
    )))
}

/// Forms and degrees from the two of each activation.
fn activation_fields(fields: &[i32]) -> Result<Vec<(ActivationForm, usize)>> {
    let (pairs, []) = fields.as_chunks::<2>() else {
        return Err(Error::Internal("an activation has two fields".into()));
    };
    pairs
        .iter()
        .map(|&[form, degree]| {
            let form = match form {
                0 => ActivationForm::General,
                1 => ActivationForm::EvenPlusLinear,
                _ => return Err(Error::Internal(format!("activation form {form}"))),
            };
            Ok((form, arrays::count(degree, "degree of an activation")?))
        })
        .collect()
}

fn parameters(env: &JNIEnv, fields: &JIntArray) -> Result<LeveledParameters> {
    parameters_of(&arrays::ints(env, fields)?)
}

/// n and levels.
pub fn parameters_of(fields: &[i32]) -> Result<LeveledParameters> {
    match *fields {
        [polynomial_size, levels] => LeveledParameters {
            polynomial_size: arrays::count(polynomial_size, "polynomial size")?,
            levels: arrays::count(levels, "number of levels")?,
        }
        .validate(),
        _ => Err(Error::Internal("leveled parameters have 2 fields".into())),
    }
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encodeLeveledCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    parameters: JIntArray<'local>,
    module_key: JString<'local>,
    inputs: jint,
    outputs: JIntArray<'local>,
    weights: JByteArray<'local>,
    multipliers: JDoubleArray<'local>,
    biases: JDoubleArray<'local>,
    activations: JIntArray<'local>,
    coefficients: JDoubleArray<'local>,
    linear: JDoubleArray<'local>,
    input_scale: jdouble,
    output_scale: jdouble,
) -> jbyteArray {
    call(env, |env| {
        let inputs = arrays::count(inputs, "number of inputs")?;
        let outputs = arrays::ints(env, &outputs)?;
        let weights = arrays::signed_bytes(env, &weights)?;
        let multipliers = arrays::doubles(env, &multipliers)?;
        let biases = arrays::doubles(env, &biases)?;
        let fields = activation_fields(&arrays::ints(env, &activations)?)?;
        let coefficients = arrays::doubles(env, &coefficients)?;
        let linear = arrays::doubles(env, &linear)?;

        let (mut weights, mut multipliers, mut biases) =
            (&weights[..], &multipliers[..], &biases[..]);
        let mut layers = Vec::new();
        let mut width = inputs;
        for &outputs in &outputs {
            let outputs = arrays::count(outputs, "number of outputs")?;
            let count = outputs
                .checked_mul(width)
                .ok_or_else(|| Error::invalid("a leveled layer is too large"))?;
            layers.push(LeveledLayer {
                outputs,
                weights: split(&mut weights, count, "weights")?.to_vec(),
                multipliers: split(&mut multipliers, outputs, "multipliers")?.to_vec(),
                biases: split(&mut biases, outputs, "biases")?.to_vec(),
            });
            width = outputs;
        }
        exhausted(weights, "weights")?;
        exhausted(multipliers, "multipliers")?;
        exhausted(biases, "biases")?;

        let (mut coefficients, mut linear) = (&coefficients[..], &linear[..]);
        let mut activations = Vec::new();
        for (layer, (form, degree)) in layers.iter().zip(fields) {
            let neurons = layer.outputs;
            let count = degree
                .checked_add(1)
                .and_then(|count| count.checked_mul(neurons))
                .ok_or_else(|| Error::invalid("an activation's degree is too large"))?;
            let slopes = if form == ActivationForm::EvenPlusLinear {
                neurons
            } else {
                0
            };
            activations.push(LeveledActivation {
                form,
                degree,
                coefficients: split(&mut coefficients, count, "coefficients")?.to_vec(),
                linear: split(&mut linear, slopes, "linear terms")?.to_vec(),
            });
        }
        exhausted(coefficients, "coefficients")?;
        exhausted(linear, "linear terms")?;

        let circuit = LeveledCircuit {
            parameters: self::parameters(env, &parameters)?,
            module_key: arrays::string(env, &module_key)?,
            inputs,
            layers,
            activations,
            input_scale,
            output_scale,
        }
        .validate()?;
        pointer(arrays::new_bytes(env, &circuit.encode()))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openLeveledCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteArray<'local>,
) -> jlong {
    call(env, |env| {
        let circuit = PreparedLeveledCircuit::open(&arrays::bytes(env, &file)?)?;
        Ok(LEVELED_CIRCUITS.insert(circuit))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeLeveledCircuit(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) {
    release(env, || LEVELED_CIRCUITS.remove(circuit));
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledCircuitMemory(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jlong {
    call(env, |_| {
        Ok(LEVELED_CIRCUITS.get(circuit)?.memory_bytes() as jlong)
    })
}

/// n, levels, d_in, d_out.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledCircuitShape(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jintArray {
    call(env, |env| {
        let circuit = LEVELED_CIRCUITS.get(circuit)?;
        let circuit = circuit.circuit();
        let shape = [
            circuit.parameters.polynomial_size,
            circuit.parameters.levels,
            circuit.inputs,
            circuit.outputs(),
        ];
        pointer(arrays::new_ints(env, &shape.map(|field| field as i32)))
    })
    .0
}

/// Outputs `[T][d_out]` of normalised records `[T][d_in]`, exact or with the noise that is predicted.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledInClear<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    circuit: jlong,
    records: JDoubleArray<'local>,
    is_simulated: jboolean,
) -> jdoubleArray {
    call(env, |env| {
        let circuit = LEVELED_CIRCUITS.get(circuit)?;
        let records = arrays::doubles(env, &records)?;
        let results = if is_simulated != 0 {
            let mut samples = NormalSamples::new()?;
            circuit.evaluate_in_clear(&records, Some(&mut || samples.next_sample()))?
        } else {
            circuit.evaluate_in_clear(&records, None)?
        };
        pointer(arrays::new_doubles(env, &results))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledLevelsNeeded<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    activations: JIntArray<'local>,
) -> jint {
    call(env, |env| {
        let activations = activation_fields(&arrays::ints(env, &activations)?)?;
        Ok(fhe_leveled::levels_needed(&activations) as jint)
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledMaxLevels(
    env: JNIEnv,
    _class: JClass,
    polynomial_size: jint,
) -> jint {
    call(env, |_| {
        let polynomial_size = arrays::count(polynomial_size, "polynomial size")?;
        Ok(fhe_leveled::max_levels(polynomial_size).unwrap_or(0) as jint)
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledLargestModulusBits(
    env: JNIEnv,
    _class: JClass,
    polynomial_size: jint,
) -> jint {
    call(env, |_| {
        let polynomial_size = arrays::count(polynomial_size, "polynomial size")?;
        Ok(fhe_leveled::largest_modulus_bits(polynomial_size).unwrap_or(0) as jint)
    })
}

/// Standard deviation of the noise of a fresh ciphertext, in units of inputs.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledInputNoise(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jdouble {
    call(env, |_| {
        Ok(LEVELED_CIRCUITS.get(circuit)?.input_noise_deviation())
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledNominalScale(
    _env: JNIEnv,
    _class: JClass,
) -> jdouble {
    fhe_leveled::nominal_scale()
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledLargestOutputScale(
    env: JNIEnv,
    _class: JClass,
    polynomial_size: jint,
) -> jdouble {
    call(env, |_| {
        let polynomial_size = arrays::count(polynomial_size, "polynomial size")?;
        Ok(fhe_leveled::largest_output_scale(polynomial_size))
    })
}

/// As [`Java_org_fhespark_nativelib_FheNative_evaluate`](crate::server_methods), with a relinearisation key.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluateLeveled<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    circuit: jlong,
    keys: jlong,
    input_array: jlong,
    input_schema: jlong,
    output_array: jlong,
    output_schema: jlong,
    threads: jint,
    should_stop: JObject<'local>,
) {
    call(env, |env| {
        let circuit = LEVELED_CIRCUITS.get(circuit)?;
        let keys = EVALUATION_KEYS.get(keys)?;
        let evaluator = LeveledEvaluator {
            circuit: &circuit,
            key: keys.relinearization()?,
        };
        let addresses = [input_array, input_schema, output_array, output_schema];
        evaluate_batch(env, &evaluator, addresses, threads, &should_stop)
    });
}

/// Makes the file of a relinearisation key; `progress` is a `DoubleConsumer` that is given the share done.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_makeRelinearizationKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    parameters: JIntArray<'local>,
    threads: jint,
    progress: JObject<'local>,
) -> jbyteArray {
    call(env, |env| {
        let key = KEYS.get(key)?;
        let parameters = self::parameters(env, &parameters)?;
        let threads = arrays::count(threads, "number of threads")?;
        let secret = client_key(&key, parameters.polynomial_size)?;
        let file = secret.relinearization_key(
            parameters.levels,
            threads,
            &mut progress_of(env, &progress),
        )?;
        pointer(arrays::new_bytes(env, &file))
    })
    .0
}

fn client_key(key: &ClientKey, polynomial_size: usize) -> Result<LeveledClientKey> {
    LeveledClientKey::derive(
        &*key.ring_seed(polynomial_size)?,
        *key.id(),
        polynomial_size,
    )
}

/// Opens the client's side with a key, or (key 0) without one, for what needs no encryption.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openLeveledClient<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    circuit: JByteArray<'local>,
    parameters: JIntArray<'local>,
    scales: JDoubleArray<'local>,
    center: JFloatArray<'local>,
    spread: JFloatArray<'local>,
    output_ranges: JDoubleArray<'local>,
) -> jlong {
    call(env, |env| {
        let parameters = self::parameters(env, &parameters)?;
        let &[input_scale, output_scale, radius] = &arrays::doubles(env, &scales)?[..] else {
            return Err(Error::Internal("a leveled client has three scales".into()));
        };
        let spread = arrays::floats(env, &spread)?;
        let ball = RecordBall::new(arrays::floats(env, &center)?, &spread, radius)?;
        let output_ranges = arrays::doubles(env, &output_ranges)?;
        let spec = LeveledSpec {
            circuit: arrays::fixed_bytes(env, &circuit)?,
            parameters,
            inputs: ball.inputs(),
            outputs: output_ranges.len(),
            input_scale,
            output_scale,
        };
        let key = if key == 0 {
            None
        } else {
            Some(client_key(&*KEYS.get(key)?, parameters.polynomial_size)?)
        };
        Ok(LEVELED_CLIENTS.insert(LeveledModule {
            client: LeveledClient::new(spec)?,
            key,
            ball,
            output_ranges,
        }))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeLeveledClient(
    env: JNIEnv,
    _class: JClass,
    client: jlong,
) {
    release(env, || LEVELED_CLIENTS.remove(client));
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leveledBlockBytes(
    env: JNIEnv,
    _class: JClass,
    client: jlong,
) -> jint {
    call(env, |_| {
        let bytes = LEVELED_CLIENTS.get(client)?.client.block_bytes();
        jint::try_from(bytes)
            .map_err(|_| Error::invalid(format!("a leveled block of {bytes} bytes is too large")))
    })
}

impl LeveledModule {
    fn key(&self) -> Result<&LeveledClientKey> {
        self.key
            .as_ref()
            .ok_or_else(|| Error::invalid("a leveled circuit needs the client key for this"))
    }

    /// Normalised records `[T][d_in]` and their factors `[T]`.
    fn normalize(&self, records: &Records) -> Result<(Vec<f64>, Vec<f32>)> {
        let rows = records.as_rows()?;
        let mut normalized = fhe_core::memory::zeros(rows.len() * self.ball.inputs())?;
        let places = normalized.chunks_exact_mut(self.ball.inputs());
        let factors: Result<Vec<f32>> = rows
            .iter()
            .zip(places)
            .enumerate()
            .map(|(record, (row, place))| {
                self.ball
                    .normalize(row, place)
                    .map_err(|error| match error {
                        Error::InvalidInput(message) => {
                            Error::invalid(format!("record {record}: {message}"))
                        }
                        other => other,
                    })
            })
            .collect();
        Ok((normalized, factors?))
    }

    /// Writes outputs `[T][d_out]`, in units of their ranges.
    fn write<V: Copy + Into<f64>>(&self, results: &[V], out: Outputs<f32>) -> Result<()> {
        let outputs = self.output_ranges.len();
        if out.columns() != outputs || out.records() * outputs != results.len() {
            return Err(Error::invalid(format!(
                "places for {} records of {} outputs where {} of {outputs} are expected",
                out.records(),
                out.columns(),
                results.len() / outputs
            )));
        }
        out.fill(|output, values| {
            let range = self.output_ranges[output];
            let results = results[output..].iter().step_by(outputs);
            for (value, result) in values.iter_mut().zip(results) {
                *value = ((*result).into() * range) as f32;
            }
        });
        Ok(())
    }
}

/// Normalised records; writes their factors.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_normalizeLeveled<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
    unfolding: JIntArray<'local>,
    factors: JFloatArray<'local>,
) -> jdoubleArray {
    call(env, |env| {
        let client = LEVELED_CLIENTS.get(client)?;
        let inputs = client.ball.inputs();
        let records = rows::records(env, inputs, &buffers, &runs, &unfolding)?;
        let (normalized, found) = client.normalize(&records)?;
        arrays::write_floats(env, &factors, &found)?;
        pointer(arrays::new_doubles(env, &normalized))
    })
    .0
}

/// Encrypts records to a block; writes their factors.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encryptLeveled<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
    unfolding: JIntArray<'local>,
    factors: JFloatArray<'local>,
    block_number: jlong,
    block: JByteBuffer<'local>,
) {
    call(env, |env| {
        let client = LEVELED_CLIENTS.get(client)?;
        let inputs = client.ball.inputs();
        let records = rows::records(env, inputs, &buffers, &runs, &unfolding)?;
        let (normalized, found) = client.normalize(&records)?;
        let normalized: Vec<f32> = normalized.into_iter().map(|value| value as f32).collect();
        let block = arrays::byte_buffer_mut(env, &block)?;
        client
            .client
            .encrypt_into(client.key()?, &normalized, block_number as u64, block)?;
        arrays::write_floats(env, &factors, &found)
    });
}

/// Decrypts a block of results to the places of its floats.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptLeveled<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    block: JByteBuffer<'local>,
    block_number: jlong,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let client = LEVELED_CLIENTS.get(client)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        let block = arrays::byte_buffer(env, &block)?;
        let sent = SentBlock {
            number: block_number as u64,
            records: out.records(),
        };
        let results = client.client.decrypt(client.key()?, &sent, block)?;
        client.write(&results, out)
    });
}

/// Writes outputs in units of their ranges.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_writeLeveled<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    results: JDoubleArray<'local>,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let client = LEVELED_CLIENTS.get(client)?;
        let results = arrays::doubles(env, &results)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        client.write(&results, out)
    });
}
