//! [`Columns`]: a Parquet file read back, and the features that the kernel gives for a series, to compare with.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rollfit::{Kernel, Metric, Window};

use crate::sandbox::Sandbox;

/// The windows of the reference workload with their labels.
pub(crate) const WINDOWS: [(&str, usize); 6] =
    [("w15", 15), ("w30", 30), ("w45", 45), ("w60", 60), ("w75", 75), ("agg", 90)];

/// The columns of a file: the instants and, by name, the doubles, NaN for null.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    pub(crate) instants_us: Vec<i64>,
    pub(crate) values: Vec<Vec<f64>>,
}

impl Columns {
    pub(crate) fn read(path: &Path) -> Self {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let names = reader.schema().fields().iter().skip(1).map(|field| field.name().clone()).collect();
        let mut columns = Self { names, ..Self::default() };
        columns.values.resize(columns.names.len(), Vec::new());
        reader.build().unwrap().for_each(|batch| columns.append(&batch.unwrap()));
        columns
    }

    fn append(&mut self, batch: &RecordBatch) {
        let (time, others) = batch.columns().split_first().unwrap();
        self.instants_us.extend(time.as_primitive::<TimestampMicrosecondType>().values());
        for (ours, column) in self.values.iter_mut().zip(others) {
            let column = column.as_primitive::<Float64Type>();
            assert!(column.iter().flatten().all(f64::is_finite), "a stored value is not finite");
            ours.extend(column.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
    }

    pub(crate) fn column(&self, name: &str) -> &[f64] {
        let at = self.names.iter().position(|known| known == name);
        &self.values[at.unwrap_or_else(|| panic!("no column {name} among {:?}", self.names))]
    }
}

/// The joined source series of a key over months, in the order of time.
pub(crate) struct Joined {
    pub(crate) instants_us: Vec<i64>,
    pub(crate) idx: Vec<f64>,
    pub(crate) bqx: Vec<f64>,
}

impl Sandbox {
    /// The rows that both source tables of a key have in these months.
    pub(crate) fn joined(&self, key: &str, months: &[&str]) -> Joined {
        let mut joined = Joined { instants_us: Vec::new(), idx: Vec::new(), bqx: Vec::new() };
        for month in months {
            let m1 = Columns::read(&self.path(format!("fx/sources/m1_{key}/{month}.parquet")));
            let bqx = Columns::read(&self.path(format!("fx/sources/bqx_{key}/{month}.parquet")));
            for (row, instant_us) in m1.instants_us.iter().enumerate() {
                let Ok(other) = bqx.instants_us.binary_search(instant_us) else { continue };
                joined.instants_us.push(*instant_us);
                joined.idx.push(m1.column("rate_index")[row]);
                joined.bqx.push(bqx.column("w15_bqx_return")[other]);
            }
        }
        joined
    }
}

/// The stored metrics of every window at every row of `series`, in the order of the feature columns.
pub(crate) fn kernel_features(series: &[f64]) -> Vec<Vec<f64>> {
    let windows = WINDOWS.map(|(_, rows)| Window::new(rows).unwrap());
    let mut kernel = Kernel::new(&windows);
    let tile = kernel.fit(series, 0..series.len()).unwrap();
    let mut columns = Vec::new();
    for fits in &tile {
        let mut values = vec![0.0; Metric::STORED.len() * series.len()];
        let mut undefined = vec![0; Metric::STORED.len()];
        fits.write_metrics(Metric::STORED, &mut values, &mut undefined).unwrap();
        columns.extend(values.chunks_exact(series.len()).map(<[f64]>::to_vec));
    }
    columns
}

/// Whether two columns have the same bits, no value being equal to no value.
pub(crate) fn same_bits(ours: &[f64], theirs: &[f64]) -> bool {
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}
