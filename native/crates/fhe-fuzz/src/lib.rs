//! Fuzzing of what reads foreign bytes: blocks, circuits, keys, module specifications.
//!
//! Inputs are valid files of small parameters ([`Target::seeds`]), mutated (`mutate`) and in half of the cases
//! sealed again (`seal`), since otherwise nothing gets past the checksums. Each target states what must hold; a
//! panic, an abort, an allocation beyond what the input's length allows or an input that takes too long is a
//! finding. Findings are kept in `regressions/TARGET/`, which the tests run.

mod allocations;
mod bytes;
mod mutate;
mod seal;
mod targets;

pub use allocations::CountedAllocator;
pub use mutate::Mutator;
pub use targets::all;

/// Reads an input; panics if something does not hold. Gives whether the input was accepted.
pub type Check = Box<dyn Fn(&[u8]) -> bool>;

/// Something that reads foreign bytes.
pub struct Target {
    /// Of the target and its folder of regression inputs.
    pub name: &'static str,
    /// Its share of the inputs of a run; the shares of all targets add up to what [`all`] gives.
    pub share: u32,
    /// Well-formed inputs, the same in every run; the first is accepted.
    pub seeds: Vec<Vec<u8>>,
    /// What no single allocation for an input may exceed: bytes a byte of input, and bytes on top of that.
    pub most_bytes: (usize, usize),
    /// What reads them.
    pub check: Check,
}

impl Target {
    /// Runs one input; gives whether it was accepted.
    ///
    /// # Panics
    /// If a property of the target does not hold, or an allocation was larger than it allows.
    pub fn run(&self, input: &[u8]) -> bool {
        allocations::restart();
        let is_accepted = (self.check)(input);
        let (factor, constant) = self.most_bytes;
        let (largest, most) = (allocations::largest(), factor * input.len() + constant);
        assert!(
            largest <= most,
            "{largest} bytes were asked for at once for an input of {}, at most {most} are allowed",
            input.len()
        );
        is_accepted
    }
}
