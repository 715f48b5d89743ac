//! Evaluation keys of both kinds, and native methods of them.

use fhe_core::bootstrap::EvaluationKey;
use fhe_core::{Error, Result};
use fhe_leveled::{RelinearizationKey, RelinearizationKeyHeader, is_relinearization_key};
use fhe_server::BootstrapKeys;
use jni::JNIEnv;
use jni::objects::{JByteArray, JByteBuffer, JClass, JIntArray, JObject, JValue};
use jni::sys::{jbyteArray, jint, jintArray, jlong};

use crate::arrays;
use crate::call::{call, release};
use crate::client_methods::secret_key_shape;
use crate::handles::{EVALUATION_KEYS, KEYS};
use crate::leveled_methods;
use crate::library_methods::pointer;

/// An expanded evaluation key.
pub enum EvaluationKeys {
    /// Of circuits with look-ups.
    Bootstrap(BootstrapKeys),
    /// Of leveled circuits.
    Relinearization(RelinearizationKey),
}

impl EvaluationKeys {
    /// For a circuit with look-ups.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is for leveled circuits.
    pub fn bootstrap(&self) -> Result<&BootstrapKeys> {
        match self {
            EvaluationKeys::Bootstrap(keys) => Ok(keys),
            EvaluationKeys::Relinearization(_) => Err(other_kind()),
        }
    }

    /// For a leveled circuit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is for circuits with look-ups.
    pub fn relinearization(&self) -> Result<&RelinearizationKey> {
        match self {
            EvaluationKeys::Relinearization(key) => Ok(key),
            EvaluationKeys::Bootstrap(_) => Err(other_kind()),
        }
    }

    fn key_id(&self) -> &[u8; 16] {
        match self {
            EvaluationKeys::Bootstrap(keys) => &keys.header().key_id,
            EvaluationKeys::Relinearization(key) => &key.header().key_id,
        }
    }

    fn parameter_fields(&self) -> Vec<u32> {
        match self {
            EvaluationKeys::Bootstrap(keys) => keys.parameters().fields().to_vec(),
            EvaluationKeys::Relinearization(key) => leveled_fields(&key.header().parameters),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            EvaluationKeys::Bootstrap(keys) => keys.memory_bytes(),
            EvaluationKeys::Relinearization(key) => key.memory_bytes(),
        }
    }
}

fn other_kind() -> Error {
    Error::invalid(
        "the evaluation key is for circuits of another kind: make keys for this model with keygen",
    )
}

fn leveled_fields(parameters: &fhe_leveled::LeveledParameters) -> Vec<u32> {
    vec![parameters.polynomial_size as u32, parameters.levels as u32]
}

/// What a native method reports the share done with: `progress` is a `DoubleConsumer`.
pub fn progress_of<'e, 'local>(
    env: &'e mut JNIEnv<'local>,
    progress: &'e JObject<'local>,
) -> impl FnMut(f64) -> bool + use<'e, 'local> {
    move |share| {
        // What it throws stays pending, and is what the caller gets.
        let share = [JValue::Double(share)];
        env.call_method(progress, "accept", "(D)V", &share).is_ok()
    }
}

/// Expands an evaluation key that lies in an array, if it is that of a client key, for circuits of these
/// parameters.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_expandEvaluationKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteArray<'local>,
    key_id: JByteArray<'local>,
    parameters: JIntArray<'local>,
    threads: jint,
) -> jlong {
    call(env, |env| {
        let file = arrays::bytes(env, &file)?;
        expand_evaluation_key(env, &file, &key_id, &parameters, threads)
    })
}

/// Expands an evaluation key that lies in a direct buffer, such as a mapped file, in that case.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_expandMappedEvaluationKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteBuffer<'local>,
    key_id: JByteArray<'local>,
    parameters: JIntArray<'local>,
    threads: jint,
) -> jlong {
    call(env, |env| {
        let file = arrays::byte_buffer(env, &file)?;
        expand_evaluation_key(env, file, &key_id, &parameters, threads)
    })
}

fn expand_evaluation_key(
    env: &JNIEnv,
    file: &[u8],
    key_id: &JByteArray,
    parameters: &JIntArray,
    threads: jint,
) -> Result<jlong> {
    let threads = arrays::count(threads, "number of threads")?;
    let key_id = arrays::fixed_bytes(env, key_id)?;
    let parameters = arrays::ints(env, parameters)?;
    let keys = if is_relinearization_key(file) {
        let parameters = leveled_methods::parameters_of(&parameters)?;
        RelinearizationKeyHeader::check(file)?.expect(&key_id, &parameters)?;
        EvaluationKeys::Relinearization(RelinearizationKey::open(file, threads)?)
    } else {
        let parameters = arrays::bootstrap_parameters(&parameters)?;
        let key = EvaluationKey::decode(file)?;
        key.header.expect(&key_id, &parameters)?;
        EvaluationKeys::Bootstrap(BootstrapKeys::expand(&key, threads)?)
    };
    Ok(EVALUATION_KEYS.insert(keys))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeEvaluationKey(
    env: JNIEnv,
    _class: JClass,
    keys: jlong,
) {
    release(env, || EVALUATION_KEYS.remove(keys));
}

/// Checks an evaluation key that lies in a direct buffer without expanding it: its client key's id, then its
/// parameters, little-endian u32.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_checkEvaluationKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    file: JByteBuffer<'local>,
) -> jbyteArray {
    call(env, |env| {
        let file = arrays::byte_buffer(env, &file)?;
        let (key_id, parameters) = if is_relinearization_key(file) {
            let header = RelinearizationKeyHeader::check(file)?;
            (header.key_id, leveled_fields(&header.parameters))
        } else {
            let header = EvaluationKey::decode(file)?.header;
            (header.key_id, header.parameters.fields().to_vec())
        };
        let mut fields = key_id.to_vec();
        for field in parameters {
            fields.extend_from_slice(&field.to_le_bytes());
        }
        pointer(arrays::new_bytes(env, &fields))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluationKeyId(
    env: JNIEnv,
    _class: JClass,
    keys: jlong,
) -> jbyteArray {
    call(env, |env| {
        let keys = EVALUATION_KEYS.get(keys)?;
        pointer(arrays::new_bytes(env, keys.key_id()))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluationKeyParameters(
    env: JNIEnv,
    _class: JClass,
    keys: jlong,
) -> jintArray {
    call(env, |env| {
        let keys = EVALUATION_KEYS.get(keys)?;
        let fields = keys.parameter_fields();
        let fields: Vec<i32> = fields.into_iter().map(|field| field as i32).collect();
        pointer(arrays::new_ints(env, &fields))
    })
    .0
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_evaluationKeyMemory(
    env: JNIEnv,
    _class: JClass,
    keys: jlong,
) -> jlong {
    call(env, |_| {
        Ok(EVALUATION_KEYS.get(keys)?.memory_bytes() as jlong)
    })
}

/// Makes the file of an evaluation key for look-ups; `progress` is a `DoubleConsumer` that is given the share done.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_makeEvaluationKey<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    key: jlong,
    parameters: JIntArray<'local>,
    shape: JIntArray<'local>,
    threads: jint,
    progress: JObject<'local>,
) -> jbyteArray {
    call(env, |env| {
        let key = KEYS.get(key)?;
        let parameters = arrays::bootstrap_parameters(&arrays::ints(env, &parameters)?)?;
        let shape = secret_key_shape(&arrays::ints(env, &shape)?)?;
        let threads = arrays::count(threads, "number of threads")?;
        let file = key.evaluation_key(
            &parameters,
            &shape,
            threads,
            &mut progress_of(env, &progress),
        )?;
        pointer(arrays::new_bytes(env, &file))
    })
    .0
}
