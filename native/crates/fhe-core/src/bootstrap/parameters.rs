//! Parameters of keyswitch and bootstrap.

use crate::parameters::{MAX_POLYNOMIAL_SIZE, PackedParameters};
use crate::{Error, Result};

use super::lwe_noise_bound_log2;

/// Most memory of either key: a file is thousands of times smaller than what its masks expand to, so its length
/// bounds nothing.
const MAX_EXPANDED_BYTES: usize = 4 << 30;

/// A gadget decomposition: `levels` digits of `base_log` bits, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decomposition {
    /// log2 of the base.
    pub base_log: usize,
    /// Digits.
    pub levels: usize,
}

/// Parameters of look-ups; q = 2^64, binary secrets, TUniform noise.
///
/// Values live under the flattened GLWE key of the packed layer, of dimension k·N.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootstrapParameters {
    /// n, the dimension that ciphertexts are switched to before a look-up.
    pub lwe_dimension: usize,
    /// k of the bootstrap key and of the packed layer.
    pub glwe_dimension: usize,
    /// N of both: a table has N entries, for half the torus.
    pub polynomial_size: usize,
    /// Of the bootstrap key.
    pub bootstrap: Decomposition,
    /// Of the key that switches from k·N to n.
    pub keyswitch: Decomposition,
    /// Bytes kept of an entry of the results, from the top.
    pub output_bytes: usize,
}

impl BootstrapParameters {
    /// Fields of the file formats.
    pub const FIELDS: usize = 8;

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first field that is out of range, or that no noise is secure.
    pub fn validate(self) -> Result<Self> {
        let within = |name: &str, value: usize, min: usize, max: usize| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid(format!(
                    "bootstrap parameters: {name} is {value}, must be in {min}..={max}"
                )))
            }
        };
        within("LWE dimension", self.lwe_dimension, 1, 4096)?;
        within("GLWE dimension", self.glwe_dimension, 1, 16)?;
        within(
            "polynomial size",
            self.polynomial_size,
            256,
            MAX_POLYNOMIAL_SIZE,
        )?;
        if !self.polynomial_size.is_power_of_two() {
            return Err(Error::invalid(format!(
                "bootstrap parameters: polynomial size is {}, must be a power of two",
                self.polynomial_size
            )));
        }
        for (name, decomposition) in [("bootstrap", self.bootstrap), ("keyswitch", self.keyswitch)]
        {
            within(
                &format!("base of the {name} key, in bits,"),
                decomposition.base_log,
                1,
                32,
            )?;
            within(
                &format!("level count of the {name} key"),
                decomposition.levels,
                1,
                32,
            )?;
            within(
                &format!("precision of the {name} key, in bits,"),
                decomposition.base_log * decomposition.levels,
                1,
                63,
            )?;
        }
        within("bytes of a result's entry", self.output_bytes, 1, 4)?;
        for (name, bytes) in [
            ("bootstrap", self.expanded_bootstrap_bytes()),
            ("keyswitch", self.expanded_keyswitch_bytes()),
        ] {
            if bytes > MAX_EXPANDED_BYTES {
                return Err(Error::invalid(format!(
                    "bootstrap parameters: the {name} key takes {} MiB of memory once its masks are expanded, at most {} are given",
                    bytes >> 20,
                    MAX_EXPANDED_BYTES >> 20
                )));
            }
        }
        lwe_noise_bound_log2(self.lwe_dimension)?;
        lwe_noise_bound_log2(self.value_dimension())?;
        Ok(self)
    }

    /// Bytes of memory that expanding both keys takes at most: each with its masks, and once more in the form
    /// that look-ups read.
    pub fn expansion_bytes(&self) -> usize {
        2 * (self.expanded_bootstrap_bytes() + self.expanded_keyswitch_bytes())
    }

    /// Bytes of the bootstrap key with its masks.
    fn expanded_bootstrap_bytes(&self) -> usize {
        let polynomials = self.glwe_dimension + 1;
        8 * self.lwe_dimension
            * self.bootstrap.levels
            * polynomials
            * polynomials
            * self.polynomial_size
    }

    /// Bytes of the keyswitch key with its masks.
    fn expanded_keyswitch_bytes(&self) -> usize {
        8 * self.value_dimension() * self.keyswitch.levels * (self.lwe_dimension + 1)
    }

    /// k·N, the LWE dimension of values.
    pub fn value_dimension(&self) -> usize {
        self.glwe_dimension * self.polynomial_size
    }

    /// Checks that values of a packed layer are of these.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what differs.
    pub fn expect_packed(&self, packed: &PackedParameters) -> Result<()> {
        for (name, found, wanted) in [
            ("GLWE dimension", packed.glwe_dimension, self.glwe_dimension),
            (
                "polynomial size",
                packed.polynomial_size,
                self.polynomial_size,
            ),
            ("body count", packed.bodies, 1),
            ("output limbs", packed.output_limbs, packed.limbs),
            (
                "output body limbs",
                packed.output_body_limbs,
                packed.body_limbs,
            ),
        ] {
            if found != wanted {
                return Err(Error::invalid(format!(
                    "bootstrap circuit: {name} of its packed layer is {found}, must be {wanted}"
                )));
            }
        }
        Ok(())
    }

    /// As the file formats have them.
    pub fn fields(&self) -> [u32; Self::FIELDS] {
        [
            self.lwe_dimension,
            self.glwe_dimension,
            self.polynomial_size,
            self.bootstrap.base_log,
            self.bootstrap.levels,
            self.keyswitch.base_log,
            self.keyswitch.levels,
            self.output_bytes,
        ]
        .map(|field| field as u32)
    }

    /// From a file format, unchecked.
    pub fn of_fields(fields: [u32; Self::FIELDS]) -> Self {
        let [
            lwe_dimension,
            glwe_dimension,
            polynomial_size,
            bootstrap_base,
            bootstrap_levels,
            keyswitch_base,
            keyswitch_levels,
            output_bytes,
        ] = fields.map(|field| field as usize);
        BootstrapParameters {
            lwe_dimension,
            glwe_dimension,
            polynomial_size,
            bootstrap: Decomposition {
                base_log: bootstrap_base,
                levels: bootstrap_levels,
            },
            keyswitch: Decomposition {
                base_log: keyswitch_base,
                levels: keyswitch_levels,
            },
            output_bytes,
        }
    }
}
