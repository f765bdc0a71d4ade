//! [`survey`]: the source tables of a directory and their columns, before there is a job.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::DataType;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{FileBytes, Footer};
use rollfit_files::regular_file;
use rollfit_job::store::{ColumnKind, Fault, StoreError, SurveyedColumn, SurveyedTable};

use crate::fault::{file_error, source_fault, unreadable};
use crate::sources::listing::table_files;

/// How deep directories are looked into.
const HIVE_DEPTH_MAX: usize = 8;

/// The tables in `sources` of the store at `dir`, sorted by name, each with the columns of its first file. Reads no rows.
///
/// # Errors
/// When a directory cannot be listed. What is wrong with one table is that one's problem.
pub(crate) fn survey(dir: &Path) -> Result<Vec<SurveyedTable>, StoreError> {
    fs::read_dir(dir).map_err(|error| {
        let fault = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => Fault::Permanent,
            _ => Fault::Unreachable,
        };
        StoreError::caused_by(fault, format!("cannot open the store {}", dir.display()), error)
    })?;
    let sources = dir.join("sources");
    let entries = match fs::read_dir(&sources) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_error("list", &sources, error)),
    };
    let mut tables = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| file_error("list", &sources, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What begins with a dot is no table; a file beside the tables is none either.
        if !name.starts_with('.') && path.is_dir() {
            tables.push(surveyed(name, &path));
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

fn surveyed(name: String, dir: &Path) -> SurveyedTable {
    let problem =
        |problem: String| SurveyedTable { name: name.clone(), columns: Vec::new(), problem: Some(problem) };
    if dir.file_name().is_none_or(|name| name.to_str().is_none()) {
        return problem("its name is not UTF-8".to_owned());
    }
    match first_columns(dir) {
        Ok(Some(columns)) => SurveyedTable { name, columns, problem: None },
        Ok(None) => problem("it has no file that ends in .parquet".to_owned()),
        Err(error) => problem(rollfit_job::error_chain(&error)),
    }
}

/// The columns of the first file of a table, and those that the names of its Hive directories are; none where it has no file.
fn first_columns(dir: &Path) -> Result<Option<Vec<SurveyedColumn>>, StoreError> {
    let (mut at, mut of_dirs) = (dir.to_owned(), Vec::new());
    let path = loop {
        if let Some(path) = table_files(&at)?.unwrap_or_default().into_iter().next() {
            break path;
        }
        match first_hive_dir(&at)?.filter(|_| of_dirs.len() < HIVE_DEPTH_MAX) {
            Some((column, path)) => {
                of_dirs.push(column);
                at = path;
            }
            None => return Ok(None),
        }
    };
    let read = contain_panics(|| columns_of(&path)).unwrap_or_else(|error| Err(unreadable(&path, &error)));
    let of_file = read?;
    of_dirs.retain(|column| !of_file.iter().any(|other| other.name == column.name));
    Ok(Some(of_dirs.into_iter().chain(of_file).collect()))
}

/// The first directory of `dir` that is called `COLUMN=VALUE`, as writers of Hive tables call them, and its column.
fn first_hive_dir(dir: &Path) -> Result<Option<(SurveyedColumn, PathBuf)>, StoreError> {
    let entries = fs::read_dir(dir).map_err(|error| file_error("list", dir, error))?;
    let mut found: Option<(SurveyedColumn, PathBuf)> = None;
    for entry in entries {
        let entry = entry.map_err(|error| file_error("list", dir, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let column = name.split_once('=').map(|(column, _)| column).filter(|column| !column.is_empty());
        let Some(column) = column.filter(|_| !name.starts_with(['.', '_'])) else { continue };
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_first = found.as_ref().is_none_or(|(_, path)| entry.path() < *path);
        if is_dir && is_first {
            let (name, type_name) = (column.to_owned(), "the name of a directory".to_owned());
            let column = SurveyedColumn { name, kind: ColumnKind::Directory, type_name };
            found = Some((column, entry.path()));
        }
    }
    Ok(found)
}

fn columns_of(path: &Path) -> Result<Vec<SurveyedColumn>, StoreError> {
    let (file, status) =
        regular_file::open_and_look(path).map_err(|error| file_error("read", path, error))?;
    let bytes = FileBytes::new(Arc::new(file), status.len());
    let footer = Footer::read(&bytes).map_err(|fault| source_fault(path, fault))?;
    // As the source reads them: with the types of Parquet alone.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::try_new(footer.metadata, options).map_err(|error| unreadable(path, &error))?;
    let fields = metadata.schema().fields();
    let is_timestamp =
        |field: &Arc<arrow_schema::Field>| matches!(field.data_type(), DataType::Timestamp(..));
    // Beside timestamps a date is not what rows are told apart by.
    let has_timestamps = fields.iter().any(is_timestamp);
    let column = |field: &Arc<arrow_schema::Field>| SurveyedColumn {
        name: field.name().clone(),
        kind: kind_of(field.data_type(), has_timestamps),
        type_name: field.data_type().to_string(),
    };
    Ok(fields.iter().map(column).collect())
}

fn kind_of(data_type: &DataType, has_timestamps: bool) -> ColumnKind {
    match data_type {
        DataType::Timestamp(_, zone) => ColumnKind::Time { has_zone: zone.is_some() },
        DataType::Date32 if !has_timestamps => ColumnKind::Time { has_zone: false },
        other if other.is_numeric() => ColumnKind::Number,
        _ => ColumnKind::Other,
    }
}
