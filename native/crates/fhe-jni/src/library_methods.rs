//! Native methods about the library itself, parameters and circuit files.

use fhe_core::Result;
use fhe_core::noise::{self, ColumnNorms, OutputNoise};
use fhe_core::parameters::PackedParameters;
use fhe_server::Kernel;
use jni::JNIEnv;
use jni::objects::{JByteArray, JClass, JIntArray, JString};
use jni::sys::{jbyteArray, jdouble, jint, jlong, jstring};

use crate::arrays;
use crate::call::call;
use crate::handles::{
    CIRCUITS, EVALUATION_KEYS, KEYS, LEVELED_CIRCUITS, LEVELED_CLIENTS, LOOKUP_CIRCUITS,
    LOOKUP_CLIENTS, MASKS, MODULES, ORDERS, PUBLIC_KEYS,
};

/// Raised whenever a native method changes; `NativeLibrary` refuses another.
const ABI_VERSION: jint = 14;

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_abiVersion(
    _env: JNIEnv,
    _class: JClass,
) -> jint {
    ABI_VERSION
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_kernelName(
    env: JNIEnv,
    _class: JClass,
) -> jstring {
    call(env, |env| {
        let name = env
            .new_string(Kernel::choose()?.name())
            .map_err(arrays::jni_error)?;
        Ok(Pointer(name.into_raw()))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openHandles(
    _env: JNIEnv,
    _class: JClass,
) -> jlong {
    let handles = [
        CIRCUITS.len(),
        KEYS.len(),
        MODULES.len(),
        ORDERS.len(),
        MASKS.len(),
        LOOKUP_CIRCUITS.len(),
        EVALUATION_KEYS.len(),
        LOOKUP_CLIENTS.len(),
        LEVELED_CIRCUITS.len(),
        LEVELED_CLIENTS.len(),
        PUBLIC_KEYS.len(),
    ];
    handles.iter().sum::<usize>() as jlong
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_freshStandardDeviation(
    env: JNIEnv,
    _class: JClass,
    lwe_dimension: jint,
    limbs: jint,
) -> jdouble {
    call(env, |_| {
        noise::fresh_standard_deviation(
            arrays::count(lwe_dimension, "LWE dimension")?,
            arrays::count(limbs, "limbs")?,
        )
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_leastFlooding(
    env: JNIEnv,
    _class: JClass,
    lwe_dimension: jint,
    limbs: jint,
    most_records: jint,
) -> jint {
    call(env, |_| {
        let least = noise::least_flooding(
            arrays::count(lwe_dimension, "LWE dimension")?,
            arrays::count(limbs, "limbs")?,
            arrays::count(most_records, "most records")?,
        )?;
        Ok(least as jint)
    })
}

/// log2 of the failure probability of an accumulator, given the largest ‖W_j‖₁ and ‖W_j‖₂.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_log2FailureProbability<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    parameters: JIntArray<'local>,
    max_l1: jdouble,
    max_l2: jdouble,
) -> jdouble {
    call(env, |env| {
        let parameters = arrays::parameters(&arrays::ints(env, &parameters)?)?;
        let noise = output_noise(&parameters, max_l1, max_l2)?;
        Ok(noise.log2_failure_probability(parameters.message_bits))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_outputStandardDeviation<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    parameters: JIntArray<'local>,
    max_l1: jdouble,
    max_l2: jdouble,
) -> jdouble {
    call(env, |env| {
        let parameters = arrays::parameters(&arrays::ints(env, &parameters)?)?;
        Ok(output_noise(&parameters, max_l1, max_l2)?.standard_deviation)
    })
}

fn output_noise(parameters: &PackedParameters, l1: jdouble, l2: jdouble) -> Result<OutputNoise> {
    OutputNoise::of(parameters, ColumnNorms { l1, l2 })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encodeCircuit<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    parameters: JIntArray<'local>,
    module_key: JString<'local>,
    inputs: jint,
    outputs: jint,
    weights: JByteArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let shape = [inputs, outputs];
        let circuit = arrays::packed_circuit(env, &parameters, &module_key, shape, &weights)?;
        pointer(arrays::new_bytes(env, &circuit.encode()))
    })
    .0
}

/// A JNI object to return, null by default.
pub struct Pointer<T>(pub *mut T);

impl<T> Default for Pointer<T> {
    fn default() -> Self {
        Pointer(std::ptr::null_mut())
    }
}

/// Wraps a JNI object to return.
pub fn pointer<T>(object: Result<*mut T>) -> Result<Pointer<T>> {
    object.map(Pointer)
}
