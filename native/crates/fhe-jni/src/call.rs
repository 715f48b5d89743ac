//! The one wrapper around every native method.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fhe_core::{Error, Result};
use jni::JNIEnv;

const INVALID_INPUT: &str = "org/fhespark/InvalidInputException";
const CANCELLATION: &str = "java/util/concurrent/CancellationException";
const NATIVE_FAULT: &str = "org/fhespark/nativelib/NativeFaultException";

/// Runs `body`; an error or a panic becomes a pending Java exception and the default value.
pub fn call<'local, T: Default>(
    mut env: JNIEnv<'local>,
    body: impl FnOnce(&mut JNIEnv<'local>) -> Result<T>,
) -> T {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&mut env)));
    let (class, message) = match outcome {
        Ok(Ok(value)) => return value,
        Ok(Err(Error::InvalidInput(message))) => (INVALID_INPUT, message),
        Ok(Err(Error::Stopped)) => (CANCELLATION, Error::Stopped.to_string()),
        Ok(Err(Error::Internal(message))) => (NATIVE_FAULT, message),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
                .unwrap_or_default();
            (
                NATIVE_FAULT,
                format!("the native library panicked: {message}"),
            )
        }
    };
    // A JNI call of the body may have left an exception of its own, which then is the better one.
    if !env.exception_check().unwrap_or(true) {
        // Throwing can only fail when the JVM is out of memory, and then an exception is pending anyway.
        let _ = env.throw_new(class, message);
    }
    T::default()
}
