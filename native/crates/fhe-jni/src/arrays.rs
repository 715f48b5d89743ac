//! Java arrays and direct buffers.

use fhe_core::bootstrap::BootstrapParameters;
use fhe_core::circuit::PackedCircuit;
use fhe_core::memory::zeros;
use fhe_core::parameters::PackedParameters;
use fhe_core::{Error, Result};
use jni::JNIEnv;
use jni::objects::{
    JByteArray, JByteBuffer, JDoubleArray, JFloatArray, JIntArray, JLongArray, JPrimitiveArray,
    JString, ReleaseMode, TypeArray,
};
use jni::sys::{jbyteArray, jdoubleArray, jint, jintArray, jlongArray};

/// A JNI failure; the JVM's own exception is usually pending then.
pub fn jni_error(error: jni::errors::Error) -> Error {
    Error::Internal(format!("JNI: {error}"))
}

fn length<'a, T: TypeArray>(env: &JNIEnv, array: &JPrimitiveArray<'a, T>) -> Result<usize> {
    if array.is_null() {
        return Err(Error::Internal("an array argument is null".into()));
    }
    Ok(env.get_array_length(array).map_err(jni_error)? as usize)
}

/// A copy of a `byte[]`.
pub fn bytes(env: &JNIEnv, array: &JByteArray) -> Result<Vec<u8>> {
    // Of the same layout, so that nothing is copied.
    let signed = signed_bytes(env, array)?;
    Ok(signed.into_iter().map(|byte| byte as u8).collect())
}

/// A copy of a `byte[]` as Java sees it.
pub fn signed_bytes(env: &JNIEnv, array: &JByteArray) -> Result<Vec<i8>> {
    let mut copy = zeros(length(env, array)?)?;
    env.get_byte_array_region(array, 0, &mut copy)
        .map_err(jni_error)?;
    Ok(copy)
}

/// A copy of a `byte[]` of a given length.
pub fn fixed_bytes<const LENGTH: usize>(env: &JNIEnv, array: &JByteArray) -> Result<[u8; LENGTH]> {
    let bytes = bytes(env, array)?;
    let found = bytes.len();
    bytes
        .try_into()
        .map_err(|_| Error::invalid(format!("{found} bytes where {LENGTH} are needed")))
}

/// Has `work` write to one `byte[]` and read another, without copying either. The collector waits meanwhile, so it
/// must take milliseconds at most.
///
/// The two must be different arrays, which no other thread uses during the call.
pub fn with_bytes(
    env: &mut JNIEnv,
    written: &JByteArray,
    read: &JByteArray,
    work: impl FnOnce(&mut [u8], &[u8]) -> Result<()>,
) -> Result<()> {
    length(env, written)?;
    length(env, read)?;
    // SAFETY: the second environment is of the same thread and serves to pin the second array alone.
    let mut second = unsafe { env.unsafe_clone() };
    // SAFETY: no JNI function is called while the arrays are pinned; the caller holds both, and no other thread
    // writes to them.
    let (mut written, read) = unsafe {
        let written = env.get_array_elements_critical(written, ReleaseMode::CopyBack);
        let read = second.get_array_elements_critical(read, ReleaseMode::NoCopyBack);
        (written.map_err(jni_error)?, read.map_err(jni_error)?)
    };
    // SAFETY: both are as long as their elements say, and different arrays.
    let (written, read) = unsafe {
        (
            std::slice::from_raw_parts_mut(written.as_mut_ptr().cast::<u8>(), written.len()),
            std::slice::from_raw_parts(read.as_ptr().cast::<u8>(), read.len()),
        )
    };
    work(written, read)
}

/// A copy of an `int[]`.
pub fn ints(env: &JNIEnv, array: &JIntArray) -> Result<Vec<i32>> {
    let mut copy = zeros(length(env, array)?)?;
    env.get_int_array_region(array, 0, &mut copy)
        .map_err(jni_error)?;
    Ok(copy)
}

/// A copy of a `long[]`.
pub fn longs(env: &JNIEnv, array: &JLongArray) -> Result<Vec<i64>> {
    let mut copy = zeros(length(env, array)?)?;
    env.get_long_array_region(array, 0, &mut copy)
        .map_err(jni_error)?;
    Ok(copy)
}

/// A copy of a `float[]`.
pub fn floats(env: &JNIEnv, array: &JFloatArray) -> Result<Vec<f32>> {
    let mut copy = zeros(length(env, array)?)?;
    env.get_float_array_region(array, 0, &mut copy)
        .map_err(jni_error)?;
    Ok(copy)
}

/// A copy of a `double[]`.
pub fn doubles(env: &JNIEnv, array: &JDoubleArray) -> Result<Vec<f64>> {
    let mut copy = zeros(length(env, array)?)?;
    env.get_double_array_region(array, 0, &mut copy)
        .map_err(jni_error)?;
    Ok(copy)
}

/// Writes `values` to a `float[]` of the same length.
pub fn write_floats(env: &JNIEnv, array: &JFloatArray, values: &[f32]) -> Result<()> {
    let found = length(env, array)?;
    if found != values.len() {
        return Err(Error::Internal(format!(
            "{} floats do not fit an array of {found}",
            values.len()
        )));
    }
    env.set_float_array_region(array, 0, values)
        .map_err(jni_error)
}

/// A Java string.
pub fn string(env: &mut JNIEnv, string: &JString) -> Result<String> {
    Ok(env.get_string(string).map_err(jni_error)?.into())
}

/// The length of a new Java array.
fn new_length(elements: usize) -> Result<jint> {
    jint::try_from(elements).map_err(|_| {
        Error::invalid(format!(
            "{elements} elements do not fit a Java array: use smaller blocks"
        ))
    })
}

/// A new `byte[]`.
pub fn new_bytes(env: &JNIEnv, bytes: &[u8]) -> Result<jbyteArray> {
    new_length(bytes.len())?;
    let array = env.byte_array_from_slice(bytes).map_err(jni_error)?;
    Ok(array.into_raw())
}

/// A new `int[]`.
pub fn new_ints(env: &JNIEnv, values: &[i32]) -> Result<jintArray> {
    let array = env
        .new_int_array(new_length(values.len())?)
        .map_err(jni_error)?;
    env.set_int_array_region(&array, 0, values)
        .map_err(jni_error)?;
    Ok(array.into_raw())
}

/// A new `long[]`.
pub fn new_longs(env: &JNIEnv, values: &[i64]) -> Result<jlongArray> {
    let array = env
        .new_long_array(new_length(values.len())?)
        .map_err(jni_error)?;
    env.set_long_array_region(&array, 0, values)
        .map_err(jni_error)?;
    Ok(array.into_raw())
}

/// A new `double[]`.
pub fn new_doubles(env: &JNIEnv, values: &[f64]) -> Result<jdoubleArray> {
    let array = env
        .new_double_array(new_length(values.len())?)
        .map_err(jni_error)?;
    env.set_double_array_region(&array, 0, values)
        .map_err(jni_error)?;
    Ok(array.into_raw())
}

/// The address and number of the floats of a direct buffer.
pub fn floats_of(env: &JNIEnv, buffer: &JByteBuffer) -> Result<(*mut f32, usize)> {
    let address = env.get_direct_buffer_address(buffer).map_err(jni_error)?;
    let capacity = env.get_direct_buffer_capacity(buffer).map_err(jni_error)?;
    if !address.cast::<f32>().is_aligned() {
        return Err(Error::Internal("a float buffer is not aligned".into()));
    }
    Ok((address.cast(), capacity / size_of::<f32>()))
}

/// All bytes of a direct buffer.
pub fn byte_buffer<'a>(env: &JNIEnv<'a>, buffer: &'a JByteBuffer) -> Result<&'a [u8]> {
    let address = env.get_direct_buffer_address(buffer).map_err(jni_error)?;
    let capacity = env.get_direct_buffer_capacity(buffer).map_err(jni_error)?;
    // SAFETY: the buffer is direct; its Java object outlives the native call whose local reference `buffer` is,
    // and the Java side does not write to it during the call.
    Ok(unsafe { std::slice::from_raw_parts(address, capacity) })
}

/// All bytes of a direct buffer, to be written.
pub fn byte_buffer_mut<'a>(env: &JNIEnv<'a>, buffer: &'a JByteBuffer) -> Result<&'a mut [u8]> {
    let address = env.get_direct_buffer_address(buffer).map_err(jni_error)?;
    let capacity = env.get_direct_buffer_capacity(buffer).map_err(jni_error)?;
    // SAFETY: as in `byte_buffer`; the Java wrapper hands each buffer that is written to one call at a time.
    Ok(unsafe { std::slice::from_raw_parts_mut(address, capacity) })
}

/// A count that Java gives as an `int`.
pub fn count(value: jint, what: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::invalid(format!("{what} is {value}")))
}

/// Packed parameters from k, N, limbs, body limbs, output limbs, output body limbs, message bits, bodies,
/// summands, flooding.
pub fn parameters(fields: &[i32]) -> Result<PackedParameters> {
    let &[
        k,
        n,
        limbs,
        body_limbs,
        output_limbs,
        output_body_limbs,
        message_bits,
        bodies,
        summands,
        flooding,
    ] = fields
    else {
        return Err(Error::Internal(format!(
            "{} packed parameters, 10 expected",
            fields.len()
        )));
    };
    PackedParameters {
        glwe_dimension: count(k, "GLWE dimension")?,
        polynomial_size: count(n, "polynomial size")?,
        limbs: count(limbs, "limbs")?,
        body_limbs: count(body_limbs, "body limbs")?,
        output_limbs: count(output_limbs, "output limbs")?,
        output_body_limbs: count(output_body_limbs, "output body limbs")?,
        message_bits: count(message_bits, "message bits")?,
        bodies: count(bodies, "bodies")?,
        summands: count(summands, "summands")?,
        flooding: count(flooding, "flooding")?,
    }
    .validate()
}

/// The fields of packed parameters, in the order of [`parameters`].
pub fn parameter_fields(p: &PackedParameters) -> [i32; 10] {
    p.fields().map(|field| field as i32)
}

/// A packed layer, checked.
pub fn packed_circuit(
    env: &mut JNIEnv,
    parameters: &JIntArray,
    module_key: &JString,
    [inputs, outputs]: [jint; 2],
    weights: &JByteArray,
) -> Result<PackedCircuit> {
    PackedCircuit {
        parameters: self::parameters(&ints(env, parameters)?)?,
        module_key: string(env, module_key)?,
        inputs: count(inputs, "inputs")?,
        outputs: count(outputs, "outputs")?,
        weights: signed_bytes(env, weights)?,
    }
    .validate()
}

/// Bootstrap parameters from their fields ([`BootstrapParameters::fields`]).
pub fn bootstrap_parameters(fields: &[i32]) -> Result<BootstrapParameters> {
    let mut counts = [0; BootstrapParameters::FIELDS];
    if fields.len() != counts.len() {
        return Err(Error::Internal(format!(
            "{} bootstrap parameters, {} expected",
            fields.len(),
            counts.len()
        )));
    }
    for (to, &field) in counts.iter_mut().zip(fields) {
        *to = count(field, "a bootstrap parameter")? as u32;
    }
    BootstrapParameters::of_fields(counts).validate()
}
