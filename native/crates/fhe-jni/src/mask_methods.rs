//! Native methods of masks that are prepared ahead of the data.

use fhe_core::Error;
use jni::JNIEnv;
use jni::objects::{JByteBuffer, JClass, JFloatArray, JIntArray, JLongArray, JObjectArray};
use jni::sys::{jint, jlong};

use crate::arrays;
use crate::call::{call, release};
use crate::handles::{MASKS, MODULES, ORDERS};
use crate::rows;

/// What tells Java that a mask has too few slots left.
const TOO_FEW: jint = -1;

/// Draws a mask and writes its order to `block`, as long as a block's header.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_orderMask<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    slots: jint,
    block_number: jlong,
    block: JByteBuffer<'local>,
) -> jlong {
    call(env, |env| {
        let slots = arrays::count(slots, "number of slots")?;
        let order = MODULES
            .get(module)?
            .order_mask(slots, block_number as u64)?;
        let bytes = order.block();
        let out = arrays::byte_buffer_mut(env, &block)?;
        if out.len() != bytes.len() {
            return Err(Error::Internal(format!(
                "a buffer of {} bytes for a mask order of {}",
                out.len(),
                bytes.len()
            )));
        }
        out.copy_from_slice(&bytes);
        Ok(ORDERS.insert(order))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeMaskOrder(
    env: JNIEnv,
    _class: JClass,
    order: jlong,
) {
    release(env, || ORDERS.remove(order));
}

/// Makes a mask ready with the server's results; the order is used up and its handle closed, whatever
/// comes of it.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_prepareMask<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    order: jlong,
    results: JByteBuffer<'local>,
    threads: jint,
) -> jlong {
    call(env, |env| {
        let order = ORDERS.take(order)?;
        let module = MODULES.get(module)?;
        let results = arrays::byte_buffer(env, &results)?;
        let threads = arrays::count(threads, "number of threads")?;
        Ok(MASKS.insert(module.prepare_mask(order, results, threads)?))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closePreparedMask(
    env: JNIEnv,
    _class: JClass,
    mask: jlong,
) {
    release(env, || MASKS.remove(mask));
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_slotsLeft(
    env: JNIEnv,
    _class: JClass,
    mask: jlong,
) -> jint {
    call(env, |_| Ok(MASKS.get(mask)?.slots_left() as jint))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_preparedMaskBytes(
    env: JNIEnv,
    _class: JClass,
    mask: jlong,
) -> jlong {
    call(env, |_| Ok(MASKS.get(mask)?.memory_bytes() as jlong))
}

/// Quantises and encrypts float records in the next slots of a mask to `block`; writes the scales `[T]`.
/// Returns the first slot, or -1 if fewer than T are left.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_encryptAhead<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    mask: jlong,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
    unfolding: JIntArray<'local>,
    scales: JFloatArray<'local>,
    block_number: jlong,
    block: JByteBuffer<'local>,
) -> jint {
    call(env, |env| {
        let (module, mask) = (MODULES.get(module)?, MASKS.get(mask)?);
        let records = rows::records(env, module.spec().inputs, &buffers, &runs, &unfolding)?;
        let mut record_scales = vec![0.0; records.count()];
        let first = module.encrypt_ahead(
            &mask,
            &records,
            &mut record_scales,
            block_number as u64,
            arrays::byte_buffer_mut(env, &block)?,
        )?;
        arrays::write_floats(env, &scales, &record_scales)?;
        Ok(first.map_or(TOO_FEW, |slot| slot as jint))
    })
}

/// Decrypts and dequantises results of the records from slot `first_slot` on to the places of their floats.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_decryptAhead<'local>(
    env: JNIEnv<'local>,
    _class: JClass<'local>,
    module: jlong,
    mask: jlong,
    first_slot: jint,
    block: JByteBuffer<'local>,
    block_number: jlong,
    scales: JFloatArray<'local>,
    columns: JIntArray<'local>,
    buffers: JObjectArray<'local>,
    runs: JLongArray<'local>,
) {
    call(env, |env| {
        let (module, mask) = (MODULES.get(module)?, MASKS.get(mask)?);
        let scales = arrays::floats(env, &scales)?;
        let out = rows::outputs(env, &columns, &buffers, &runs)?;
        module.decrypt_ahead(
            &mask,
            arrays::count(first_slot, "first slot")?,
            arrays::byte_buffer(env, &block)?,
            block_number as u64,
            &scales,
            out,
        )
    });
}
