//! Native methods for blocks in parts.

use fhe_core::{Error, Result};
use jni::JNIEnv;
use jni::objects::{JByteBuffer, JClass, JFloatArray, JIntArray, JLongArray, JObjectArray};
use jni::sys::{jint, jlong};

use crate::call::call;
use crate::handles::MODULES;
use crate::{arrays, rows};

/// The order of a block's mask.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_cutMask<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    block: JByteBuffer<'local>,
    part: JByteBuffer<'local>,
) {
    call(env, |env| {
        require_two(env, &block, &part)?;
        MODULES.get(module)?.cut_mask(
            arrays::byte_buffer(env, &block)?,
            arrays::byte_buffer_mut(env, &part)?,
        )
    });
}

/// Records `first..first + count` of a block.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_cutRecords<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    block: JByteBuffer<'local>,
    first: jint,
    count: jint,
    part: JByteBuffer<'local>,
) {
    call(env, |env| {
        require_two(env, &block, &part)?;
        let first = arrays::count(first, "first record")?;
        let count = arrays::count(count, "number of records")?;
        MODULES.get(module)?.cut_records(
            arrays::byte_buffer(env, &block)?,
            first..first + count,
            arrays::byte_buffer_mut(env, &part)?,
        )
    });
}

/// One is read while the other is written.
fn require_two(env: &JNIEnv, block: &JByteBuffer, part: &JByteBuffer) -> Result<()> {
    if env.is_same_object(block, part).map_err(arrays::jni_error)? {
        return Err(Error::Internal("a part cannot be its block".into()));
    }
    Ok(())
}

/// Decrypts and dequantises the results of a block's parts to the places of its floats.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptParts<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    parts: JObjectArray<'local>,
    block_number: jlong,
    scales: JFloatArray<'local>,
    threads: jint,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let module = MODULES.get(module)?;
        let count = env.get_array_length(&parts).map_err(arrays::jni_error)?;
        let mut held = Vec::new();
        for index in 0..count {
            let part = env.get_object_array_element(&parts, index);
            held.push(JByteBuffer::from(part.map_err(arrays::jni_error)?));
        }
        let scales = arrays::floats(env, &scales)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        let results: Result<Vec<_>> = held
            .iter()
            .map(|part| arrays::byte_buffer(env, part))
            .collect();
        module.decrypt_parts_to_floats(
            &results?,
            block_number as u64,
            &scales,
            arrays::count(threads, "number of threads")?,
            out,
        )
    });
}
