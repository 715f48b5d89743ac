//! Native methods of the data owner's side.

use std::path::Path;

use fhe_client::{
    ClientKey, Dequantizer, ModuleClient, ModuleSpec, Passphrase, Quantizer, SecretKeyShape,
    WeightNorms,
};
use fhe_core::{Error, Result};
use jni::JNIEnv;
use jni::objects::{
    JByteArray, JByteBuffer, JClass, JFloatArray, JIntArray, JLongArray, JObjectArray, JString,
};
use jni::sys::{jbyteArray, jfloat, jint, jintArray, jlong, jlongArray};

use crate::arrays;
use crate::call::{call, release};
use crate::handles::{KEYS, MODULES};
use crate::library_methods::pointer;
use crate::rows;

/// `shapes` is k, N, limbs, K for each set; `lwe_dimensions` those of the secrets that look-ups need,
/// `ring_degrees` those of leveled circuits.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_generateKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    client_id: JByteArray<'local>,
    shapes: JIntArray<'local>,
    lwe_dimensions: JIntArray<'local>,
    ring_degrees: JIntArray<'local>,
) -> jlong {
    call(env, |env| {
        let client_id = arrays::fixed_bytes(env, &client_id)?;
        let shapes = arrays::ints(env, &shapes)?
            .chunks(4)
            .map(secret_key_shape)
            .collect::<Result<Vec<_>>>()?;
        let lwe_dimensions = arrays::ints(env, &lwe_dimensions)?
            .into_iter()
            .map(|dimension| arrays::count(dimension, "LWE dimension"))
            .collect::<Result<Vec<_>>>()?;
        let ring_degrees = arrays::ints(env, &ring_degrees)?
            .into_iter()
            .map(|degree| arrays::count(degree, "ring degree"))
            .collect::<Result<Vec<_>>>()?;
        let key =
            ClientKey::generate_for_circuits(client_id, &shapes, &lwe_dimensions, &ring_degrees)?;
        Ok(KEYS.insert(key))
    })
}

/// The bytes of a public key for secret keys of these shapes, as of `generateKey`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_makePublicKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    shapes: JIntArray<'local>,
) -> jbyteArray {
    call(env, |env| {
        let key = KEYS.get(key)?;
        let shapes = arrays::ints(env, &shapes)?
            .chunks(4)
            .map(secret_key_shape)
            .collect::<Result<Vec<_>>>()?;
        pointer(arrays::new_bytes(env, &key.public_key(&shapes)?))
    })
    .0
}

/// A shape from k, N, limbs, K.
pub fn secret_key_shape(fields: &[i32]) -> Result<SecretKeyShape> {
    match *fields {
        [k, n, limbs, bodies] => Ok(SecretKeyShape {
            glwe_dimension: arrays::count(k, "GLWE dimension")?,
            polynomial_size: arrays::count(n, "polynomial size")?,
            limbs: arrays::count(limbs, "limbs")?,
            bodies: arrays::count(bodies, "bodies")?,
        }),
        _ => Err(Error::Internal("a secret key shape has 4 fields".into())),
    }
}

/// A passphrase in UTF-8, which Java wipes, or none of a null buffer.
fn passphrase(env: &JNIEnv, text: &JByteBuffer) -> Result<Option<Passphrase>> {
    if text.is_null() {
        return Ok(None);
    }
    Passphrase::new(arrays::byte_buffer(env, text)?).map(Some)
}

/// Reads a key file.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_loadKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JString<'local>,
    passphrase: JByteBuffer<'local>,
) -> jlong {
    call(env, |env| {
        let file = arrays::string(env, &file)?;
        let passphrase = self::passphrase(env, &passphrase)?;
        let key = ClientKey::load(Path::new(&file), passphrase.as_ref())?;
        Ok(KEYS.insert(key))
    })
}

/// Writes a new key file.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_saveKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    file: JString<'local>,
    passphrase: JByteBuffer<'local>,
) {
    call(env, |env| {
        let file = arrays::string(env, &file)?;
        let passphrase = self::passphrase(env, &passphrase)?;
        KEYS.get(key)?.save(Path::new(&file), passphrase.as_ref())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeKey(
    env: JNIEnv,
    _class: JClass,
    key: jlong,
) {
    release(env, || KEYS.remove(key));
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_keyId(
    env: JNIEnv,
    _class: JClass,
    key: jlong,
) -> jbyteArray {
    call(env, |env| {
        pointer(arrays::new_bytes(env, KEYS.get(key)?.id()))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_keyClientId(
    env: JNIEnv,
    _class: JClass,
    key: jlong,
) -> jbyteArray {
    call(env, |env| {
        pointer(arrays::new_bytes(env, KEYS.get(key)?.client_id()))
    })
    .0
}

/// Opens a module with a key, or (key 0) without one, for quantisation only.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openModule<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    circuit: JByteArray<'local>,
    parameters: JIntArray<'local>,
    inputs: jint,
    outputs: jint,
    norms: JLongArray<'local>,
    activation_bits: jint,
    static_scale: jfloat,
    weight_scales: JFloatArray<'local>,
    bias: JFloatArray<'local>,
) -> jlong {
    call(env, |env| {
        let parameters = arrays::parameters(&arrays::ints(env, &parameters)?)?;
        let norms = match arrays::longs(env, &norms)?[..] {
            [l1, l2_squared, abs] if l1 >= 0 && l2_squared >= 0 && abs >= 0 => WeightNorms {
                max_l1: l1 as u64,
                max_l2_squared: l2_squared as u64,
                max_abs: abs as u64,
            },
            ref other => {
                return Err(Error::invalid(format!(
                    "weight norms are {other:?}, must be three counts"
                )));
            }
        };
        let spec = ModuleSpec {
            circuit: arrays::fixed_bytes(env, &circuit)?,
            parameters,
            inputs: arrays::count(inputs, "inputs")?,
            outputs: arrays::count(outputs, "outputs")?,
            quantizer: Quantizer {
                activation_bits: arrays::count(activation_bits, "activation bits")?,
                static_scale,
                message_bits: parameters.message_bits,
                norms,
            },
            dequantizer: Dequantizer {
                weight_scales: arrays::floats(env, &weight_scales)?,
                bias: arrays::floats(env, &bias)?,
            },
        };
        let key = if key == 0 { None } else { Some(KEYS.get(key)?) };
        Ok(MODULES.insert(ModuleClient::new(spec, key.as_deref())?))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeModule(
    env: JNIEnv,
    _class: JClass,
    module: jlong,
) {
    release(env, || MODULES.remove(module));
}

/// Integer activations `[T][d_in]` of float records; writes the scales `[T]`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_quantize<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
    unfolding: JIntArray<'local>,
    scales: JFloatArray<'local>,
) -> jintArray {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let records = rows::records(env, module.spec().inputs, &buffers, &runs, &unfolding)?;
        let (activations, record_scales) = module.quantize(&records)?;
        arrays::write_floats(env, &scales, &record_scales)?;
        let integers: Vec<i32> = activations
            .to_records()
            .into_iter()
            .map(i32::from)
            .collect();
        pointer(arrays::new_ints(env, &integers))
    })
    .0
}

/// Bytes of a block of so many records.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_blockBytes<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    records: jint,
) -> jint {
    call(env, |_| {
        let records = arrays::count(records, "number of records")?;
        let bytes = MODULES.get(module)?.block_bytes(records);
        jint::try_from(bytes).map_err(|_| {
            Error::invalid(format!(
                "an encrypted block of {bytes} bytes exceeds 2 GiB: use smaller blocks"
            ))
        })
    })
}

/// Quantises and encrypts float records to `block`; writes the scales `[T]`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encrypt<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
    unfolding: JIntArray<'local>,
    scales: JFloatArray<'local>,
    block_number: jlong,
    threads: jint,
    block: JByteBuffer<'local>,
) {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let records = rows::records(env, module.spec().inputs, &buffers, &runs, &unfolding)?;
        let mut record_scales = vec![0.0; records.count()];
        module.encrypt_records(
            &records,
            &mut record_scales,
            block_number as u64,
            arrays::count(threads, "number of threads")?,
            arrays::byte_buffer_mut(env, &block)?,
        )?;
        arrays::write_floats(env, &scales, &record_scales)
    })
}

/// Decrypts and dequantises a block of results to the places of its floats.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decrypt<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    block: JByteBuffer<'local>,
    block_number: jlong,
    scales: JFloatArray<'local>,
    threads: jint,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let scales = arrays::floats(env, &scales)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        let block = arrays::byte_buffer(env, &block)?;
        let threads = arrays::count(threads, "number of threads")?;
        module.decrypt_to_floats(block, block_number as u64, &scales, threads, out)
    });
}

/// Accumulators `[T][d_out]` of a block of results.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptAccumulators<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    block: JByteArray<'local>,
) -> jlongArray {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let block = arrays::bytes(env, &block)?;
        pointer(arrays::new_longs(env, &module.decrypt(&block)?))
    })
    .0
}

/// Sums of accumulators `[T][d_out]` of a sum of blocks of results.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptSumAccumulators<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    sums: JByteArray<'local>,
) -> jlongArray {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let sums = arrays::bytes(env, &sums)?;
        pointer(arrays::new_longs(env, &module.decrypt_sums(&sums)?))
    })
    .0
}

/// Decrypts and dequantises a sum of blocks of results to the places of its floats; `counts` `[T]` are of records.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptSums<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    sums: JByteArray<'local>,
    counts: JLongArray<'local>,
    threads: jint,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let counts = arrays::longs(env, &counts)?
            .into_iter()
            .map(|count| {
                u64::try_from(count)
                    .map_err(|_| Error::invalid(format!("a count of records is {count}")))
            })
            .collect::<Result<Vec<_>>>()?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        let sums = arrays::bytes(env, &sums)?;
        let threads = arrays::count(threads, "number of threads")?;
        module.decrypt_sums_to_floats(&sums, &counts, threads, out)
    });
}

/// Floats of accumulators `[T][d_out]`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_dequantize<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    accumulators: JLongArray<'local>,
    scales: JFloatArray<'local>,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let accumulators = arrays::longs(env, &accumulators)?;
        let scales = arrays::floats(env, &scales)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        module.dequantize(&accumulators, &scales, out)
    });
}
