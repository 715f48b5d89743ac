//! JNI face of fhe-client, fhe-server and fhe-leveled: the native methods of `org.fhespark.nativelib.FheNative`.
//!
//! Every export goes through `call::call`, which turns errors and panics into Java exceptions. Handles
//! are looked up in tables (`handles`), so a stale one is an error and never a stray pointer.

mod allocator;
mod arrays;
mod attack_methods;
mod blocks;
mod call;
mod handles;

mod client_methods;
mod evaluation_keys;
mod leveled_methods;
mod library_methods;
mod lookup_methods;
mod lookup_steps;
mod mask_methods;
mod memory_methods;
mod pages;
mod part_methods;
mod reserve;
mod result_memory;
mod rows;
#[cfg(all(test, target_os = "linux"))]
mod scarce_memory;
mod server_methods;
