//! Native methods of circuits with look-ups.

use fhe_client::{LookupClient, LookupResultsSpec, NormalSamples};
use fhe_core::Error;
use fhe_core::bootstrap::{
    Amplification, BootstrapCircuit, CircuitAmplification, CircuitNoise, LookupRange, NoiseTarget,
    SearchRequest,
};
use fhe_server::PreparedBootstrapCircuit;
use jni::JNIEnv;
use jni::objects::{
    JByteArray, JByteBuffer, JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject,
    JObjectArray, JString,
};
use jni::sys::{jboolean, jbyteArray, jdoubleArray, jint, jintArray, jlong, jlongArray};

use crate::arrays;
use crate::blocks::KeyedCircuit;
use crate::call::{call, release};
use crate::handles::{EVALUATION_KEYS, KEYS, LOOKUP_CIRCUITS, LOOKUP_CLIENTS};
use crate::library_methods::pointer;
use crate::lookup_steps::{counts, steps};
use crate::rows;
use crate::server_methods::evaluate_batch;

/// `tables` is one after the other; for `step_integers` and `step_words` see [`steps`].
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encodeLookupCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    packed: JIntArray<'local>,
    parameters: JIntArray<'local>,
    module_key: JString<'local>,
    inputs: jint,
    packed_outputs: jint,
    weights: JByteArray<'local>,
    tables: JLongArray<'local>,
    step_integers: JIntArray<'local>,
    step_words: JLongArray<'local>,
    outputs: JIntArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let parameters = arrays::bootstrap_parameters(&arrays::ints(env, &parameters)?)?;
        let shape = [inputs, packed_outputs];
        let packed = arrays::packed_circuit(env, &packed, &module_key, shape, &weights)?;
        let tables = arrays::longs(env, &tables)?
            .chunks(parameters.polynomial_size)
            .map(|table| table.iter().map(|&entry| entry as u64).collect())
            .collect();
        let step_integers = arrays::ints(env, &step_integers)?;
        let circuit = BootstrapCircuit {
            packed,
            parameters,
            tables,
            steps: steps(&step_integers, &arrays::longs(env, &step_words)?)?,
            outputs: counts(&arrays::ints(env, &outputs)?, "an output")?,
        }
        .validate()?;
        pointer(arrays::new_bytes(env, &circuit.encode()))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openLookupCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteArray<'local>,
) -> jlong {
    call(env, |env| {
        let circuit = PreparedBootstrapCircuit::open(&arrays::bytes(env, &file)?)?;
        Ok(LOOKUP_CIRCUITS.insert(circuit))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeLookupCircuit(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) {
    release(env, || LOOKUP_CIRCUITS.remove(circuit));
}

/// Nine packed parameters, eight bootstrap parameters, d_in, outputs of the packed layer, outputs, look-ups.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_lookupCircuitMemory(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jlong {
    call(env, |_| {
        Ok(LOOKUP_CIRCUITS.get(circuit)?.memory_bytes() as jlong)
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_lookupCircuitShape(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jintArray {
    call(env, |env| {
        let circuit = LOOKUP_CIRCUITS.get(circuit)?;
        let circuit = circuit.circuit();
        let mut fields = arrays::parameter_fields(&circuit.packed.parameters).to_vec();
        fields.extend(circuit.parameters.fields().map(|field| field as i32));
        fields.extend(
            [
                circuit.packed.inputs,
                circuit.packed.outputs,
                circuit.outputs.len(),
                circuit.lookups(),
            ]
            .map(|field| field as i32),
        );
        pointer(arrays::new_ints(env, &fields))
    })
    .0
}

/// Phases `[T][outputs]` of integer activations `[T][d_in]`, exact or with the noise that is predicted, and how
/// many arguments of look-ups were out of their range: `reaches` and `whole_turns`, of each look-up, or empty.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_lookupPhases<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    circuit: jlong,
    activations: JIntArray<'local>,
    is_simulated: jboolean,
    reaches: JDoubleArray<'local>,
    whole_turns: JIntArray<'local>,
) -> jlongArray {
    call(env, |env| {
        let circuit = LOOKUP_CIRCUITS.get(circuit)?;
        let reaches = arrays::doubles(env, &reaches)?;
        let whole_turns = arrays::ints(env, &whole_turns)?;
        let lookups = circuit.circuit().lookups();
        if reaches.len() != whole_turns.len() || !(reaches.is_empty() || reaches.len() == lookups) {
            return Err(Error::invalid(format!(
                "ranges of {} and whole turns of {} look-ups, of {lookups} that the circuit has",
                reaches.len(),
                whole_turns.len()
            )));
        }
        let ranges: Vec<LookupRange> = reaches
            .into_iter()
            .zip(whole_turns)
            .map(|(reach, whole_turns)| LookupRange { reach, whole_turns })
            .collect();
        let accumulators = circuit.accumulate(&arrays::ints(env, &activations)?)?;
        let circuit = circuit.circuit();
        let mut results = if is_simulated != 0 {
            let mut samples = NormalSamples::new()?;
            circuit.simulate(&accumulators, &ranges, &mut || samples.next_sample())?
        } else {
            circuit.evaluate_in_clear(&accumulators, &ranges)
        };
        results.phases.push(results.outside as i64);
        pointer(arrays::new_longs(env, &results.phases))
    })
    .0
}

/// Standard deviations of the noise: of the packed layer's outputs, of each step, of the outputs.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_lookupNoise(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jdoubleArray {
    call(env, |env| {
        let circuit = LOOKUP_CIRCUITS.get(circuit)?;
        let noise = CircuitNoise::of(circuit.circuit())?;
        let mut deviations = vec![noise.packed];
        deviations.extend(noise.steps);
        deviations.push(noise.outputs);
        pointer(arrays::new_doubles(env, &deviations))
    })
    .0
}

/// Amplifications, packed and look-ups, of the packed layer's outputs, of each step, of the outputs.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_amplifications<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    inputs: jint,
    weights: JByteArray<'local>,
    step_integers: JIntArray<'local>,
    step_words: JLongArray<'local>,
    outputs: JIntArray<'local>,
) -> jdoubleArray {
    call(env, |env| {
        let inputs = arrays::count(inputs, "inputs")?.max(1);
        let weights = arrays::signed_bytes(env, &weights)?;
        let step_integers = arrays::ints(env, &step_integers)?;
        let steps = steps(&step_integers, &arrays::longs(env, &step_words)?)?;
        let outputs = counts(&arrays::ints(env, &outputs)?, "an output")?;
        BootstrapCircuit::check_steps(weights.len() / inputs, &steps, &outputs)?;
        let found = CircuitAmplification::of(inputs, &weights, &steps, &outputs);
        let all: Vec<f64> = [found.packed]
            .into_iter()
            .chain(found.steps)
            .chain([found.outputs])
            .flat_map(|amplification| [amplification.packed, amplification.lookups])
            .collect();
        pointer(arrays::new_doubles(env, &all))
    })
    .0
}

/// As [`Java_org_fhespark_nativelib_FheNative_evaluate`](crate::server_methods), with an evaluation key.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluateLookups<'local>(
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
        let circuit = LOOKUP_CIRCUITS.get(circuit)?;
        let keys = EVALUATION_KEYS.get(keys)?;
        let keyed = KeyedCircuit {
            circuit: &circuit,
            keys: keys.bootstrap()?,
        };
        let addresses = [input_array, input_schema, output_array, output_schema];
        evaluate_batch(env, &keyed, addresses, threads, &should_stop)
    });
}

/// Opens the client's side of results with a key, or (key 0) without one, for dequantisation only.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openLookupClient<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    circuit: JByteArray<'local>,
    parameters: JIntArray<'local>,
    scales: JDoubleArray<'local>,
    bias: JFloatArray<'local>,
) -> jlong {
    call(env, |env| {
        let spec = LookupResultsSpec {
            circuit: arrays::fixed_bytes(env, &circuit)?,
            parameters: arrays::bootstrap_parameters(&arrays::ints(env, &parameters)?)?,
            scales: arrays::doubles(env, &scales)?,
            bias: arrays::floats(env, &bias)?,
        };
        let key = if key == 0 { None } else { Some(KEYS.get(key)?) };
        Ok(LOOKUP_CLIENTS.insert(LookupClient::new(spec, key.as_deref())?))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeLookupClient(
    env: JNIEnv,
    _class: JClass,
    client: jlong,
) {
    release(env, || LOOKUP_CLIENTS.remove(client));
}

/// Phases `[T][outputs]` of a block of results.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptPhases<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    block: JByteArray<'local>,
    block_number: jlong,
) -> jlongArray {
    call(env, |env| {
        let client = LOOKUP_CLIENTS.get(client)?;
        let block = arrays::bytes(env, &block)?;
        let phases = client.decrypt(&block, block_number as u64, 1)?;
        pointer(arrays::new_longs(env, &phases))
    })
    .0
}

/// Decrypts and dequantises a block of results to the places of its floats; gives the number of outputs near the
/// ends of their range.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptLookups<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    block: JByteBuffer<'local>,
    block_number: jlong,
    threads: jint,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) -> jlong {
    call(env, |env| {
        let client = LOOKUP_CLIENTS.get(client)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        let block = arrays::byte_buffer(env, &block)?;
        let threads = arrays::count(threads, "number of threads")?;
        Ok(client.decrypt_to_floats(block, block_number as u64, threads, out)? as jlong)
    })
}

/// Floats of phases `[T][outputs]`; gives the number of outputs near the ends of their range.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_dequantizePhases<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client: jlong,
    phases: JLongArray<'local>,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) -> jlong {
    call(env, |env| {
        let client = LOOKUP_CLIENTS.get(client)?;
        let phases = arrays::longs(env, &phases)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        Ok(client.dequantize(&phases, out)? as jlong)
    })
}

/// `shape` is p, d_in, outputs of the packed layer, outputs, look-ups; `targets` of each step of look-ups and of
/// the outputs the amplifications of packed and of look-ups' noise, and the variance. Gives eight packed
/// parameters, eight bootstrap parameters, milliseconds a look-up, candidates, and a deviation for each target.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_searchBootstrap<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    shape: JLongArray<'local>,
    targets: JDoubleArray<'local>,
) -> jdoubleArray {
    call(env, |env| {
        let shape = arrays::longs(env, &shape)?;
        let targets = arrays::doubles(env, &targets)?;
        let (
            &[
                message_bits,
                inputs,
                packed_outputs,
                output_count,
                lookup_count,
            ],
            (targets, []),
        ) = (&shape[..], targets.as_chunks::<3>())
        else {
            return Err(Error::Internal("a request for parameters is cut".into()));
        };
        let count = |value: i64| {
            usize::try_from(value).map_err(|_| {
                Error::invalid(format!("parameters are wanted for {value} of something"))
            })
        };
        let target = |&[packed, lookups, variance]: &[f64; 3]| NoiseTarget {
            amplification: Amplification { packed, lookups },
            variance,
        };
        let Some((outputs, lookups)) = targets.split_last() else {
            return Err(Error::Internal("a request without a target".into()));
        };
        let choice = SearchRequest {
            lookups: lookups.iter().map(target).collect(),
            outputs: target(outputs),
            message_bits: count(message_bits)?,
            inputs: count(inputs)?,
            packed_outputs: count(packed_outputs)?,
            output_count: count(output_count)?,
            lookup_count: count(lookup_count)?,
        }
        .search()?;
        let mut found: Vec<f64> = arrays::parameter_fields(&choice.packed)
            .map(f64::from)
            .to_vec();
        found.extend(choice.parameters.fields().map(f64::from));
        found.extend([1e3 * choice.seconds_per_lookup, choice.candidates as f64]);
        found.extend(choice.lookup_deviations);
        found.push(choice.output_deviation);
        pointer(arrays::new_doubles(env, &found))
    })
    .0
}
