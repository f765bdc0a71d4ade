//! Every way to the fits and metrics of a series, in forms that can be compared bit for bit: the kernel on each CPU
//! path, the stream, and the window on its own.

use std::ops::Range;

use rollfit::{
    Cpu, Fit, FitColumns, FitNumbers, Kernel, Metric, MetricColumns, MissingValues, Stream, Window,
};

/// The bits of a fit's six numbers; none where there is no fit.
pub(crate) type FitBits = Option<[u64; 6]>;

/// The fits of every row, window by window.
pub(crate) type Fits = Vec<Vec<FitBits>>;

pub(crate) fn bits(fit: Option<Fit>) -> FitBits {
    fit.map(|fit| {
        let FitNumbers { a2, a1, b, ss_res, ss_tot, y_last } = fit.numbers();
        [a2, a1, b, ss_res, ss_tot, y_last].map(f64::to_bits)
    })
}

pub(crate) fn window(rows: usize) -> Window {
    Window::new(rows).expect("a window's length")
}

pub(crate) fn windows(rows: &[usize]) -> Vec<Window> {
    rows.iter().copied().map(window).collect()
}

/// The fit of each row's window computed from a copy of the window alone.
pub(crate) fn alone(values: &[f64], window_rows: &[usize]) -> Fits {
    window_rows
        .iter()
        .map(|&rows| (0..values.len()).map(|row| alone_at(values, row, rows)).collect())
        .collect()
}

/// The fit of the window of `rows` rows that ends at `row`, from a copy of its values alone.
pub(crate) fn alone_at(values: &[f64], row: usize, rows: usize) -> FitBits {
    let first = (row + 1).checked_sub(rows)?;
    bits(rollfit::fit(&values[first..=row]).expect("a window's length"))
}

/// The fits of `rows`, by one call of the kernel.
pub(crate) fn tile(kernel: &mut Kernel, values: &[f64], rows: Range<usize>, window_count: usize) -> Fits {
    let tile = kernel.fit(values, rows.clone()).expect("rows of the series");
    assert_eq!((tile.rows(), tile.iter().len()), (rows.len(), window_count));
    tile.iter().map(|fits| (0..rows.len()).map(|row| bits(fits.get(row))).collect()).collect()
}

/// The fits of the whole series by a kernel that is given the rows between `cuts` (in order) one tile at a time.
pub(crate) fn tiled(cpu: Cpu, values: &[f64], window_rows: &[usize], cuts: &[usize]) -> Fits {
    let mut kernel = Kernel::with_cpu(cpu, &windows(window_rows));
    let mut fits: Fits = vec![Vec::new(); window_rows.len()];
    let mut first = 0;
    for &end in cuts.iter().chain([&values.len()]) {
        for (all, new) in fits.iter_mut().zip(tile(&mut kernel, values, first..end, window_rows.len())) {
            all.extend(new);
        }
        first = end;
    }
    fits
}

/// The fits that `stream` returns for each of `values`.
pub(crate) fn streamed(stream: &mut Stream, values: &[f64], window_count: usize) -> Fits {
    let mut fits: Fits = vec![Vec::new(); window_count];
    for &value in values {
        for (all, &new) in fits.iter_mut().zip(stream.push(value)) {
            all.push(bits(new));
        }
    }
    fits
}

/// Every metric of the catalogue for one window at some rows, column after column, as the kernel writes them, and how many values
/// of each are missing.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    rows: usize,
    pub(crate) cells: Vec<f64>,
    pub(crate) undefined: Vec<u64>,
}

impl Written {
    pub(crate) fn new(cpu: Cpu, values: &[f64], window_rows: usize, rows: Range<usize>) -> Self {
        let mut kernel = Kernel::with_cpu(cpu, &[window(window_rows)]);
        let mut written = Self::empty(rows.len());
        let mut missing = MissingValues::default();
        let columns = MetricColumns::new(&mut written.cells, rows.len());
        kernel
            .metrics_into(values, rows.clone(), Metric::ALL, columns, &mut missing)
            .expect("rows of the series, and room for them");
        let without_fit = missing.rows_without_fit(0).expect("the only window");
        let undefined = missing.undefined(0).expect("the only window");
        written.undefined = undefined.iter().map(|undefined| undefined + without_fit).collect();
        let tile = kernel.fit(values, rows).expect("rows of the series");
        let of_tile = Self::from_fits(tile.fits(0).expect("the only window"));
        assert_eq!((of_tile.bits(), &of_tile.undefined), (written.bits(), &written.undefined));
        written
    }

    /// What is written of the fits of a tile.
    pub(crate) fn from_fits(fits: &FitColumns) -> Self {
        let mut written = Self::empty(fits.rows());
        fits.write_metrics(Metric::ALL, &mut written.cells, &mut written.undefined)
            .expect("room for the tile");
        written
    }

    /// Garbage, so that a cell that is not written shows.
    fn empty(rows: usize) -> Self {
        Self { rows, cells: vec![-7e77; Metric::ALL.len() * rows], undefined: vec![0; Metric::ALL.len()] }
    }

    /// A metric's column.
    pub(crate) fn column(&self, metric: Metric) -> &[f64] {
        let at = Metric::ALL.iter().position(|&other| other == metric).expect("a metric of the catalogue");
        &self.cells[at * self.rows..][..self.rows]
    }

    /// The bits of a metric's column.
    pub(crate) fn bits_of(&self, metric: Metric) -> Vec<u64> {
        self.column(metric).iter().map(|cell| cell.to_bits()).collect()
    }

    /// Every metric with its value at `row`.
    pub(crate) fn at(&self, row: usize) -> impl Iterator<Item = (Metric, f64)> {
        Metric::ALL.iter().enumerate().map(move |(at, &metric)| (metric, self.cells[at * self.rows + row]))
    }

    pub(crate) fn bits(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.to_bits()).collect()
    }
}

/// What the kernel writes for the one window that `values` are, the same on every path.
pub(crate) fn written_alone(values: &[f64]) -> Written {
    let on = |cpu| Written::new(cpu, values, values.len(), values.len() - 1..values.len());
    let [first, others @ ..] = &Cpu::available()[..] else { panic!("there is always a portable path") };
    let written = on(*first);
    for &cpu in others {
        assert_eq!(on(cpu).bits(), written.bits(), "{} against {}", cpu.name(), first.name());
    }
    written
}

/// The metrics of a fit as the kernel must write them, from their definitions: NaN where there is no fit or no value, never -0.0.
pub(crate) fn metrics_of(fit: Option<Fit>) -> impl Iterator<Item = f64> + use<> {
    Metric::ALL
        .iter()
        .map(move |metric| fit.and_then(|fit| metric.value(&fit)).map_or(f64::NAN, |value| value + 0.0))
}
