//! Float records of a block, wherever they lie.

use fhe_core::{Error, Result};

use crate::cache;

/// Records `[T][d_in]` to be quantised: rows of tables, or the windows of convolutions.
pub struct Records<'a> {
    inputs: usize,
    source: Source<'a>,
}

enum Source<'a> {
    Rows(Vec<&'a [f32]>),
    Windows {
        unfolding: Unfolding,
        runs: Vec<WindowRun<'a>>,
        count: usize,
    },
}

/// Some windows of an image that follow one another.
struct WindowRun<'a> {
    /// Index of its first window among the records.
    start: usize,
    /// `[channels][height][width]`.
    image: &'a [f32],
    /// Output position of its first window.
    first: usize,
}

impl<'a> Records<'a> {
    /// The rows of a table `[T][d_in]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is not whole records.
    pub fn table(values: &'a [f32], inputs: usize) -> Result<Self> {
        if inputs == 0 || !values.len().is_multiple_of(inputs) {
            return Err(Error::invalid(format!(
                "{} activations are not whole records of {inputs}",
                values.len()
            )));
        }
        Records::rows(values.chunks_exact(inputs).collect(), inputs)
    }

    /// Rows of `inputs` values each.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a row is of another length.
    pub fn rows(rows: Vec<&'a [f32]>, inputs: usize) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| row.len() != inputs) {
            return Err(Error::invalid(format!(
                "a record of {} activations where one has {inputs}",
                row.len()
            )));
        }
        Ok(Records {
            inputs,
            source: Source::Rows(rows),
        })
    }

    /// Windows of images `[channels][height][width]`: for each image the output position of the first and
    /// their number.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an image is of another size, or has no such windows.
    pub fn windows(
        unfolding: Unfolding,
        images: impl IntoIterator<Item = (&'a [f32], usize, usize)>,
    ) -> Result<Self> {
        let mut runs = Vec::new();
        let mut start = 0usize;
        for (image, first, count) in images {
            let positions = unfolding.positions();
            if image.len() != unfolding.image_values() {
                return Err(Error::invalid(format!(
                    "an image of {} values where one has {}",
                    image.len(),
                    unfolding.image_values()
                )));
            }
            if first > positions || count > positions - first {
                return Err(Error::invalid(format!(
                    "windows {first} and {count} more of an image that has {positions}"
                )));
            }
            runs.push(WindowRun {
                start,
                image,
                first,
            });
            start += count;
        }
        Ok(Records {
            inputs: unfolding.window_values(),
            source: Source::Windows {
                unfolding,
                runs,
                count: start,
            },
        })
    }

    /// T.
    pub fn count(&self) -> usize {
        match &self.source {
            Source::Rows(rows) => rows.len(),
            Source::Windows { count, .. } => *count,
        }
    }

    /// d_in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The records, if they are rows.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if they are the windows of a convolution.
    pub fn as_rows(&self) -> Result<&[&'a [f32]]> {
        match &self.source {
            Source::Rows(rows) => Ok(rows),
            Source::Windows { .. } => Err(Error::invalid(
                "windows of a convolution where rows are expected",
            )),
        }
    }

    /// A record, in place or written to `scratch`, `[d_in]`.
    #[inline(always)]
    pub(crate) fn record<'s>(&'s self, index: usize, scratch: &'s mut [f32]) -> &'s [f32] {
        match &self.source {
            Source::Rows(rows) => rows[index],
            Source::Windows {
                unfolding, runs, ..
            } => {
                let run = &runs[runs.partition_point(|run| run.start <= index) - 1];
                unfolding.copy_window(run.image, run.first + index - run.start, scratch);
                scratch
            }
        }
    }

    /// Has a record on its way to the cache, if it lies in one piece.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: usize) {
        if let Source::Rows(rows) = &self.source {
            cache::prefetch(rows.get(index).copied().unwrap_or_default());
        }
    }
}

/// The windows of a convolution on images `[channels][height][width]` (im2col); a window is
/// `[channels][kernel height][kernel width]`, zero where it reaches into the padding. Pairs are height and
/// width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfolding {
    /// Channels of an image.
    pub channels: usize,
    /// Extent of an image.
    pub extent: [usize; 2],
    /// Extent of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub strides: [usize; 2],
    /// Zeros before an image.
    pub pads_begin: [usize; 2],
    /// Zeros after an image.
    pub pads_end: [usize; 2],
    /// Steps between the elements of a window.
    pub dilations: [usize; 2],
}

/// Largest length along any axis.
const MAX_EXTENT: usize = 1 << 24;

impl Unfolding {
    /// Checks that there are windows, and that no product of lengths overflows.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming what is out of range.
    pub fn validate(self) -> Result<Self> {
        for (name, lengths, least) in [
            ("channels", [self.channels; 2], 1),
            ("extent", self.extent, 1),
            ("kernel", self.kernel, 1),
            ("strides", self.strides, 1),
            ("begin of padding", self.pads_begin, 0),
            ("end of padding", self.pads_end, 0),
            ("dilations", self.dilations, 1),
        ] {
            if lengths.iter().any(|l| !(least..=MAX_EXTENT).contains(l)) {
                return Err(Error::invalid(format!(
                    "convolution: {name} {lengths:?}, must be in {least}..={MAX_EXTENT}"
                )));
            }
        }
        let product = |[height, width]: [usize; 2]| {
            let plane = height.checked_mul(width)?;
            plane.checked_mul(self.channels)
        };
        if product(self.kernel).is_none() || product(self.extent).is_none() {
            return Err(Error::invalid(format!("convolution: {self:?} overflows")));
        }
        if (0..2).any(|axis| self.padded(axis) < self.window(axis)) {
            return Err(Error::invalid(format!(
                "convolution: a window of {:?}, dilated by {:?}, does not fit an image of {:?}",
                self.kernel, self.dilations, self.extent
            )));
        }
        Ok(self)
    }

    fn padded(&self, axis: usize) -> usize {
        self.extent[axis] + self.pads_begin[axis] + self.pads_end[axis]
    }

    fn window(&self, axis: usize) -> usize {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    fn positions_along(&self, axis: usize) -> usize {
        (self.padded(axis) - self.window(axis)) / self.strides[axis] + 1
    }

    /// Windows of an image.
    pub fn positions(&self) -> usize {
        self.positions_along(0) * self.positions_along(1)
    }

    /// Values of a window: d_in of the matrix product.
    pub fn window_values(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Values of an image.
    pub fn image_values(&self) -> usize {
        self.channels * self.extent[0] * self.extent[1]
    }

    /// Elements of a window along an axis that lie in the image, if its first element lies at `start`.
    fn inside(&self, axis: usize, start: isize) -> std::ops::Range<usize> {
        let dilation = self.dilations[axis];
        let before = start.min(0).unsigned_abs().div_ceil(dilation);
        let end = usize::try_from(self.extent[axis] as isize - start)
            .map_or(0, |left| left.div_ceil(dilation));
        let end = end.min(self.kernel[axis]);
        before.min(end)..end
    }

    /// Writes the window at an output position.
    #[inline(always)]
    fn copy_window(&self, image: &[f32], position: usize, window: &mut [f32]) {
        let across = self.positions_along(1);
        let place = [position / across, position % across];
        let [top, left] = std::array::from_fn(|axis| {
            (place[axis] * self.strides[axis]) as isize - self.pads_begin[axis] as isize
        });
        let (rows, columns) = (self.inside(0, top), self.inside(1, left));
        let [height, width] = self.extent;
        let planes = image.chunks_exact(height * width);
        let windows = window.chunks_exact_mut(self.kernel[0] * self.kernel[1]);
        for (plane, window) in planes.zip(windows) {
            for (row, window) in window.chunks_exact_mut(self.kernel[1]).enumerate() {
                if !rows.contains(&row) || columns.is_empty() {
                    window.fill(0.0);
                    continue;
                }
                let y = (top + (row * self.dilations[0]) as isize) as usize;
                let x = (left + (columns.start * self.dilations[1]) as isize) as usize;
                let line = &plane[y * width + x..(y + 1) * width];
                window[..columns.start].fill(0.0);
                window[columns.end..].fill(0.0);
                let window = &mut window[columns.clone()];
                for (value, &element) in window
                    .iter_mut()
                    .zip(line.iter().step_by(self.dilations[1]))
                {
                    *value = element;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = [usize; 2]> {
        [range.clone(), range]
    }

    proptest! {
        #[test]
        fn windows_are_what_a_padded_image_shows(
            channels in 1usize..=3,
            extent in pair(1..=7),
            kernel in pair(1..=4),
            strides in pair(1..=3),
            pads_begin in pair(0..=5),
            pads_end in pair(0..=5),
            dilations in pair(1..=3),
        ) {
            let unfolding = Unfolding {
                channels, extent, kernel, strides, pads_begin, pads_end, dilations,
            };
            let Ok(unfolding) = unfolding.validate() else {
                let fits = |axis: usize| {
                    extent[axis] + pads_begin[axis] + pads_end[axis]
                        > dilations[axis] * (kernel[axis] - 1)
                };
                prop_assert!(!(fits(0) && fits(1)));
                return Ok(());
            };
            let images: Vec<Vec<f32>> = (0..2)
                .map(|n| (0..unfolding.image_values()).map(|i| (100 * n + i + 1) as f32).collect())
                .collect();
            let positions = unfolding.positions();
            // All of the first image, and what is left of the second after its first window.
            let records = Records::windows(
                unfolding,
                [(&images[0][..], 0, positions), (&images[1][..], 1, positions - 1)],
            )
            .unwrap();
            prop_assert_eq!(records.count(), 2 * positions - 1);
            let padded = |n: usize, c: usize, y: usize, x: usize| {
                let inside = y >= pads_begin[0]
                    && x >= pads_begin[1]
                    && y - pads_begin[0] < extent[0]
                    && x - pads_begin[1] < extent[1];
                if inside {
                    images[n][(c * extent[0] + y - pads_begin[0]) * extent[1] + x - pads_begin[1]]
                } else {
                    0.0
                }
            };
            let across = (extent[1] + pads_begin[1] + pads_end[1] - dilations[1] * (kernel[1] - 1) - 1)
                / strides[1]
                + 1;
            let mut scratch = vec![-1.0; records.inputs()];
            for index in 0..records.count() {
                let (n, p) = if index < positions { (0, index) } else { (1, index - positions + 1) };
                let mut expected = Vec::new();
                for c in 0..channels {
                    for ky in 0..kernel[0] {
                        for kx in 0..kernel[1] {
                            let y = p / across * strides[0] + ky * dilations[0];
                            let x = p % across * strides[1] + kx * dilations[1];
                            expected.push(padded(n, c, y, x));
                        }
                    }
                }
                prop_assert_eq!(records.record(index, &mut scratch), &expected[..]);
            }
        }
    }

    #[test]
    fn windows_beyond_an_image_are_refused() {
        let unfolding = Unfolding {
            channels: 1,
            extent: [1, 4],
            kernel: [1, 2],
            strides: [1, 1],
            pads_begin: [0, 0],
            pads_end: [0, 0],
            dilations: [1, 1],
        };
        let image = [0.0; 4];
        assert!(Records::windows(unfolding, [(&image[..], 1, 2)]).is_ok());
        assert!(Records::windows(unfolding, [(&image[..], 1, 3)]).is_err());
        assert!(Records::windows(unfolding, [(&image[..3], 0, 1)]).is_err());
        let wide = Unfolding {
            kernel: [1, 5],
            ..unfolding
        };
        assert!(wide.validate().is_err());
    }
}
