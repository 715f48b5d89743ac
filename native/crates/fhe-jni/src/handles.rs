//! Handles that Java holds to native objects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use fhe_client::{ClientKey, LookupClient, MaskOrder, ModuleClient, PreparedMask};
use fhe_core::{Error, Result};
use fhe_leveled::PreparedLeveledCircuit;
use fhe_server::{PreparedBootstrapCircuit, PreparedCircuit, PublicKey};
use jni::sys::jlong;

use crate::evaluation_keys::EvaluationKeys;
use crate::leveled_methods::LeveledModule;
use crate::memory_methods::BufferMemory;

/// Objects by handle; a handle is never given twice, across all tables.
pub struct HandleTable<T> {
    what: &'static str,
    objects: OnceLock<RwLock<HashMap<jlong, Arc<T>>>>,
}

static NEXT_HANDLE: AtomicI64 = AtomicI64::new(1);

/// Prepared circuits.
pub static CIRCUITS: HandleTable<PreparedCircuit> = HandleTable::new("circuit");
/// Public keys.
pub static PUBLIC_KEYS: HandleTable<PublicKey> = HandleTable::new("public key");
/// Client keys.
pub static KEYS: HandleTable<ClientKey> = HandleTable::new("client key");
/// Remote modules as their client sees them.
pub static MODULES: HandleTable<ModuleClient> = HandleTable::new("module");
/// Masks that were ordered.
pub static ORDERS: HandleTable<MaskOrder> = HandleTable::new("mask order");
/// Masks that are ready for records.
pub static MASKS: HandleTable<PreparedMask> = HandleTable::new("prepared mask");
/// Memory of direct buffers.
pub static MEMORY: HandleTable<BufferMemory> = HandleTable::new("memory");

/// Prepared circuits with look-ups.
pub static LOOKUP_CIRCUITS: HandleTable<PreparedBootstrapCircuit> =
    HandleTable::new("circuit with look-ups");
/// Expanded evaluation keys.
pub static EVALUATION_KEYS: HandleTable<EvaluationKeys> = HandleTable::new("evaluation key");
/// Results of look-ups as their client sees them.
pub static LOOKUP_CLIENTS: HandleTable<LookupClient> = HandleTable::new("look-up client");

/// Prepared leveled circuits.
pub static LEVELED_CIRCUITS: HandleTable<PreparedLeveledCircuit> =
    HandleTable::new("leveled circuit");
/// Leveled circuits as their client sees them.
pub static LEVELED_CLIENTS: HandleTable<LeveledModule> = HandleTable::new("leveled client");

impl<T> HandleTable<T> {
    const fn new(what: &'static str) -> Self {
        HandleTable {
            what,
            objects: OnceLock::new(),
        }
    }

    fn objects(&self) -> &RwLock<HashMap<jlong, Arc<T>>> {
        self.objects.get_or_init(Default::default)
    }

    /// Takes an object in; returns its handle.
    pub fn insert(&self, object: T) -> jlong {
        let handle = NEXT_HANDLE.fetch_add(1, Ordering::Relaxed);
        let mut objects = self.objects().write().unwrap_or_else(|e| e.into_inner());
        objects.insert(handle, Arc::new(object));
        handle
    }

    /// The object of a handle; it lives on until the caller drops it, even if the handle is closed.
    pub fn get(&self, handle: jlong) -> Result<Arc<T>> {
        let objects = self.objects().read().unwrap_or_else(|e| e.into_inner());
        objects
            .get(&handle)
            .cloned()
            .ok_or_else(|| Error::Internal(format!("this {} is closed", self.what)))
    }

    /// Takes an object out, for one caller only; the handle is closed.
    pub fn take(&self, handle: jlong) -> Result<T> {
        let mut objects = self.objects().write().unwrap_or_else(|e| e.into_inner());
        let removed = objects.remove(&handle);
        drop(objects);
        removed
            .and_then(Arc::into_inner)
            .ok_or_else(|| Error::Internal(format!("this {} is closed or in use", self.what)))
    }

    /// Forgets a handle; closing one twice does nothing.
    pub fn remove(&self, handle: jlong) {
        let mut objects = self.objects().write().unwrap_or_else(|e| e.into_inner());
        let removed = objects.remove(&handle);
        drop(objects);
        drop(removed);
    }

    /// Open handles.
    pub fn len(&self) -> usize {
        let objects = self.objects().read().unwrap_or_else(|e| e.into_inner());
        objects.len()
    }
}
