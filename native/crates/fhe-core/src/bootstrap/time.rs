//! Time of look-ups, as a function of their parameters.

use super::BootstrapParameters;

/// Seconds on one core, in batches. The constants were fitted on one core of an AMD EPYC (Zen 5, AVX-512) by
/// `cargo bench -p fhe-client --bench lookups`, which shows how far they hold: bootstraps within a tenth there,
/// keyswitches within a quarter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookupTime {
    /// Of a keyswitch.
    pub keyswitch: f64,
    /// Of a programmable bootstrap.
    pub bootstrap: f64,
}

/// Of an entry of the keyswitch key that is multiplied by a digit.
const KEYSWITCH: f64 = 4.2e-11;
/// Of a butterfly of a transform.
const TRANSFORM: f64 = 1.75e-10;
/// Of a coefficient of the bootstrap key that is multiplied.
const PRODUCT: f64 = 1.6e-10;

/// Operations of a look-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookupWork {
    /// Entries of the keyswitch key.
    pub keyswitch: f64,
    /// Butterflies of the bootstrap's transforms.
    pub transforms: f64,
    /// Coefficients of the bootstrap key.
    pub products: f64,
}

impl LookupTime {
    /// Of these parameters.
    pub fn of(parameters: &BootstrapParameters) -> Self {
        let work = Self::work(parameters);
        LookupTime {
            keyswitch: KEYSWITCH * work.keyswitch,
            bootstrap: TRANSFORM * work.transforms + PRODUCT * work.products,
        }
    }

    /// What it is predicted from.
    pub fn work(parameters: &BootstrapParameters) -> LookupWork {
        let p = parameters;
        let lwe_dimension = p.lwe_dimension as f64;
        let size = p.polynomial_size as f64;
        let polynomials = (p.glwe_dimension + 1) as f64;
        let levels = p.bootstrap.levels as f64;
        let entries = (p.value_dimension() * p.keyswitch.levels) as f64 * (lwe_dimension + 1.0);
        let transforms = polynomials * (levels + 1.0) * size / 2.0 * size.log2();
        let products = polynomials * polynomials * levels * size;
        LookupWork {
            keyswitch: entries,
            transforms: lwe_dimension * transforms,
            products: lwe_dimension * products,
        }
    }

    /// Of a look-up: both.
    pub fn lookup(&self) -> f64 {
        self.keyswitch + self.bootstrap
    }
}
