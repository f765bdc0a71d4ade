//! Polars' C ABI of expression plugins, version 0.1: four symbols. What crosses it is turned into values that Rust owns, and back.
//!
//! Invariants: every array that Polars hands over is moved out once and released once; Polars does the same with those handed to
//! it. No panic crosses the boundary. An error leaves the place of the result as it was (empty), which is how Polars sees that
//! there is one; it then asks for the message on the same thread.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::{Array, ArrayRef, make_array, new_null_array};
use arrow_schema::{DataType, Field};

use super::{PluginSeries, rolling, rolling_field};

/// The version of the ABI: 0 in the upper half, 1 in the lower.
const VERSION: u32 = 1;

/// A series as it crosses the boundary, laid out as Polars does. Whoever has it releases it.
#[repr(C)]
struct SeriesExport {
    field: *mut FFI_ArrowSchema,
    arrays: *mut *mut FFI_ArrowArray,
    len: usize,
    release: Option<unsafe extern "C" fn(*mut SeriesExport)>,
    private_data: *mut c_void,
}

impl Drop for SeriesExport {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: `release` belongs to this series, and is called once: it sets itself to None.
            unsafe { release(self) }
        }
    }
}

/// The memory behind a series that was handed to Polars, but for the arrays themselves, which it moves out.
struct Exported {
    _field: Box<FFI_ArrowSchema>,
    arrays: Box<[*mut FFI_ArrowArray]>,
}

/// Frees the memory behind a series of ours.
unsafe extern "C" fn release_exported(series: *mut SeriesExport) {
    // SAFETY: `series` is one that `export` made and that was not released: `private_data` is its box, and each array a box
    // whose content was moved out.
    unsafe {
        let exported = Box::from_raw((*series).private_data.cast::<Exported>());
        for &array in &exported.arrays {
            drop(Box::from_raw(array.cast::<ManuallyDrop<FFI_ArrowArray>>()));
        }
        (*series).release = None;
        (*series).private_data = std::ptr::null_mut();
    }
}

/// A series of one array, for Polars to keep.
fn export(field: &Field, array: &dyn Array) -> Result<SeriesExport, String> {
    let mut field = Box::new(FFI_ArrowSchema::try_from(field).map_err(|error| error.to_string())?);
    let array = Box::into_raw(Box::new(FFI_ArrowArray::new(&array.to_data())));
    let mut arrays = vec![array].into_boxed_slice();
    Ok(SeriesExport {
        field: &raw mut *field,
        arrays: arrays.as_mut_ptr(),
        len: 1,
        release: Some(release_exported),
        private_data: Box::into_raw(Box::new(Exported { _field: field, arrays })).cast(),
    })
}

/// The series that Polars hands over, as arrays of its memory.
///
/// # Safety
/// `series` points to `len` series, which the caller does not release.
unsafe fn import(series: *const SeriesExport, len: usize) -> Result<Vec<PluginSeries>, String> {
    // All are taken before the first one can be refused: what is not moved out is not freed.
    // SAFETY: as promised by the caller; each series, and each of its arrays, is read once.
    let taken: Vec<_> = (0..len)
        .map(|at| unsafe {
            let series = series.add(at).read();
            let arrays: Vec<_> = (0..series.len).map(|at| (*series.arrays.add(at)).read()).collect();
            (series, arrays)
        })
        .collect();
    taken.into_iter().map(|(series, arrays)| import_one(&series, arrays)).collect()
}

fn import_one(series: &SeriesExport, arrays: Vec<FFI_ArrowArray>) -> Result<PluginSeries, String> {
    // SAFETY: a series has a field as long as it is not released.
    let field = field_from(unsafe { &*series.field })?;
    let chunk = |array: FFI_ArrowArray| {
        // Polars gives them a buffer, which Arrow's arrays of nothing but NULL have not.
        if field.data_type() == &DataType::Null {
            return Ok(new_null_array(&DataType::Null, array.len()));
        }
        // SAFETY: Polars' arrays are of the type that their field says.
        let data = unsafe { from_ffi_and_data_type(array, field.data_type().clone()) };
        let mut data = data.map_err(|error| format!("column {:?}: {error}", field.name()))?;
        // The C data interface only recommends alignment.
        data.align_buffers();
        Ok(make_array(data))
    };
    let chunks = arrays.into_iter().map(chunk).collect::<Result<Vec<ArrayRef>, String>>()?;
    Ok(PluginSeries { field, chunks })
}

/// The name and type of a column. Polars has types that Arrow has not.
fn field_from(schema: &FFI_ArrowSchema) -> Result<Field, String> {
    Field::try_from(schema).map_err(|_| {
        let name = schema.name().unwrap_or_default();
        format!("column {name:?} has a type that rollfit does not read; cast it to Float64")
    })
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Does `work` and keeps its error, or that it panicked, as the last one of this thread.
fn guard<T>(work: impl FnOnce() -> Result<T, String>) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work));
    let message = match result {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(message)) => message,
        Err(_) => "rollfit failed inside, which is a bug; its panic message is on stderr".to_owned(),
    };
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with(|last| *last.borrow_mut() = message);
    None
}

/// The bytes at `start`; none for a null pointer.
///
/// # Safety
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: as promised by the caller.
    unsafe { std::slice::from_raw_parts(start, len) }
}

#[unsafe(no_mangle)]
extern "C" fn _polars_plugin_get_version() -> u32 {
    VERSION
}

/// The message of the last error on this thread; valid until the next one.
#[unsafe(no_mangle)]
extern "C" fn _polars_plugin_get_last_error_message() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// Computes the expression: `len` series at `series`, the pickled arguments, the place of the result.
///
/// # Safety
/// Polars' contract: the inputs are handed over, the arguments are only lent, the result is an empty series.
#[unsafe(no_mangle)]
unsafe extern "C" fn _polars_plugin_rollfit_rolling(
    series: *const SeriesExport,
    len: usize,
    kwargs: *const u8,
    kwargs_len: usize,
    result: *mut SeriesExport,
    _context: *const c_void,
) {
    let computed = guard(|| {
        // SAFETY: as promised by the caller.
        let (inputs, kwargs) = unsafe { (import(series, len)?, bytes(kwargs, kwargs_len)) };
        let (field, array) = rolling(&inputs, kwargs)?;
        export(&field, &array)
    });
    if let Some(computed) = computed {
        // SAFETY: the place of the result holds an empty series, which owns nothing.
        unsafe { result.write(computed) }
    }
}

/// Gives the type of what the expression computes: `len` fields at `fields`, the place of the result, the pickled arguments.
///
/// # Safety
/// Polars' contract: fields and arguments are only lent, the result is an empty schema.
#[unsafe(no_mangle)]
unsafe extern "C" fn _polars_plugin_field_rollfit_rolling(
    fields: *const FFI_ArrowSchema,
    len: usize,
    result: *mut FFI_ArrowSchema,
    kwargs: *const u8,
    kwargs_len: usize,
) {
    let schema = guard(|| {
        // SAFETY: as promised by the caller.
        let (fields, kwargs) = unsafe { ((0..len).map(|at| &*fields.add(at)), bytes(kwargs, kwargs_len)) };
        let fields = fields.map(field_from).collect::<Result<Vec<_>, _>>()?;
        let field = rolling_field(&fields, kwargs)?;
        FFI_ArrowSchema::try_from(&field).map_err(|error| error.to_string())
    });
    if let Some(schema) = schema {
        // SAFETY: the place of the result holds an empty schema, which owns nothing.
        unsafe { result.write(schema) }
    }
}
