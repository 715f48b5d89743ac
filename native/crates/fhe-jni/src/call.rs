//! The wrappers around native methods.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fhe_core::{Error, Result};
use jni::JNIEnv;

use crate::reserve;

const INVALID_INPUT: &str = "org/fhespark/InvalidInputException";
const CANCELLATION: &str = "java/util/concurrent/CancellationException";
const NATIVE_FAULT: &str = "org/fhespark/nativelib/NativeFaultException";

/// Runs `body`, if there is memory to begin with; an error or a panic becomes a pending Java exception and the
/// default value.
pub fn call<'local, T: Default>(
    env: JNIEnv<'local>,
    body: impl FnOnce(&mut JNIEnv<'local>) -> Result<T>,
) -> T {
    caught(env, |env| {
        reserve::require()?;
        body(env)
    })
}

/// Runs `body`, which only gives memory back, however little there is.
pub fn release(env: JNIEnv, body: impl FnOnce()) {
    caught(env, |_| {
        body();
        Ok(())
    });
}

fn caught<'local, T: Default>(
    mut env: JNIEnv<'local>,
    body: impl FnOnce(&mut JNIEnv<'local>) -> Result<T>,
) -> T {
    let (class, message) = match without_panic(|| body(&mut env)) {
        Ok(value) => return value,
        Err(Error::InvalidInput(message)) => (INVALID_INPUT, message),
        Err(Error::Stopped) => (CANCELLATION, Error::Stopped.to_string()),
        Err(Error::Internal(message)) => (NATIVE_FAULT, message),
    };
    // A JNI call of the body may have left an exception of its own, which then is the better one.
    if !env.exception_check().unwrap_or(true) {
        // Throwing can only fail when the JVM is out of memory, and then an exception is pending anyway.
        let _ = env.throw_new(class, message);
    }
    T::default()
}

/// A panic is an error too.
pub fn without_panic<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
            .unwrap_or_default();
        Err(Error::Internal(format!(
            "the native library panicked: {message}"
        )))
    })
}
