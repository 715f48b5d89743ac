//! Choice of parameters: the least predicted time among all that are secure and quiet enough.

use crate::noise::fresh_noise_bound_log2;
use crate::parameters::{MAX_LIMBS, MAX_POLYNOMIAL_SIZE, MIN_LIMBS, PackedParameters};
use crate::{Error, Result};

use super::{
    Amplification, BootstrapNoise, BootstrapParameters, Decomposition, LookupTime, packed_variance,
};

/// Noise that is borne at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseTarget {
    /// Of the noise that comes there.
    pub amplification: Amplification,
    /// The most it may be, with what a look-up's reading or the way to the client adds; relative to the torus.
    pub variance: f64,
}

/// What parameters are wanted for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Of each step of look-ups: what it reads.
    pub lookups: Vec<NoiseTarget>,
    /// What reaches the client.
    pub outputs: NoiseTarget,
    /// p of the packed layer.
    pub message_bits: usize,
    /// d_in.
    pub inputs: usize,
    /// Outputs of the packed layer.
    pub packed_outputs: usize,
    /// Outputs of the circuit.
    pub output_count: usize,
    /// Look-ups of a record.
    pub lookup_count: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchChoice {
    /// Of the packed layer.
    pub packed: PackedParameters,
    /// Of the look-ups.
    pub parameters: BootstrapParameters,
    /// Predicted standard deviation of what each step of look-ups reads.
    pub lookup_deviations: Vec<f64>,
    /// The same of the outputs.
    pub output_deviation: f64,
    /// Predicted seconds of a look-up on one core.
    pub seconds_per_lookup: f64,
    /// Combinations that were looked at.
    pub candidates: u64,
}

/// GLWE dimensions k·N that are looked at: at fewer the packed layer is not secure, at more all is slower and
/// nothing quieter.
const VALUE_DIMENSIONS: std::ops::RangeInclusive<usize> = 1024..=4096;
const MIN_POLYNOMIAL_SIZE: usize = 256;
/// LWE dimensions that are looked at, and how far they are apart.
const LWE_DIMENSIONS: std::ops::RangeInclusive<usize> = 900..=1300;
const LWE_DIMENSION_STEP: usize = 4;
const BOOTSTRAP_LEVELS: std::ops::RangeInclusive<usize> = 1..=4;
const KEYSWITCH_LEVELS: std::ops::RangeInclusive<usize> = 1..=10;
const OUTPUT_BYTES: std::ops::RangeInclusive<usize> = 1..=4;

/// Seconds a multiplication of a limb by a weight takes in the packed layer.
const PACKED_SECONDS: f64 = 1e-11;
/// Records that share the packed layer's mask, as far as its time goes.
const PACKED_RECORDS: f64 = 32.0;

impl SearchRequest {
    /// Looks at everything.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if no parameters reach the targets, naming the one that is missed by most, or if
    /// the request is out of range.
    pub fn search(&self) -> Result<SearchChoice> {
        self.validate()?;
        let mut search = Search {
            request: self,
            best: None,
            nearest: (f64::INFINITY, String::new()),
            candidates: 0,
        };
        let mut size = MIN_POLYNOMIAL_SIZE;
        while size <= MAX_POLYNOMIAL_SIZE {
            for glwe_dimension in 1..=16 {
                if VALUE_DIMENSIONS.contains(&(glwe_dimension * size)) {
                    search.glwe(glwe_dimension, size)?;
                }
            }
            size *= 2;
        }
        let Some((_, choice)) = search.best else {
            return Err(Error::invalid(format!(
                "no secure parameters are accurate enough: {}; allow larger errors, or use smaller weights or fewer of them in a layer",
                search.nearest.1
            )));
        };
        Ok(SearchChoice {
            candidates: search.candidates,
            ..choice
        })
    }

    fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("inputs", self.inputs),
            ("outputs of the packed layer", self.packed_outputs),
            ("outputs", self.output_count),
            ("look-ups", self.lookup_count),
            ("message bits", self.message_bits),
        ] {
            if value == 0 {
                return Err(Error::invalid(format!(
                    "bootstrap parameters are wanted for no {name}"
                )));
            }
        }
        if self.message_bits > 8 * MAX_LIMBS {
            return Err(Error::invalid(format!(
                "the packed layer needs {} message bits, at most {} are possible",
                self.message_bits,
                8 * MAX_LIMBS
            )));
        }
        for target in self.lookups.iter().chain([&self.outputs]) {
            let Amplification { packed, lookups } = target.amplification;
            let is_sound = packed >= 0.0 && lookups >= 0.0 && target.variance > 0.0;
            if !is_sound || !(packed + lookups + target.variance).is_finite() {
                return Err(Error::invalid(format!(
                    "bootstrap parameters are wanted for the noise {target:?}"
                )));
            }
        }
        Ok(())
    }
}

struct Search<'a> {
    request: &'a SearchRequest,
    /// Its seconds a record.
    best: Option<(f64, SearchChoice)>,
    /// How many times too much noise there is at least, and where.
    nearest: (f64, String),
    candidates: u64,
}

/// A decomposition, and the variance it gives.
struct Quietest {
    decomposition: Decomposition,
    variance: f64,
}

impl Search<'_> {
    fn glwe(&mut self, glwe_dimension: usize, polynomial_size: usize) -> Result<()> {
        let layers = self.packed_layers(glwe_dimension, polynomial_size);
        for lwe_dimension in LWE_DIMENSIONS.step_by(LWE_DIMENSION_STEP) {
            let parameters = BootstrapParameters {
                lwe_dimension,
                glwe_dimension,
                polynomial_size,
                bootstrap: Decomposition {
                    base_log: 1,
                    levels: 1,
                },
                keyswitch: Decomposition {
                    base_log: 1,
                    levels: 1,
                },
                output_bytes: 4,
            };
            let bootstraps = quietest(BOOTSTRAP_LEVELS, |bootstrap| {
                BootstrapParameters {
                    bootstrap,
                    ..parameters
                }
                .noise(|noise| noise.bootstrap)
            })?;
            let keyswitches = quietest(KEYSWITCH_LEVELS, |keyswitch| {
                BootstrapParameters {
                    keyswitch,
                    ..parameters
                }
                .noise(|noise| noise.keyswitch)
            })?;
            let modulus_switch = parameters.noise(|noise| noise.modulus_switch)?;
            let roundings = OUTPUT_BYTES
                .map(|output_bytes| {
                    BootstrapParameters {
                        output_bytes,
                        ..parameters
                    }
                    .noise(|noise| noise.output_rounding)
                })
                .collect::<Result<Vec<_>>>()?;
            for bootstrap in &bootstraps {
                for keyswitch in &keyswitches {
                    let parameters = BootstrapParameters {
                        bootstrap: bootstrap.decomposition,
                        keyswitch: keyswitch.decomposition,
                        ..parameters
                    };
                    for &(packed, fresh) in &layers {
                        for (output_bytes, &output_rounding) in OUTPUT_BYTES.zip(&roundings) {
                            let noise = BootstrapNoise {
                                keyswitch: keyswitch.variance,
                                modulus_switch,
                                bootstrap: bootstrap.variance,
                                output_rounding,
                            };
                            let parameters = BootstrapParameters {
                                output_bytes,
                                ..parameters
                            };
                            self.candidate(packed, fresh, parameters, &noise);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Packed layers of a GLWE shape, with the variance of their fresh encryptions.
    fn packed_layers(
        &self,
        glwe_dimension: usize,
        polynomial_size: usize,
    ) -> Vec<(PackedParameters, f64)> {
        let mut layers = Vec::new();
        for limbs in MIN_LIMBS..=MAX_LIMBS {
            if fresh_noise_bound_log2(glwe_dimension * polynomial_size, limbs).is_err() {
                continue;
            }
            for body_limbs in 2..=limbs {
                let packed = PackedParameters {
                    glwe_dimension,
                    polynomial_size,
                    limbs,
                    body_limbs,
                    output_limbs: limbs,
                    output_body_limbs: body_limbs,
                    message_bits: self.request.message_bits,
                    bodies: 1,
                    summands: 1,
                    flooding: 0,
                };
                if let (Ok(packed), Ok(variance)) = (packed.validate(), packed_variance(&packed)) {
                    layers.push((packed, variance));
                }
            }
        }
        layers
    }

    fn candidate(
        &mut self,
        packed: PackedParameters,
        fresh: f64,
        parameters: BootstrapParameters,
        noise: &BootstrapNoise,
    ) {
        self.candidates += 1;
        let request = self.request;
        let variance = |target: &NoiseTarget, added: f64| {
            target.amplification.variance(fresh, noise.bootstrap) + added
        };
        let mut worst = (0.0, None);
        let targets = request
            .lookups
            .iter()
            .map(|target| (target, noise.reading()))
            .chain([(&request.outputs, noise.sending())]);
        for (place, (target, added)) in targets.enumerate() {
            let excess = variance(target, added) / target.variance;
            if excess > worst.0 {
                worst = (
                    excess,
                    Some((place, target.variance, variance(target, added))),
                );
            }
        }
        if let (excess, Some((place, wanted, found))) = worst
            && excess > 1.0
        {
            if excess < self.nearest.0 {
                let place = if place < request.lookups.len() {
                    format!("look-up step {place} may read")
                } else {
                    "outputs may arrive".into()
                };
                let (wanted, found) = (wanted.sqrt(), found.sqrt());
                let what = format!(
                    "{place} with an error of at most {wanted:.2e} of the torus (standard deviation), the nearest parameters give {found:.2e}"
                );
                self.nearest = (excess, what);
            }
            return;
        }
        let time = LookupTime::of(&parameters);
        let products = (request.inputs * request.packed_outputs) as f64;
        let rows = packed.body_limbs as f64
            + (packed.limbs * packed.lwe_dimension()) as f64 / PACKED_RECORDS;
        // Bytes are counted only where the time is the same.
        let bytes = request.inputs * packed.body_limbs
            + request.output_count * (parameters.lwe_dimension + 1) * parameters.output_bytes;
        let seconds = request.lookup_count as f64 * time.lookup()
            + request.output_count as f64 * time.keyswitch
            + PACKED_SECONDS * products * rows
            + 1e-12 * bytes as f64;
        if self.best.as_ref().is_none_or(|(least, _)| seconds < *least) {
            let choice = SearchChoice {
                packed,
                parameters,
                lookup_deviations: request
                    .lookups
                    .iter()
                    .map(|target| variance(target, noise.reading()).sqrt())
                    .collect(),
                output_deviation: variance(&request.outputs, noise.sending()).sqrt(),
                seconds_per_lookup: time.lookup(),
                candidates: 0,
            };
            self.best = Some((seconds, choice));
        }
    }
}

impl BootstrapParameters {
    fn noise(&self, part: impl Fn(&BootstrapNoise) -> f64) -> Result<f64> {
        Ok(part(&BootstrapNoise::of(self)?))
    }
}

/// For each number of levels the base that gives the least noise.
fn quietest(
    levels: std::ops::RangeInclusive<usize>,
    noise: impl Fn(Decomposition) -> Result<f64>,
) -> Result<Vec<Quietest>> {
    levels
        .map(|levels| {
            let mut best: Option<Quietest> = None;
            for base_log in 1..=(63 / levels).min(32) {
                let decomposition = Decomposition { base_log, levels };
                let variance = noise(decomposition)?;
                if best.as_ref().is_none_or(|best| variance < best.variance) {
                    best = Some(Quietest {
                        decomposition,
                        variance,
                    });
                }
            }
            best.ok_or_else(|| Error::Internal(format!("no base for {levels} levels")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(deviation: f64) -> SearchRequest {
        let target = |packed, lookups| NoiseTarget {
            amplification: Amplification { packed, lookups },
            variance: deviation * deviation,
        };
        SearchRequest {
            lookups: vec![target(1e5, 0.0)],
            outputs: target(0.0, 1e5),
            message_bits: 20,
            inputs: 64,
            packed_outputs: 32,
            output_count: 10,
            lookup_count: 32,
        }
    }

    #[test]
    fn what_is_found_reaches_its_targets_and_more_accuracy_costs_more() {
        let mut last = 0.0;
        for deviation in [6e-3, 3e-3, 1.5e-3] {
            let request = request(deviation);
            let choice = request.search().unwrap();
            let noise = BootstrapNoise::of(&choice.parameters).unwrap();
            choice.parameters.expect_packed(&choice.packed).unwrap();
            let fresh = packed_variance(&choice.packed).unwrap();
            let read = (1e5 * fresh + noise.reading()).sqrt();
            assert!((choice.lookup_deviations[0] / read - 1.0).abs() < 1e-9);
            let sent = (1e5 * noise.bootstrap + noise.sending()).sqrt();
            assert!((choice.output_deviation / sent - 1.0).abs() < 1e-9);
            assert!(read <= deviation && sent <= deviation);
            assert!(choice.seconds_per_lookup > last);
            last = choice.seconds_per_lookup;
        }
    }

    #[test]
    fn what_cannot_be_reached_is_named() {
        let message = |request: SearchRequest| request.search().unwrap_err().to_string();
        let found = message(request(1e-6));
        assert!(found.contains("look-up step 0 may read"), "{found}");
        let mut outputs = request(2e-3);
        outputs.outputs.variance = 1e-14;
        let found = message(outputs);
        assert!(found.contains("outputs may arrive"), "{found}");
        let mut nothing = request(2e-3);
        nothing.lookup_count = 0;
        assert!(message(nothing).contains("no look-ups"));
        let mut unsound = request(2e-3);
        unsound.outputs.variance = f64::NAN;
        assert!(message(unsound).contains("noise"));
    }
}
