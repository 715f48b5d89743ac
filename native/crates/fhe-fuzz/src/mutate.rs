//! Mutations of valid inputs.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::bytes::{read, write};
use crate::seal::seal;

/// What lengths and counts are set to.
const EXTREMES: [u64; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    63,
    64,
    65,
    255,
    256,
    4096,
    65_535,
    65_536,
    1 << 20,
    1 << 24,
    1 << 28,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];
/// Formats have their fields in the first bytes.
const HEAD: usize = 160;
/// No input grows beyond its seed by more.
const GROWTH: usize = 1 << 16;

/// Makes inputs of seeds, the same for the same number.
pub struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    run: u64,
    input: Vec<u8>,
}

impl<'a> Mutator<'a> {
    /// `run` tells runs apart.
    pub fn new(seeds: &'a [Vec<u8>], run: u64) -> Self {
        Mutator {
            seeds,
            run,
            input: Vec::new(),
        }
    }

    /// Input number `number`. The first are the seeds.
    ///
    /// # Panics
    /// If there are no seeds.
    pub fn input(&mut self, number: u64) -> &[u8] {
        self.input.clear();
        if let Some(seed) = self.seeds.get(number as usize) {
            self.input.extend_from_slice(seed);
            return &self.input;
        }
        let seed = self.run.rotate_left(32) ^ number;
        let random = &mut SmallRng::seed_from_u64(seed);
        let first = self.seeds.choose(random).expect("a target has seeds");
        self.input.extend_from_slice(first);
        if random.random_ratio(1, 8) {
            let other = self.seeds.choose(random).expect("a target has seeds");
            splice(&mut self.input, other, random);
        }
        let most = first.len() + GROWTH;
        for _ in 0..random.random_range(1..=4) {
            mutate(&mut self.input, random);
            self.input.truncate(most);
        }
        if random.random() {
            seal(&mut self.input, random);
        }
        &self.input
    }
}

/// The head of one input and the tail of another.
fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut SmallRng) {
    let cut = place(input.len(), random);
    input.truncate(cut);
    let from = if random.random() {
        cut.min(other.len())
    } else {
        place(other.len(), random)
    };
    input.extend_from_slice(&other[from..]);
}

/// An offset, more often than not among the fields.
fn place(length: usize, random: &mut SmallRng) -> usize {
    if random.random_ratio(3, 4) {
        random.random_range(0..=length.min(HEAD))
    } else {
        random.random_range(0..=length)
    }
}

fn mutate(input: &mut Vec<u8>, random: &mut SmallRng) {
    let length = input.len();
    match random.random_range(0..16) {
        0..=2 => {
            let at = place(length, random);
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        3 => {
            let at = place(length, random);
            if let Some(byte) = input.get_mut(at) {
                *byte = random.random();
            }
        }
        4..=9 => change_field(input, random),
        10 => input.truncate(place(length, random)),
        11 => {
            let more = *[1, 2, 4, 16, 64, 256].choose(random).expect("some");
            input.resize(length + more, random.random());
        }
        12 => {
            let (from, to) = (place(length, random), place(length, random));
            input.drain(from.min(to)..from.max(to));
        }
        13 => {
            let (from, to) = (place(length, random), place(length, random));
            let copy = input[from.min(to)..from.max(to)].to_vec();
            let at = place(length, random);
            input.splice(at..at, copy);
        }
        14 => {
            let (from, to) = (place(length, random), place(length, random));
            let run = random.random_range(1..=32).min(length - from.max(to));
            input.copy_within(from..from + run, to);
        }
        _ => {
            let (from, to) = (place(length, random), place(length, random));
            input[from.min(to)..from.max(to)].fill(random.random());
        }
    }
}

/// An integer set to an extreme, moved a little, or set to what another one is.
fn change_field(input: &mut [u8], random: &mut SmallRng) {
    let width = *[1, 2, 4, 4, 4, 8].choose(random).expect("some");
    let at = place(input.len(), random) & !(width.min(4) - 1);
    let Some(value) = read(input, at, width) else {
        return;
    };
    let value = match random.random_range(0..4) {
        0 | 1 => *EXTREMES.choose(random).expect("some"),
        2 => value.wrapping_add_signed(random.random_range(-4..=4)),
        _ => {
            let other = place(input.len(), random) & !3;
            read(input, other, width).unwrap_or(value << 1)
        }
    };
    write(input, at, width, value);
}
