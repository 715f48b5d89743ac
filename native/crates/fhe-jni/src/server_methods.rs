//! Native methods of the untrusted side.

use fhe_core::{Error, Result};
use fhe_server::{PreparedCircuit, PublicKey};
use jni::JNIEnv;
use jni::objects::{JByteArray, JClass, JIntArray, JObject};
use jni::sys::{jbyteArray, jint, jintArray, jlong, jlongArray};

use crate::arrays;
use crate::blocks::{self, Evaluator, PackedEvaluator};
use crate::call::{call, release};
use crate::handles::{CIRCUITS, MODULES, PUBLIC_KEYS};
use crate::library_methods::pointer;

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteArray<'local>,
) -> jlong {
    call(env, |env| {
        let circuit = PreparedCircuit::open(&arrays::bytes(env, &file)?)?;
        Ok(CIRCUITS.insert(circuit))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeCircuit(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) {
    release(env, || CIRCUITS.remove(circuit));
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openPublicKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteArray<'local>,
) -> jlong {
    call(env, |env| {
        let key = PublicKey::open(&arrays::bytes(env, &file)?)?;
        Ok(PUBLIC_KEYS.insert(key))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closePublicKey(
    env: JNIEnv,
    _class: JClass,
    key: jlong,
) {
    release(env, || PUBLIC_KEYS.remove(key));
}

/// Id of its client key, 16 bytes.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_publicKeyId(
    env: JNIEnv,
    _class: JClass,
    key: jlong,
) -> jbyteArray {
    call(env, |env| {
        let key = PUBLIC_KEYS.get(key)?;
        pointer(arrays::new_bytes(env, key.id()))
    })
    .0
}

/// Packed parameters, d_in, d_out.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_circuitMemory(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jlong {
    call(env, |_| Ok(CIRCUITS.get(circuit)?.memory_bytes() as jlong))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_circuitShape(
    env: JNIEnv,
    _class: JClass,
    circuit: jlong,
) -> jintArray {
    call(env, |env| {
        let circuit = CIRCUITS.get(circuit)?;
        let circuit = circuit.circuit();
        let mut fields = arrays::parameter_fields(&circuit.parameters).to_vec();
        fields.extend([circuit.inputs, circuit.outputs].map(|field| field as i32));
        pointer(arrays::new_ints(env, &fields))
    })
    .0
}

/// Accumulators `[T][d_out]` in clear of integer activations `[T][d_in]`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_accumulate<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    circuit: jlong,
    activations: JIntArray<'local>,
) -> jlongArray {
    call(env, |env| {
        let circuit = CIRCUITS.get(circuit)?;
        let activations = arrays::ints(env, &activations)?;
        if activations.len() % circuit.circuit().inputs != 0 {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {}",
                activations.len(),
                circuit.circuit().inputs
            )));
        }
        pointer(arrays::new_longs(env, &circuit.accumulate(&activations)))
    })
    .0
}

/// Accumulators `[T][d_out]` that an encryption of integer activations `[T][d_in]` would decrypt to.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_simulate<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    circuit: jlong,
    activations: JIntArray<'local>,
) -> jlongArray {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let circuit = CIRCUITS.get(circuit)?;
        let (spec, layer) = (module.spec(), circuit.circuit());
        if &spec.circuit != circuit.digest()
            || (spec.inputs, spec.outputs) != (layer.inputs, layer.outputs)
        {
            return Err(Error::invalid(format!(
                "this module is not of the circuit of {:?}",
                layer.module_key
            )));
        }
        let activations = arrays::ints(env, &activations)?;
        let accumulators = module.simulate(&activations, |entries, products| {
            circuit.multiply_row(entries, products)
        })?;
        pointer(arrays::new_longs(env, &accumulators))
    })
    .0
}

/// The first block of a sum of results, a copy.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_startSum<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    block: JByteArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let sum = fhe_server::start_sum(&arrays::bytes(env, &block)?)?;
        pointer(arrays::new_bytes(env, &sum))
    })
    .0
}

/// Adds a block of results to a sum, in place.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_addToSum<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    sum: JByteArray<'local>,
    block: JByteArray<'local>,
) {
    call(env, |env| {
        if env
            .is_same_object(&sum, &block)
            .map_err(arrays::jni_error)?
        {
            return Err(Error::invalid("a sum cannot be added to itself"));
        }
        arrays::with_bytes(env, &sum, &block, fhe_server::add_to_sum)
    });
}

/// Evaluates a batch of blocks, LargeBinary in and out, through the Arrow C Data Interface.
///
/// Java owns the four structures; the input is moved out and released here, the output is released by
/// the importing Java side. `public_key` is 0 for none. `should_stop` is a `BooleanSupplier`, asked between panels of rows.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluate<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    circuit: jlong,
    public_key: jlong,
    input_array: jlong,
    input_schema: jlong,
    output_array: jlong,
    output_schema: jlong,
    threads: jint,
    should_stop: JObject<'local>,
) {
    call(env, |env| {
        let circuit = CIRCUITS.get(circuit)?;
        let public_key = match public_key {
            0 => None,
            handle => Some(PUBLIC_KEYS.get(handle)?),
        };
        let evaluator = PackedEvaluator {
            circuit: &circuit,
            public_key: public_key.as_deref(),
        };
        let addresses = [input_array, input_schema, output_array, output_schema];
        evaluate_batch(env, &evaluator, addresses, threads, &should_stop)
    });
}

/// Evaluates a batch of blocks; the addresses are those of input array and schema, output array and schema.
pub fn evaluate_batch<E: Evaluator>(
    env: &mut JNIEnv,
    circuit: &E,
    addresses: [jlong; 4],
    threads: jint,
    should_stop: &JObject,
) -> Result<()> {
    if addresses.contains(&0) {
        return Err(Error::Internal("an Arrow structure is null".into()));
    }
    let [input_array, input_schema, output_array, output_schema] = addresses;
    // SAFETY: the Java wrapper, the only caller, passes structures that Arrow's exporter just filled.
    let blocks = unsafe { blocks::import(input_array as *mut _, input_schema as *mut _) }?;
    let threads = arrays::count(threads, "number of threads")?;
    let mut thrown = None;
    let results = blocks::evaluate(circuit, &blocks, threads, &mut || {
        env.call_method(should_stop, "getAsBoolean", "()Z", &[])
            .and_then(|answer| answer.z())
            .unwrap_or_else(|_| {
                thrown = env.exception_occurred().ok();
                // Until all is released: that calls Java, which it may not with an exception pending.
                let _ = env.exception_clear();
                true
            })
    });
    drop(blocks);
    if let Some(thrown) = thrown {
        env.throw(thrown).map_err(arrays::jni_error)?;
    }
    let results = results?;
    // SAFETY: the Java wrapper passes empty structures that it allocated for this call.
    unsafe { blocks::export(results, output_array as *mut _, output_schema as *mut _) }
}
