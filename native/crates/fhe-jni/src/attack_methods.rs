//! Native methods of our own attacks on weights.

use fhe_client::Target;
use fhe_core::Result;
use jni::JNIEnv;
use jni::objects::{JByteArray, JClass, JIntArray};
use jni::sys::{jbyteArray, jint};

use crate::arrays;
use crate::call::call;
use crate::library_methods::{Pointer, pointer};

/// From packed parameters followed by d_in and d_out, and the circuit's digest.
fn target(env: &JNIEnv, fields: &JIntArray, circuit: &JByteArray) -> Result<Target> {
    let fields = arrays::ints(env, fields)?;
    let (parameters, shape) = fields.split_at(fields.len().saturating_sub(2));
    let size = |at: usize, what| arrays::count(shape.get(at).copied().unwrap_or(0), what);
    Target {
        circuit: arrays::fixed_bytes(env, circuit)?,
        parameters: arrays::parameters(parameters)?,
        inputs: size(0, "inputs")?,
        outputs: size(1, "outputs")?,
    }
    .validate()
}

/// Weights of each output that one record of chosen bodies gives.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_attackWeightsPerRecord<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    target: JIntArray<'local>,
    circuit: JByteArray<'local>,
) -> jint {
    call(env, |env| {
        let target = self::target(env, &target, &circuit)?;
        Ok(target.weights_per_record() as jint)
    })
}

/// A public key for blocks under the secret key zero.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_attackPublicKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    target: JIntArray<'local>,
    circuit: JByteArray<'local>,
    key_id: JByteArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let target = self::target(env, &target, &circuit)?;
        let key_id = arrays::fixed_bytes(env, &key_id)?;
        pointer(arrays::new_bytes(env, &target.public_key(key_id)?))
    })
    .0
}

/// A block of chosen bodies.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_attackBlock<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    target: JIntArray<'local>,
    circuit: JByteArray<'local>,
    key_id: JByteArray<'local>,
    records: jint,
) -> jbyteArray {
    call(env, |env| {
        let target = self::target(env, &target, &circuit)?;
        let key_id = arrays::fixed_bytes(env, &key_id)?;
        let records = arrays::count(records, "number of records")?;
        pointer(arrays::new_bytes(env, &target.block(key_id, records)?))
    })
    .0
}

/// Weights `[d_out][d_in]` by elimination on masks, or null.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_attackMasks<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    target: JIntArray<'local>,
    circuit: JByteArray<'local>,
    block: JByteArray<'local>,
    result: JByteArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let target = self::target(env, &target, &circuit)?;
        let block = arrays::bytes(env, &block)?;
        let result = arrays::bytes(env, &result)?;
        match target.weights_of_masks(&block, &result)? {
            Some(weights) => pointer(arrays::new_bytes(env, &unsigned(&weights))),
            None => Ok(Pointer::default()),
        }
    })
    .0
}

/// Weights `[d_out][features]` of the features that records of chosen bodies asked for.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_attackBodies<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    target: JIntArray<'local>,
    circuit: JByteArray<'local>,
    result: JByteArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let target = self::target(env, &target, &circuit)?;
        let weights = target.weights_of_bodies(&arrays::bytes(env, &result)?)?;
        pointer(arrays::new_bytes(env, &unsigned(&weights)))
    })
    .0
}

fn unsigned(weights: &[i8]) -> Vec<u8> {
    weights.iter().map(|&weight| weight as u8).collect()
}
