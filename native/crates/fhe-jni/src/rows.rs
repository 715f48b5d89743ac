//! Rows of Java's tensors: which floats of which direct buffers make up a block.

use fhe_client::{ColumnRun, Outputs, Records, Unfolding};
use fhe_core::{Error, Result};
use jni::JNIEnv;
use jni::objects::{JByteBuffer, JIntArray, JLongArray, JObjectArray};

use crate::arrays;

/// Floats of direct buffers in native byte order, which their Java array keeps reachable.
struct Buffers(Vec<(*mut f32, usize)>);

impl Buffers {
    fn of(env: &mut JNIEnv, array: &JObjectArray) -> Result<Self> {
        if array.is_null() {
            return Err(Error::Internal("an array argument is null".into()));
        }
        let count = env.get_array_length(array).map_err(arrays::jni_error)?;
        let mut buffers = Vec::new();
        for index in 0..count {
            let element = env
                .get_object_array_element(array, index)
                .map_err(arrays::jni_error)?;
            let buffer = env.auto_local(JByteBuffer::from(element));
            buffers.push(arrays::floats_of(env, &buffer)?);
        }
        Ok(Buffers(buffers))
    }

    /// The address of floats `offset..offset + count` of a buffer.
    fn floats(&self, buffer: usize, offset: usize, count: usize) -> Result<*mut f32> {
        let &(address, length) = self.0.get(buffer).ok_or_else(|| {
            Error::Internal(format!("buffer {buffer} of {} is named", self.0.len()))
        })?;
        if offset > length || count > length - offset {
            return Err(Error::Internal(format!(
                "{count} floats from {offset} on are not in a buffer of {length}"
            )));
        }
        // SAFETY: within the buffer, or just behind it.
        Ok(unsafe { address.add(offset) })
    }
}

/// Runs of `FIELDS` numbers each, none negative.
fn runs<const FIELDS: usize>(env: &JNIEnv, array: &JLongArray) -> Result<Vec<[usize; FIELDS]>> {
    let values = arrays::longs(env, array)?;
    let (runs, []) = values.as_chunks::<FIELDS>() else {
        return Err(Error::Internal(format!(
            "{} numbers are not whole runs of {FIELDS}",
            values.len()
        )));
    };
    let count = |value: i64| {
        usize::try_from(value).map_err(|_| Error::Internal(format!("a run holds {value}")))
    };
    runs.iter()
        .map(|run| {
            let mut fields = [0; FIELDS];
            for (field, &value) in fields.iter_mut().zip(run) {
                *field = count(value)?;
            }
            Ok(fields)
        })
        .collect()
}

fn product(a: usize, b: usize) -> Result<usize> {
    a.checked_mul(b)
        .ok_or_else(|| Error::Internal(format!("{a} · {b} floats overflow")))
}

/// Records `[T][inputs]`. A run is a buffer, the offset of a table or an image in it, a first row or window,
/// and their number. `unfolding` is empty for rows, or channels, then of height and width: extent, kernel,
/// strides, begin and end of padding, dilations.
pub fn records<'a>(
    env: &mut JNIEnv<'a>,
    inputs: usize,
    buffers: &'a JObjectArray,
    run_fields: &JLongArray,
    unfolding: &JIntArray,
) -> Result<Records<'a>> {
    let buffers = Buffers::of(env, buffers)?;
    let runs = runs::<4>(env, run_fields)?;
    let slice = |buffer, offset, count| {
        let address = buffers.floats(buffer, offset, count)?;
        // SAFETY: in a direct, aligned buffer that is reachable during the native call, whose lifetime `'a` is;
        // the Java side does not write to it during the call.
        Ok::<_, Error>(unsafe { std::slice::from_raw_parts(address.cast_const(), count) })
    };
    let Some(unfolding) = unfolding_of(&arrays::ints(env, unfolding)?)? else {
        let mut rows = Vec::new();
        for [buffer, offset, first, count] in runs {
            let start = product(first, inputs)?
                .checked_add(offset)
                .ok_or_else(|| Error::Internal("an offset overflows".into()))?;
            let table: &[f32] = slice(buffer, start, product(count, inputs)?)?;
            rows.extend(table.chunks_exact(inputs));
        }
        return Records::rows(rows, inputs);
    };
    let images: Result<Vec<_>> = runs
        .into_iter()
        .map(|[buffer, offset, first, count]| {
            Ok((
                slice(buffer, offset, unfolding.image_values())?,
                first,
                count,
            ))
        })
        .collect();
    Records::windows(unfolding, images?)
}

fn unfolding_of(fields: &[i32]) -> Result<Option<Unfolding>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let lengths: Result<Vec<usize>> = fields
        .iter()
        .map(|&field| arrays::count(field, "a length of a convolution"))
        .collect();
    let lengths = lengths?;
    let [
        channels,
        height,
        width,
        kernel_height,
        kernel_width,
        stride_y,
        stride_x,
        top,
        left,
        bottom,
        right,
        dilation_y,
        dilation_x,
    ] = lengths[..]
    else {
        return Err(Error::Internal(format!(
            "{} lengths of a convolution, 13 expected",
            fields.len()
        )));
    };
    let unfolding = Unfolding {
        channels,
        extent: [height, width],
        kernel: [kernel_height, kernel_width],
        strides: [stride_y, stride_x],
        pads_begin: [top, left],
        pads_end: [bottom, right],
        dilations: [dilation_y, dilation_x],
    };
    unfolding.validate().map(Some)
}

/// A run of outputs: record r's column c lies r·`record_stride` + c·`column_stride` floats behind `base`.
struct OutputRun {
    tensor: usize,
    base: *mut f32,
    records: usize,
    columns: usize,
    record_stride: usize,
    column_stride: usize,
}

impl OutputRun {
    /// Whether a record's columns lie side by side.
    fn is_table(&self) -> bool {
        self.column_stride == 1
    }

    /// Floats from its first to its last.
    ///
    /// # Errors
    /// [`Error::Internal`] if two of its places could be one.
    fn span(&self) -> Result<usize> {
        let is_whole = if self.is_table() {
            self.record_stride >= self.columns
        } else {
            self.record_stride == 1 && self.column_stride >= self.records
        };
        if self.records == 0 || self.columns == 0 || !is_whole {
            return Err(Error::Internal(format!(
                "{} records of {} outputs, {} and {} floats apart",
                self.records, self.columns, self.record_stride, self.column_stride
            )));
        }
        product(self.records - 1, self.record_stride)?
            .checked_add(product(self.columns - 1, self.column_stride)?)
            .and_then(|last| last.checked_add(1))
            .ok_or_else(|| Error::Internal("a run of outputs overflows".into()))
    }
}

/// Places for outputs. A tensor is its number of columns; a run is a tensor, a buffer, the offset of its first
/// record's first column there, its number of records, and how far records and columns lie apart. Runs come
/// tensor by tensor; a tensor's runs are all tables (columns 1 apart) or all images (records 1 apart).
pub fn outputs<'a>(
    env: &mut JNIEnv<'a>,
    columns: &JIntArray,
    buffers: &'a JObjectArray,
    run_fields: &JLongArray,
) -> Result<Outputs<'a, f32>> {
    let buffers = Buffers::of(env, buffers)?;
    let tensors: Result<Vec<usize>> = arrays::ints(env, columns)?
        .into_iter()
        .map(|columns| arrays::count(columns, "the columns of an output"))
        .collect();
    let tensors = tensors?;
    let mut runs = Vec::new();
    let mut taken = Vec::new();
    for [
        tensor,
        buffer,
        offset,
        records,
        record_stride,
        column_stride,
    ] in self::runs::<6>(env, run_fields)?
    {
        let mut run = OutputRun {
            tensor,
            base: std::ptr::null_mut(),
            records,
            columns: *tensors.get(tensor).unwrap_or(&0),
            record_stride,
            column_stride,
        };
        let span = run.span()?;
        run.base = buffers.floats(buffer, offset, span)?;
        taken.push((run.base.addr(), span));
        runs.push(run);
    }
    taken.sort_unstable();
    let overlap = |pair: &[(usize, usize)]| pair[1].0 - pair[0].0 < pair[0].1 * size_of::<f32>();
    if taken.windows(2).any(overlap) || !runs.is_sorted_by_key(|run| run.tensor) {
        return Err(Error::Internal(
            "runs of outputs overlap or are not in order".into(),
        ));
    }
    let mut outputs = Outputs::new();
    for (tensor, &columns) in tensors.iter().enumerate() {
        let first = runs.partition_point(|run| run.tensor < tensor);
        let own = &runs[first..runs.partition_point(|run| run.tensor <= tensor)];
        let is_table = own.iter().all(OutputRun::is_table);
        if !is_table && own.iter().any(|run| run.is_table() && run.columns > 1) {
            return Err(Error::Internal("an output is a table and an image".into()));
        }
        // SAFETY: within direct, aligned buffers that are reachable during the native call; no two places of
        // this call are one, and the Java wrapper gives a place to one call at a time.
        unsafe {
            if is_table {
                let row = |run: &OutputRun, record| {
                    let start = run.base.add(record * run.record_stride);
                    std::slice::from_raw_parts_mut(start, columns)
                };
                let rows = own
                    .iter()
                    .flat_map(|run| (0..run.records).map(move |record| row(run, record)));
                outputs.push_rows(columns, rows.collect())?;
            } else {
                let run = |run: &OutputRun| {
                    ColumnRun::new(run.base, run.records, columns, run.column_stride)
                };
                outputs.push_columns(columns, own.iter().map(run).collect())?;
            }
        }
    }
    Ok(outputs)
}
