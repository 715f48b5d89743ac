//! Polynomials in Chebyshev's basis, over ciphertexts or over numbers in clear: the method of Paterson and
//! Stockmeyer with leaves of degree 1, so that T_0 … T_d take ⌈log2(d + 1)⌉ levels.
//!
//! With T_(m+k) = 2 T_m T_k - T_|m-k|, a polynomial of degree below 2m is q·T_m + r with q and r of degree below m.
//! The remainder is split again by T_(m/2) and so on, so that all products of a node are summed before one
//! relinearisation and rescaling. The scale that q must have is free: its leaves' constants give it.

use fhe_core::Result;

use crate::plan::{ActivationPlan, Place, Plan, height};
use crate::{ActivationForm, LeveledActivation};

/// What computes: sums of products, and rescaling.
pub(crate) trait Backend {
    /// A number a slot, at some level.
    type Value;
    /// A sum of products, not rescaled yet.
    type Sum;

    /// Zero, at a level.
    fn zero(&mut self, level: usize) -> Result<Self::Sum>;

    /// Adds a·b, or twice as much.
    fn add_product(
        &mut self,
        sum: &mut Self::Sum,
        a: &Self::Value,
        b: &Self::Value,
        is_doubled: bool,
    );

    /// Adds a·factor.
    fn add_multiple(&mut self, sum: &mut Self::Sum, a: &Self::Value, factor: Scaled);

    /// Adds a constant.
    fn add_constant(&mut self, sum: &mut Self::Sum, constant: Scaled);

    /// Divides by the last prime of the sum's level, which leaves it at `scale`.
    fn rescale(&mut self, sum: Self::Sum, scale: f64) -> Result<Self::Value>;

    /// Takes back a value that is not needed any more.
    fn release(&mut self, value: Self::Value);
}

/// A real constant, and the scale at which it is rounded to an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scaled {
    pub real: f64,
    pub scale: f64,
}

impl Scaled {
    /// The integer; sums of scales and bounded reals are far below 2^127.
    pub(crate) fn integer(self) -> i128 {
        (self.real * self.scale).round() as i128
    }
}

/// One neuron's polynomial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polynomial<'a> {
    /// c_0 … c_d.
    pub coefficients: &'a [f64],
    /// α.
    pub linear: f64,
}

impl<'a> Polynomial<'a> {
    /// That of a neuron.
    pub(crate) fn of_neuron(activation: &'a LeveledActivation, neuron: usize) -> Self {
        let count = activation.degree + 1;
        Polynomial {
            coefficients: &activation.coefficients[neuron * count..][..count],
            linear: activation.linear.get(neuron).copied().unwrap_or(0.0),
        }
    }
}

/// The polynomial of u.
///
/// # Errors
/// As the backend.
pub(crate) fn evaluate<B: Backend>(
    backend: &mut B,
    plan: &Plan,
    activation: &ActivationPlan,
    polynomial: Polynomial<'_>,
    u: &B::Value,
) -> Result<B::Value> {
    let is_even = activation.form == ActivationForm::EvenPlusLinear;
    // T_1 of u is u.
    let places = &activation.powers[usize::from(!is_even)..];
    let mut powers = Vec::with_capacity(places.len());
    let mut place = activation.input;
    for &next in places {
        let x = powers.last().unwrap_or(u);
        powers.push(double_square_less_one(backend, x, place, next.scale)?);
        place = next;
    }
    let mut evaluation = Evaluation {
        backend,
        plan,
        activation,
        u,
        powers,
        is_even,
    };
    let linear = is_even.then_some(polynomial.linear);
    let result = evaluation.node(polynomial.coefficients, activation.output.scale, linear)?;
    let Evaluation {
        backend, powers, ..
    } = evaluation;
    powers.into_iter().for_each(|power| backend.release(power));
    Ok(result)
}

/// 2x² - 1: T_2m of T_m, and v of u.
fn double_square_less_one<B: Backend>(
    backend: &mut B,
    x: &B::Value,
    place: Place,
    scale: f64,
) -> Result<B::Value> {
    let mut sum = backend.zero(place.level)?;
    backend.add_product(&mut sum, x, x, true);
    let minus_one = Scaled {
        real: -1.0,
        scale: place.scale * place.scale,
    };
    backend.add_constant(&mut sum, minus_one);
    backend.rescale(sum, scale)
}

struct Evaluation<'a, B: Backend> {
    backend: &'a mut B,
    plan: &'a Plan,
    activation: &'a ActivationPlan,
    u: &'a B::Value,
    /// T_1, T_2, T_4, … of v; of u without T_1.
    powers: Vec<B::Value>,
    is_even: bool,
}

impl<B: Backend> Evaluation<'_, B> {
    /// Σ c_k T_k, and linear·u, at `scale`; of degree 1 or more.
    fn node(&mut self, coefficients: &[f64], scale: f64, linear: Option<f64>) -> Result<B::Value> {
        let height = height(coefficients.len());
        let level = self.activation.powers[height - 1].level;
        // Before the rescaling.
        let wide = scale * self.plan.prime(level);
        let mut sum = self.backend.zero(level)?;
        let mut remainder = coefficients.to_vec();
        for k in (1..height).rev() {
            let quotient = divide(&mut remainder, 1 << k);
            let quotient_scale = wide / self.activation.powers[k].scale;
            match quotient[..] {
                [constant] => self.add_multiple(
                    &mut sum,
                    k,
                    Scaled {
                        real: constant,
                        scale: quotient_scale,
                    },
                ),
                _ => {
                    let quotient = self.node(&quotient, quotient_scale, None)?;
                    let power = power(&self.powers, self.u, self.is_even, k);
                    self.backend.add_product(&mut sum, &quotient, power, false);
                    self.backend.release(quotient);
                }
            }
        }
        let first = Scaled {
            real: remainder[1],
            scale: wide / self.activation.powers[0].scale,
        };
        self.add_multiple(&mut sum, 0, first);
        self.backend.add_constant(
            &mut sum,
            Scaled {
                real: remainder[0],
                scale: wide,
            },
        );
        if let Some(linear) = linear {
            let factor = Scaled {
                real: linear,
                scale: wide / self.activation.input.scale,
            };
            self.backend.add_multiple(&mut sum, self.u, factor);
        }
        self.backend.rescale(sum, scale)
    }

    fn add_multiple(&mut self, sum: &mut B::Sum, k: usize, factor: Scaled) {
        let power = power(&self.powers, self.u, self.is_even, k);
        self.backend.add_multiple(sum, power, factor);
    }
}

/// T_(2^k).
fn power<'a, V>(powers: &'a [V], u: &'a V, is_even: bool, k: usize) -> &'a V {
    match (is_even, k) {
        (true, k) => &powers[k],
        (false, 0) => u,
        (false, k) => &powers[k - 1],
    }
}

/// The quotient by T_m of a polynomial of degree m to 2m - 1; the remainder takes its place.
fn divide(coefficients: &mut Vec<f64>, m: usize) -> Vec<f64> {
    let mut quotient = coefficients.split_off(m);
    for k in 1..quotient.len() {
        coefficients[m - k] -= quotient[k];
        quotient[k] *= 2.0;
    }
    quotient
}
