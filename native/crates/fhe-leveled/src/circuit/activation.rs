//! Polynomials between linear layers.

use fhe_core::{Error, Result};

use super::is_sane;

/// Higher degrees than any ring has levels for.
const MAX_DEGREE: usize = 1 << 12;

/// What coefficients multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActivationForm {
    /// `Σ_k c_k · T_k(u)`.
    General,
    /// `α·u + Σ_k c_k · T_k(2u² − 1)`: a function that is even but for a linear part.
    Even,
}

impl ActivationForm {
    pub(crate) fn code(self) -> u32 {
        match self {
            ActivationForm::General => 0,
            ActivationForm::Even => 1,
        }
    }

    pub(crate) fn of_code(code: u32) -> Result<Self> {
        [ActivationForm::General, ActivationForm::Even]
            .into_iter()
            .find(|form| form.code() == code)
            .ok_or_else(|| {
                Error::invalid(format!("leveled circuit has an activation of form {code}"))
            })
    }
}

/// Polynomials in the Chebyshev basis, one a neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledActivation {
    /// What they are polynomials of.
    pub form: ActivationForm,
    /// The largest k of T_k.
    pub degree: usize,
    /// `[neurons][degree + 1]`.
    pub coefficients: Vec<f64>,
    /// α of each neuron, `[neurons]`; empty in the general form.
    pub linear: Vec<f64>,
}

impl LeveledActivation {
    /// Checks shape and numbers; an error says what it has.
    pub(super) fn validate(&self, neurons: usize) -> std::result::Result<(), String> {
        let linear = match self.form {
            ActivationForm::General => 0,
            ActivationForm::Even => neurons,
        };
        if !(1..=MAX_DEGREE).contains(&self.degree)
            || Some(self.coefficients.len()) != neurons.checked_mul(self.degree + 1)
            || self.linear.len() != linear
        {
            return Err(format!(
                "degree {}, {} coefficients and {} linear terms for {neurons} neurons",
                self.degree,
                self.coefficients.len(),
                self.linear.len()
            ));
        }
        let mut numbers = self.coefficients.iter().chain(&self.linear);
        match numbers.find(|number| !is_sane(**number)) {
            Some(number) => Err(format!("the number {number}")),
            None => Ok(()),
        }
    }

    /// Coefficients of a neuron, `[degree + 1]`.
    pub(crate) fn of_neuron(&self, neuron: usize) -> &[f64] {
        &self.coefficients[neuron * (self.degree + 1)..][..self.degree + 1]
    }
}
