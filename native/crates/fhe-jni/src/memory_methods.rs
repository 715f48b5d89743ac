//! Native methods for memory that Java sees as direct buffers, and for what all memory comes to.

use std::cell::UnsafeCell;

use fhe_core::{Error, Result};
use jni::JNIEnv;
use jni::objects::JClass;
use jni::sys::{jint, jlong, jobject};

use crate::arrays;
use crate::call::call;
use crate::handles::MEMORY;
use crate::library_methods::pointer;
use crate::pages::{self, Pages};
use crate::{allocator, result_memory};

/// Memory that a direct buffer looks at; no reference to its bytes is ever made here.
pub struct BufferMemory(UnsafeCell<Pages>);

// SAFETY: only its address is taken, and by one thread, before any other has its handle.
unsafe impl Sync for BufferMemory {}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_openMemory(
    env: JNIEnv,
    _class: JClass,
    bytes: jint,
) -> jlong {
    call(env, |_| {
        let bytes = arrays::count(bytes, "bytes of memory")?;
        Ok(MEMORY.insert(BufferMemory(UnsafeCell::new(pages::zeroed(bytes)?))))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_memoryBuffer(
    env: JNIEnv,
    _class: JClass,
    memory: jlong,
) -> jobject {
    call(env, |env| pointer(buffer(env, memory))).0
}

/// A direct buffer of the whole memory, for Java to drop before the handle is closed.
fn buffer(env: &mut JNIEnv, memory: jlong) -> Result<*mut jni::sys::_jobject> {
    let memory = MEMORY.get(memory)?;
    // SAFETY: `NativeMemory` asks once, right after `openMemory`, so nobody else looks at the mapping.
    let map = unsafe { &mut *memory.0.get() };
    let (start, length) = (map.as_mut_ptr(), map.len());
    // SAFETY: the mapping stays where it is until the handle is closed, which `NativeMemory` does once the buffer
    // is lost.
    unsafe { env.new_direct_byte_buffer(start, length) }
        .map(|buffer| buffer.into_raw())
        .map_err(|error| Error::Internal(format!("a direct buffer: {error}")))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_closeMemory(
    _env: JNIEnv,
    _class: JClass,
    memory: jlong,
) {
    MEMORY.remove(memory);
}

/// Bytes on the native heap.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_heapBytes(
    _env: JNIEnv,
    _class: JClass,
) -> jlong {
    allocator::live_bytes()
}

/// Bytes of buffers, and of results with what is kept for those to come.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_mappedBytes(
    _env: JNIEnv,
    _class: JClass,
) -> jlong {
    pages::live_bytes()
}

/// Bytes that are kept for results to come.
#[unsafe(no_mangle)]
extern "system" fn Java_org_fhespark_nativelib_FheNative_idleResultBytes(
    _env: JNIEnv,
    _class: JClass,
) -> jlong {
    result_memory::idle_bytes() as jlong
}
