//! Python's buffer protocol: numbers read from any buffer of one dimension, written into one of two, and columns lent as one; and
//! whether an Arrow capsule still holds its array.
//!
//! A buffer's memory is Python's, and anybody may change it while the GIL is released: it is read and written at once, under the
//! GIL, and never kept.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use arrow_array::ArrowPrimitiveType;
use arrow_array::ffi::FFI_ArrowArray;
use arrow_array::types::Float16Type;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyMemoryError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

use crate::spec::type_name;

/// The numbers of a buffer, whatever their type, each as the nearest double.
///
/// # Errors
/// TypeError where they are no numbers, ValueError where there is not one dimension.
pub(crate) fn read_numbers(buffer: &PyUntypedBuffer, object: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let elements = Elements::from_buffer(buffer, object)?;
    let Some((order, kind)) = elements.format() else { return Err(elements.refused()) };
    let is_native = order == b'@';
    let swaps = if cfg!(target_endian = "little") { matches!(order, b'>' | b'!') } else { order == b'<' };
    // In the native format, `l` and the like have the C compiler's size; in the others a fixed one. The size tells.
    match (kind, elements.item_bytes) {
        (b'd', 8) => elements.read(swaps, f64::from_ne_bytes),
        (b'f', 4) => elements.read(swaps, |bytes| f64::from(f32::from_ne_bytes(bytes))),
        (b'e', 2) => elements.read(swaps, |bytes| {
            f64::from(<Float16Type as ArrowPrimitiveType>::Native::from_bits(u16::from_ne_bytes(bytes)))
        }),
        (b'b', 1) => elements.read(swaps, |bytes| f64::from(i8::from_ne_bytes(bytes))),
        (b'B', 1) => elements.read(swaps, |bytes| f64::from(u8::from_ne_bytes(bytes))),
        (b'h', 2) => elements.read(swaps, |bytes| f64::from(i16::from_ne_bytes(bytes))),
        (b'H', 2) => elements.read(swaps, |bytes| f64::from(u16::from_ne_bytes(bytes))),
        (b'i' | b'l', 4) => elements.read(swaps, |bytes| f64::from(i32::from_ne_bytes(bytes))),
        (b'I' | b'L', 4) => elements.read(swaps, |bytes| f64::from(u32::from_ne_bytes(bytes))),
        (b'l' | b'q', 8) => elements.read(swaps, |bytes| i64::from_ne_bytes(bytes) as f64),
        (b'L' | b'Q', 8) => elements.read(swaps, |bytes| u64::from_ne_bytes(bytes) as f64),
        (b'n', 8) if is_native => elements.read(swaps, |bytes| i64::from_ne_bytes(bytes) as f64),
        (b'N', 8) if is_native => elements.read(swaps, |bytes| u64::from_ne_bytes(bytes) as f64),
        _ => Err(elements.refused()),
    }
}

/// An empty column with room for `rows` values.
///
/// # Errors
/// MemoryError where the system has not that much memory.
pub(crate) fn room_for(rows: usize) -> PyResult<Vec<f64>> {
    let mut values = Vec::new();
    values.try_reserve_exact(rows).map_err(|_| {
        PyMemoryError::new_err(format!(
            "there is no memory for a copy of {rows} values: pass parts of the series"
        ))
    })?;
    Ok(values)
}

/// Whether the array that a capsule of `__arrow_c_array__` holds was moved out of it, which leaves nothing to read.
///
/// # Errors
/// ValueError where it is no such capsule.
pub(crate) fn is_moved_out(capsule: &Bound<'_, PyCapsule>) -> PyResult<bool> {
    let array = capsule.pointer_checked(Some(c"arrow_array"))?.cast::<FFI_ArrowArray>();
    // SAFETY: a capsule of this name points to an array of the C data interface, which lives as long as the capsule.
    Ok(unsafe { array.as_ref() }.is_released())
}

/// Which elements of a masked array are masked: `mask` is a buffer of `rows` booleans.
///
/// # Errors
/// TypeError where it is not.
pub(crate) fn read_mask(
    mask: &PyUntypedBuffer,
    object: &Bound<'_, PyAny>,
    rows: usize,
) -> PyResult<Vec<bool>> {
    let elements = Elements::from_buffer(mask, object)?;
    match elements.format() {
        Some((_, b'?')) if elements.rows == rows => Ok(elements
            .read(false, |[byte]: [u8; 1]| f64::from(byte))?
            .iter()
            .map(|byte| *byte != 0.0)
            .collect()),
        _ => Err(elements.refused()),
    }
}

/// The elements of a buffer of one dimension.
struct Elements<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    buffer: &'a PyUntypedBuffer,
    rows: usize,
    item_bytes: usize,
    stride_bytes: isize,
}

impl<'a, 'py> Elements<'a, 'py> {
    fn from_buffer(buffer: &'a PyUntypedBuffer, object: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let kind = type_name(object);
        match (buffer.shape(), buffer.strides()) {
            (&[rows], &[stride_bytes]) if buffer.suboffsets().is_none() => {
                Ok(Self { object, buffer, rows, item_bytes: buffer.item_size(), stride_bytes })
            }
            ([_], _) => Err(PyTypeError::new_err(format!(
                "the elements of this {kind} are not side by side: pass numpy.asarray(values)"
            ))),
            (shape, _) => Err(PyValueError::new_err(format!(
                "values has {} dimensions: pass one column, as in values[:, 0]",
                shape.len()
            ))),
        }
    }

    /// The byte order, `@` where there is none, and the type's letter; none for structures and the like.
    fn format(&self) -> Option<(u8, u8)> {
        match *self.buffer.format().to_bytes() {
            [kind] => Some((b'@', kind)),
            [order @ (b'@' | b'=' | b'<' | b'>' | b'!'), kind] => Some((order, kind)),
            _ => None,
        }
    }

    /// The elements as doubles.
    fn read<const BYTES: usize>(
        &self,
        swaps: bool,
        number: impl Fn([u8; BYTES]) -> f64,
    ) -> PyResult<Vec<f64>> {
        assert_eq!(BYTES, self.item_bytes, "the element's type decides the number of bytes");
        let first = self.buffer.buf_ptr().cast::<u8>();
        let element = |row: usize| {
            // SAFETY: the exporter promises that `rows` elements of `item_bytes` lie this far apart from the first one on, aligned or
            // not, as long as the buffer is held.
            let mut bytes = unsafe {
                first.offset(row as isize * self.stride_bytes).cast::<[u8; BYTES]>().read_unaligned()
            };
            if swaps {
                bytes.reverse();
            }
            number(bytes)
        };
        // A stride of 0 makes any number of rows of one element.
        let mut numbers = room_for(self.rows)?;
        numbers.extend((0..self.rows).map(element));
        Ok(numbers)
    }

    /// What to say of elements that are no numbers.
    fn refused(&self) -> PyErr {
        let kind = type_name(self.object);
        let format = self.buffer.format().to_string_lossy();
        let what = match (self.format().map(|(_, kind)| kind), format.as_ref()) {
            (Some(b'?'), _) => "booleans".to_owned(),
            (Some(b'O'), _) => "Python objects".to_owned(),
            (Some(b'c' | b's' | b'p'), _) => "bytes".to_owned(),
            (_, format) if format.ends_with(['w', 'u']) => "strings".to_owned(),
            (_, format) if format.contains('Z') => "complex numbers".to_owned(),
            (_, format) => format!("elements of the type {format:?}"),
        };
        PyTypeError::new_err(format!(
            "values must be numbers, and this {kind} holds {what}: convert it first, as in values.astype(\"float64\")"
        ))
    }
}

/// A buffer of doubles, row by row, that may be written to.
pub(crate) struct RowBuffer {
    buffer: PyUntypedBuffer,
    rows: usize,
    columns: usize,
}

impl RowBuffer {
    /// The buffer of `out`, which must have these rows and columns.
    ///
    /// # Errors
    /// TypeError or ValueError where it is not such a buffer.
    pub(crate) fn new(out: &Bound<'_, PyAny>, (rows, columns): (usize, usize)) -> PyResult<Self> {
        let wanted = format!("a float64 array of {rows} rows and {columns} columns, or a rollfit.Table");
        let buffer = PyUntypedBuffer::get(out)
            .map_err(|_| PyTypeError::new_err(format!("out must be {wanted}, not {}", type_name(out))))?;
        let format = buffer.format().to_string_lossy();
        if !matches!(format.as_ref(), "d" | "@d" | "=d") || buffer.item_size() != size_of::<f64>() {
            return Err(PyTypeError::new_err(format!(
                "out must be {wanted}; its elements are of the type {format:?}"
            )));
        }
        let shape = buffer.shape();
        if shape != [rows, columns] || buffer.suboffsets().is_some() {
            return Err(PyValueError::new_err(format!("out must be {wanted}; its shape is {shape:?}")));
        }
        if buffer.readonly() {
            return Err(PyValueError::new_err("out is read-only: pass an array that may be changed"));
        }
        Ok(Self { buffer, rows, columns })
    }

    /// Writes `value(row, column)` to each element. The GIL is held.
    pub(crate) fn write(&self, _py: Python<'_>, value: impl Fn(usize, usize) -> f64) {
        let &[row_bytes, column_bytes] = self.buffer.strides() else { return };
        let first = self.buffer.buf_ptr().cast::<u8>();
        for row in 0..self.rows {
            for column in 0..self.columns {
                let offset = row as isize * row_bytes + column as isize * column_bytes;
                // SAFETY: the exporter promises an element of 8 bytes there, aligned or not, which may be changed, for each row and column
                // of the shape, as long as the buffer is held.
                unsafe { first.offset(offset).cast::<f64>().write_unaligned(value(row, column)) };
            }
        }
    }
}

/// The shape and the strides of a lent column; they must live as long as its owner.
#[derive(Debug)]
pub(crate) struct LentShape {
    rows: [ffi::Py_ssize_t; 1],
    strides: [ffi::Py_ssize_t; 1],
}

impl LentShape {
    /// Of `rows` doubles side by side.
    pub(crate) fn new(rows: usize) -> Self {
        Self { rows: [rows as ffi::Py_ssize_t], strides: [size_of::<f64>() as ffi::Py_ssize_t] }
    }
}

/// Lends `values` of `owner` as a read-only buffer of doubles.
///
/// # Safety
/// `view` is one that Python gave to `__getbuffer__` of `owner`, and `values` and `shape` live at their addresses, unchanged, as long as
/// `owner` does.
pub(crate) unsafe fn lend_doubles(
    view: *mut ffi::Py_buffer,
    flags: c_int,
    owner: Bound<'_, PyAny>,
    values: &[f64],
    shape: &LentShape,
) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("there is no view to fill"));
    }
    if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
        // SAFETY: `view` may be written to, as the caller promises.
        unsafe { (*view).obj = std::ptr::null_mut() };
        return Err(PyBufferError::new_err("a column is read-only: copy it to change it"));
    }
    let asks = |flag: c_int| flags & flag == flag;
    let null = std::ptr::null_mut();
    // SAFETY: as above; the view's owner is kept alive by the reference in `obj`, and the pointers live as long.
    unsafe {
        (*view).buf = values.as_ptr().cast::<c_void>().cast_mut();
        (*view).len = size_of_val(values) as ffi::Py_ssize_t;
        (*view).itemsize = size_of::<f64>() as ffi::Py_ssize_t;
        (*view).readonly = 1;
        (*view).ndim = 1;
        (*view).format =
            if asks(ffi::PyBUF_FORMAT) { c"d".as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).shape =
            if asks(ffi::PyBUF_ND) { shape.rows.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).strides =
            if asks(ffi::PyBUF_STRIDES) { shape.strides.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).suboffsets = std::ptr::null_mut();
        (*view).internal = null;
        (*view).obj = owner.into_ptr();
    }
    Ok(())
}
