//! Steps of circuits with look-ups, as Java gives them: one stream of integers, one of words.

use fhe_core::bootstrap::{SparseRows, Step};
use fhe_core::{Error, Result};

use crate::arrays;

const LINEAR: i32 = 1;
const LOOKUP: i32 = 2;

/// Takes from the front.
struct Stream<'a, T>(&'a [T]);

impl<'a, T: Copy> Stream<'a, T> {
    fn take(&mut self, count: i32) -> Result<&'a [T]> {
        let count = arrays::count(count, "the length of a step")?;
        self.0
            .split_off(..count)
            .ok_or_else(|| Error::Internal("a step is cut short".into()))
    }

    fn next(&mut self) -> Result<T> {
        Ok(self.take(1)?[0])
    }
}

/// A linear step is 1, its numbers of rows and of entries, ends, columns, weights, and as words its constants;
/// a look-up 2, first, count, table, and as words factor and offset.
pub fn steps(integers: &[i32], words: &[i64]) -> Result<Vec<Step>> {
    let (mut integers, mut words) = (Stream(integers), Stream(words));
    let mut steps = Vec::new();
    while !integers.0.is_empty() {
        steps.push(match integers.next()? {
            LINEAR => {
                let (rows, entries) = (integers.next()?, integers.next()?);
                Step::Linear {
                    rows: SparseRows {
                        ends: counts(integers.take(rows)?, "the end of a row")?,
                        columns: counts(integers.take(entries)?, "a column")?,
                        weights: integers.take(entries)?.to_vec(),
                    },
                    constants: words.take(rows)?.iter().map(|&word| word as u64).collect(),
                }
            }
            LOOKUP => Step::Lookup {
                first: arrays::count(integers.next()?, "the first value of a look-up")? as u32,
                count: arrays::count(integers.next()?, "the value count of a look-up")? as u32,
                table: arrays::count(integers.next()?, "the table of a look-up")? as u32,
                factor: words.next()?,
                offset: words.next()? as u64,
            },
            kind => return Err(Error::Internal(format!("a step of the kind {kind}"))),
        });
    }
    if !words.0.is_empty() {
        return Err(Error::Internal("words are left over".into()));
    }
    Ok(steps)
}

/// Integers that count something.
pub fn counts(integers: &[i32], what: &str) -> Result<Vec<u32>> {
    integers
        .iter()
        .map(|&integer| Ok(arrays::count(integer, what)? as u32))
        .collect()
}
