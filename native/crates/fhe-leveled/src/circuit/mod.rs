//! Leveled circuits: linear layers with integer weights, and a polynomial a neuron between two of them.

mod file;

use fhe_core::parameters::{MAX_INPUTS, MAX_OUTPUTS};
use fhe_core::{Error, Result};

use crate::LeveledParameters;
use crate::plan::{Plan, largest_output_scale, nominal_scale};

/// Largest degree of an activation's polynomial, in Chebyshev's basis.
const MAX_DEGREE: usize = 1023;

/// Most linear layers.
const MAX_LAYERS: usize = 32;

/// Most bytes of a module's key.
const MAX_MODULE_KEY_BYTES: usize = 4096;

/// Largest magnitude of coefficients, multipliers and biases.
const MAX_REAL: f64 = 1_048_576.0; // 2^20

/// Largest input scale.
const MAX_INPUT_SCALE: f64 = 1_099_511_627_776.0; // 2^40

/// How far the first layer's multipliers may be from input scale / nominal scale, as a share.
const MULTIPLIER_TOLERANCE: f64 = 1e-9;

/// How a neuron's polynomial is written; T_k are Chebyshev's polynomials of the first kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationForm {
    /// Σ c_k T_k(u).
    General,
    /// α·u + Σ c_k T_k(v) with v = 2u² - 1: an even function and a multiple of u. The degree is that in v.
    EvenPlusLinear,
}

/// Polynomials on \[-1, 1\], one a neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledActivation {
    /// How they are written.
    pub form: ActivationForm,
    /// The largest k of T_k.
    pub degree: usize,
    /// c_k, `[neurons][degree + 1]`.
    pub coefficients: Vec<f64>,
    /// α, `[neurons]`; empty in the general form.
    pub linear: Vec<f64>,
}

/// outputs = multipliers · (W · inputs) + biases.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledLayer {
    /// Neurons.
    pub outputs: usize,
    /// W, s8 `[outputs][inputs]`.
    pub weights: Vec<i8>,
    /// What an integer of W is worth, `[outputs]`.
    pub multipliers: Vec<f64>,
    /// Added to each output, `[outputs]`.
    pub biases: Vec<f64>,
}

/// A network whose hidden neurons' inputs u and whose outputs y lie within \[-1, 1\] for all records that a client
/// may send.
#[derive(Debug, Clone, PartialEq)]
pub struct LeveledCircuit {
    /// Of the input ciphertexts: as many levels as the circuit needs.
    pub parameters: LeveledParameters,
    /// The `named_modules()` key of the module it came from.
    pub module_key: String,
    /// d_in.
    pub inputs: usize,
    /// Two or more; the first one's multipliers are all input scale / nominal scale.
    pub layers: Vec<LeveledLayer>,
    /// One between two layers.
    pub activations: Vec<LeveledActivation>,
    /// What inputs are multiplied by when they are encrypted.
    pub input_scale: f64,
    /// What outputs are multiplied by in the results.
    pub output_scale: f64,
}

impl LeveledCircuit {
    /// Checks parameters, shapes and numbers, and that there are just as many levels as needed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn validate(self) -> Result<Self> {
        self.parameters.validate()?;
        self.check().map_err(|error| match error {
            Error::InvalidInput(what) => Error::invalid(format!(
                "leveled circuit of module {:?}: {what}",
                self.module_key
            )),
            other => other,
        })?;
        Ok(self)
    }

    /// d_out.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Form and degree of each activation.
    pub fn activation_shapes(&self) -> Vec<(ActivationForm, usize)> {
        let shape = |activation: &LeveledActivation| (activation.form, activation.degree);
        self.activations.iter().map(shape).collect()
    }

    fn check(&self) -> Result<()> {
        if self.module_key.len() > MAX_MODULE_KEY_BYTES {
            return Err(Error::invalid(format!(
                "its key has {} bytes, at most {MAX_MODULE_KEY_BYTES} are allowed",
                self.module_key.len()
            )));
        }
        check_count("inputs", self.inputs, 1, MAX_INPUTS)?;
        check_count("linear layers", self.layers.len(), 2, MAX_LAYERS)?;
        if self.activations.len() + 1 != self.layers.len() {
            return Err(Error::invalid(format!(
                "it has {} activations between {} linear layers",
                self.activations.len(),
                self.layers.len()
            )));
        }
        let mut inputs = self.inputs;
        for (number, layer) in self.layers.iter().enumerate() {
            layer.check(number, inputs)?;
            inputs = layer.outputs;
        }
        for (number, (activation, layer)) in self.activations.iter().zip(&self.layers).enumerate() {
            activation.check(number, layer.outputs)?;
        }
        check_scale("input scale", self.input_scale, MAX_INPUT_SCALE)?;
        let n = self.parameters.polynomial_size;
        check_scale("output scale", self.output_scale, largest_output_scale(n))?;
        let expected = self.input_scale / nominal_scale();
        let multipliers = &self.layers[0].multipliers;
        let differs =
            |multiplier: &&f64| (**multiplier / expected - 1.0).abs() > MULTIPLIER_TOLERANCE;
        if let Some(multiplier) = multipliers.iter().find(differs) {
            return Err(Error::invalid(format!(
                "a multiplier of its first layer is {multiplier:e}, all must be {expected:e}, its input scale / 2^30"
            )));
        }
        Plan::check_levels(self.parameters.levels, &self.activation_shapes())
    }
}

impl LeveledLayer {
    fn check(&self, number: usize, inputs: usize) -> Result<()> {
        check_count(
            &format!("outputs of layer {number}"),
            self.outputs,
            1,
            MAX_OUTPUTS,
        )?;
        let name = |what: &str| format!("{what} of layer {number}");
        let weights = self.outputs * inputs;
        check_count(&name("weights"), self.weights.len(), weights, weights)?;
        check_reals(&name("multipliers"), &self.multipliers, self.outputs)?;
        check_reals(&name("biases"), &self.biases, self.outputs)
    }
}

impl LeveledActivation {
    fn check(&self, number: usize, neurons: usize) -> Result<()> {
        let name = |what: &str| format!("{what} of activation {number}");
        check_count(&name("degree"), self.degree, 1, MAX_DEGREE)?;
        let coefficients = neurons * (self.degree + 1);
        check_reals(&name("coefficients"), &self.coefficients, coefficients)?;
        let linear = match self.form {
            ActivationForm::General => 0,
            ActivationForm::EvenPlusLinear => neurons,
        };
        check_reals(&name("linear terms"), &self.linear, linear)
    }
}

fn check_count(name: &str, found: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Error::invalid(match least == most {
        true => format!("it has {found} for {name}, must be {most}"),
        false => format!("it has {found} for {name}, must be in {least}..={most}"),
    }))
}

fn check_reals(name: &str, reals: &[f64], expected: usize) -> Result<()> {
    check_count(name, reals.len(), expected, expected)?;
    // What is not a number is in no range.
    match reals
        .iter()
        .find(|real| !(-MAX_REAL..=MAX_REAL).contains(*real))
    {
        Some(real) => Err(Error::invalid(format!(
            "one of {name} is {real:e}, must be at most 2^20 in magnitude"
        ))),
        None => Ok(()),
    }
}

fn check_scale(name: &str, scale: f64, most: f64) -> Result<()> {
    if (1.0..=most).contains(&scale) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "its {name} is {scale:e}, must be in 1..={most}"
    )))
}
