//! [`ParquetColumns`]: which columns of a Parquet file hold the time, the close and the instrument.
//!
//! The time is the column named by the options; else the timestamp column with the best known name; else the whole numbers or
//! the text with one; else the only timestamp column; else a column of times of day or dates by its name. A column of dates
//! beside times of day holds the date. The close is likewise a column of numbers.

use arrow_array::{Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use rollfit_files::numbers::doubles;
use rollfit_files::texts::{has_texts, texts};
use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;

use super::parquet_times::{TimeType, TimeValues, tick_us, time_texts};
use crate::error::RowFault;
use crate::read_options::ReadOptions;
use crate::table::column_indexes::says_utc;
use crate::table::column_names::{
    CLOSE_NAMES, DATE_NAMES, INSTANT_NAMES, TIME_NAMES, names_an_instrument, normal,
};
use crate::table::column_options::{ColumnOptions, OtherColumns};
use crate::table::further_columns::{FurtherColumn, FurtherColumns};
use crate::time::stamp::Stamp;
use crate::time::stamp_reader::{StampReader, StampRules};
use crate::time::zone::Zone;

/// The rows of a batch.
pub(super) struct BarBatch {
    pub(super) times: TimeValues,
    pub(super) dates: Option<StringArray>,
    /// In the order of their columns.
    pub(super) instruments: Vec<StringArray>,
    pub(super) closes: Float64Array,
    /// The column that says the key of a row.
    pub(super) keys: Option<StringArray>,
    /// The further columns, in the order of their columns.
    pub(super) further: Vec<Float64Array>,
}

/// The columns read, by their index in the file, and what the time column says of its values.
pub(super) struct ParquetColumns {
    time: usize,
    /// The column of the date, where the time column holds times of day.
    date: Option<usize>,
    close: usize,
    /// The columns that say the instrument, with their names.
    pub(super) instruments: Vec<(usize, String)>,
    /// The column that says the key of a row.
    key: Option<usize>,
    /// The columns that bars keep besides.
    pub(super) further: FurtherColumns,
    /// A column beside the time column seems to hold times of day.
    pub(super) has_time_beside: bool,
    /// What is wrong if no timestamp has a time of day; none where the user chose the time column.
    pub(super) dates_alone_fault: Option<String>,
    /// The unit of timestamps.
    unit: TimeUnit,
    /// The zone of the column; none where it is naive.
    zone: Option<Zone>,
    /// The name of the column states that its times are UTC.
    in_utc: bool,
}

impl ParquetColumns {
    /// Finds the columns in a schema; an error says what is missing.
    pub(super) fn from_fields(fields: &Fields, options: &ReadOptions) -> Result<Self, String> {
        let time = time_column(fields, &options.columns)?;
        let date = date_column(fields, &options.columns, time)?;
        let close = Wanted {
            what: "number",
            option: "--close-column",
            needs: "a number",
            fits: &|field| field.data_type().is_numeric(),
        };
        let close = match &options.columns.close {
            Some(given) => close.given(fields, given)?,
            None => by_name(fields, &CLOSE_NAMES, close.fits)?.ok_or_else(|| close.missing(fields))?,
        };
        let (unit, zone) = match fields[time].data_type() {
            DataType::Timestamp(unit, zone) => (*unit, zone.as_ref()),
            _ => (TimeUnit::Microsecond, None),
        };
        let zone = zone.map(|name| name.parse().unwrap_or_else(|_| Zone::utc()));
        let is_bar = |at: usize| at == time || at == close || Some(at) == date;
        let key = key_column(fields, options.key_column.as_deref(), is_bar)?;
        let is_read = |at: usize| is_bar(at) || Some(at) == key;
        let further = further_columns(fields, &options.columns.others, is_read)?;
        let says = |at: usize, field: &Field| {
            !is_read(at) && names_an_instrument(field.name()) && has_texts(field.data_type())
        };
        let instruments = fields.iter().enumerate().filter(|(at, field)| says(*at, field));
        let instruments = instruments.map(|(at, field)| (at, normal(field.name()))).collect();
        let is_beside = |at: usize, name: &str| at != time && TIME_NAMES.contains(&name);
        let beside = names(fields).enumerate().find(|(at, name)| is_beside(*at, name)).map(|(at, _)| at);
        let (has_time_beside, is_chosen) = (beside.is_some(), options.columns.time.is_some());
        let dates_alone_fault =
            beside.filter(|_| !is_chosen).map(|at| dates_alone(&fields[time], &fields[at]));
        let in_utc = [Some(time), date].into_iter().flatten().any(|at| says_utc(&normal(fields[at].name())));
        Ok(Self {
            time,
            date,
            close,
            instruments,
            key,
            further,
            has_time_beside,
            dates_alone_fault,
            unit,
            zone,
            in_utc,
        })
    }

    /// The columns that are read.
    pub(super) fn roots(&self) -> impl Iterator<Item = usize> {
        let instruments = self.instruments.iter().map(|(at, _)| *at);
        let further = self.further.columns.iter().map(|column| column.index);
        let bar = [self.time, self.close].into_iter().chain(self.date);
        bar.chain(self.key).chain(instruments).chain(further)
    }

    /// The columns of a batch that holds these and no others; none if one is not of its type.
    pub(super) fn split(&self, batch: &RecordBatch) -> Option<BarBatch> {
        // A batch keeps the order of the file.
        let mut roots: Vec<usize> = self.roots().collect();
        roots.sort_unstable();
        roots.dedup();
        let column = |at: usize| batch.column(roots.partition_point(|root| *root < at));
        let keys = match self.key {
            Some(at) => Some(texts(column(at))?),
            None => None,
        };
        let further = self.further.columns.iter();
        let dates = match self.date {
            Some(at) => Some(time_texts(column(at))?),
            None => None,
        };
        Some(BarBatch {
            times: TimeValues::from_column(column(self.time))?,
            dates,
            instruments: self.instruments.iter().map(|(at, _)| texts(column(*at))).collect::<Option<_>>()?,
            closes: doubles(column(self.close))?,
            keys,
            further: further.map(|further| doubles(column(further.index))).collect::<Option<_>>()?,
        })
    }

    /// Whether the rows say their keys.
    pub(super) fn has_keys(&self) -> bool {
        self.key.is_some()
    }

    /// How times that are no timestamps are read.
    pub(super) fn stamp_reader(&self) -> StampReader {
        let Self { in_utc, has_time_beside, .. } = *self;
        StampReader::new(StampRules { epochs: true, in_utc, has_time_beside })
    }

    /// A value of a timestamp column as a stamp.
    pub(super) fn stamp(&self, tick: i64) -> Result<Stamp, RowFault> {
        let us = self.tick_us(tick)?;
        Ok(match &self.zone {
            None if self.in_utc => Stamp::Local { us }.in_utc(),
            None => Stamp::Local { us },
            Some(zone) => Stamp::Instant { us, offset_s: (zone.offset_us(us) / 1_000_000) as i32 },
        })
    }

    /// A value of a timestamp column in microseconds.
    pub(super) fn tick_us(&self, tick: i64) -> Result<i64, RowFault> {
        tick_us(self.unit, tick)
    }
}

fn dates_alone(time: &Field, beside: &Field) -> String {
    let (time, beside) = (time.name(), beside.name());
    format!(
        "column `{time}` holds dates without times of day, which seem to be in column `{beside}`; give both, with --date-column \
         and --time-column, to join them, or only `{time}`, with --time-column, if each bar is at midnight"
    )
}

/// The column that says the key of a row.
fn key_column(
    fields: &Fields,
    name: Option<&str>,
    is_bar: impl Fn(usize) -> bool,
) -> Result<Option<usize>, String> {
    let Some(name) = name else { return Ok(None) };
    let exact = fields.iter().position(|field| field.name() == name);
    let found = exact.or_else(|| names(fields).position(|found| found == normal(name)));
    let key = found.ok_or_else(|| {
        let hint = suggestion(fields, name);
        format!("column `{name}` of --key-column does not exist; {hint}use one of {}", listed(fields))
    })?;
    if is_bar(key) {
        return Err(format!("column `{name}` of --key-column is read as time or close already"));
    }
    let kind = fields[key].data_type();
    let refused = || format!("column `{name}` of --key-column is not text: it is {kind}");
    has_texts(kind).then_some(Some(key)).ok_or_else(refused)
}

/// The columns of numbers that bars keep besides.
fn further_columns(
    fields: &Fields,
    wanted: &OtherColumns,
    is_read: impl Fn(usize) -> bool,
) -> Result<FurtherColumns, String> {
    let names: Vec<String> = names(fields).collect();
    let is_number = |column: &FurtherColumn| fields[column.index].data_type().is_numeric();
    let mut chosen = FurtherColumns::choose(&names, wanted, is_read)?;
    if let Some(column) = chosen.columns.iter().find(|column| !chosen.is_all && !is_number(column)) {
        let kind = fields[column.index].data_type();
        return Err(format!("column `{}` of --columns does not hold numbers: it is {kind}", column.name));
    }
    let (columns, others): (_, Vec<FurtherColumn>) = chosen.columns.into_iter().partition(is_number);
    chosen.columns = columns;
    chosen.left_out.extend(others.into_iter().map(|column| column.name));
    Ok(chosen)
}

/// What a time column may be.
const TIMES: &str = "a timestamp, date, whole number or text";

fn type_of(field: &Field) -> Option<TimeType> {
    TimeType::from_type(field.data_type())
}

fn names(fields: &Fields) -> impl Iterator<Item = String> + '_ {
    fields.iter().map(|field| normal(field.name()))
}

/// The column of the time.
fn time_column(fields: &Fields, options: &ColumnOptions) -> Result<usize, String> {
    use TimeType::{Date, Text, TimeOfDay, Timestamp, WholeNumber};
    let is_time = |field: &Field| type_of(field).is_some();
    let wanted = Wanted { what: "timestamp", option: "--time-column", needs: TIMES, fits: &is_time };
    if let Some(given) = &options.time {
        return wanted.given(fields, given);
    }
    let among = |names: &[&str], types: &[TimeType]| {
        by_name(fields, names, &|field| type_of(field).is_some_and(|found| types.contains(&found)))
    };
    let clock = || among(&TIME_NAMES, &[TimeOfDay, Text]);
    let instants: Vec<&str> = INSTANT_NAMES.iter().chain(&["time"]).copied().collect();
    let instants_or_date: Vec<&str> = instants.iter().chain(&DATE_NAMES).copied().collect();
    let found = if options.date.is_some() {
        clock()?
    } else if let Some(at) = among(&instants_or_date, &[Timestamp])? {
        Some(at)
    } else if let Some(at) = among(&instants, &[WholeNumber, Text])? {
        Some(at)
    } else if let Some(at) = only_timestamp(fields) {
        Some(at)
    } else if let Some(at) = clock()? {
        Some(at)
    } else {
        among(&instants_or_date, &[Date, WholeNumber, Text])?
    };
    found.ok_or_else(|| wanted.missing(fields))
}

fn only_timestamp(fields: &Fields) -> Option<usize> {
    let is_timestamp = |at: &usize| type_of(&fields[*at]) == Some(TimeType::Timestamp);
    let mut timestamps = (0..fields.len()).filter(is_timestamp);
    timestamps.next().filter(|_| timestamps.next().is_none())
}

/// The column of the date, where the time column may hold times of day.
fn date_column(fields: &Fields, options: &ColumnOptions, time: usize) -> Result<Option<usize>, String> {
    let fits = |field: &Field| {
        let is_aware = matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
        !is_aware && type_of(field).is_some_and(|found| found != TimeType::TimeOfDay)
    };
    let wanted =
        Wanted { what: "date", option: "--date-column", needs: "a date, whole numbers or text", fits: &fits };
    let time_type = type_of(&fields[time]);
    let may_be_clock = matches!(time_type, Some(TimeType::TimeOfDay | TimeType::Text));
    let name = fields[time].name();
    match &options.date {
        Some(_) if !may_be_clock => Err(format!(
            "column `{name}` is {}, not times of day; omit --date-column, or store the times of day as text (HH:MM) or as \
             a TIME",
            fields[time].data_type()
        )),
        Some(given) => wanted.given(fields, given).map(Some),
        None if !may_be_clock => Ok(None),
        None => {
            let date = by_name(fields, &DATE_NAMES, &fits)?.filter(|date| *date != time);
            if date.is_none() && time_type == Some(TimeType::TimeOfDay) {
                return Err(format!("column `{name}` holds times of day; {}", wanted.missing(fields)));
            }
            Ok(date)
        }
    }
}

/// The column with the first of these names among those that fit.
fn by_name(fields: &Fields, wanted: &[&str], fits: &dyn Fn(&Field) -> bool) -> Result<Option<usize>, String> {
    let named = |name: &str| -> Vec<usize> {
        let found =
            fields.iter().enumerate().filter(|(_, field)| fits(field) && normal(field.name()) == name);
        found.map(|(at, _)| at).collect()
    };
    for name in wanted {
        match named(name).as_slice() {
            [] => {}
            [at] => return Ok(Some(*at)),
            _ => {
                return Err(format!("several columns are called `{name}`; rename one of {}", listed(fields)));
            }
        }
    }
    Ok(None)
}

/// How a column is recognised.
struct Wanted<'a> {
    what: &'a str,
    option: &'a str,
    needs: &'a str,
    fits: &'a dyn Fn(&Field) -> bool,
}

impl Wanted<'_> {
    fn missing(&self, fields: &Fields) -> String {
        let Self { what, option, .. } = self;
        let fitting: Fields = fields.iter().filter(|field| (self.fits)(field)).cloned().collect();
        if fitting.is_empty() {
            let (needs, all) = (self.needs, listed(fields));
            return format!("no column can be the {what} ({option}), which is {needs}: convert one of {all}");
        }
        format!("no {what} column is recognized by name; give {option}, one of {}", listed(&fitting))
    }

    fn given(&self, fields: &Fields, name: &str) -> Result<usize, String> {
        let exact = fields.iter().position(|field| field.name() == name);
        let found = exact.or_else(|| fields.iter().position(|field| normal(field.name()) == normal(name)));
        let index = found.ok_or_else(|| {
            format!(
                "column `{name}` does not exist; {}use one of {}",
                suggestion(fields, name),
                listed(fields)
            )
        })?;
        let fits = (self.fits)(&fields[index]);
        let kind = fields[index].data_type();
        let refused =
            || format!("column `{name}` is not a {}: it is {kind}; convert it to {}", self.what, self.needs);
        fits.then_some(index).ok_or_else(refused)
    }
}

fn listed(fields: &Fields) -> String {
    few(fields.iter().map(|field| format!("`{}` ({})", field.name(), field.data_type())))
}

fn suggestion(fields: &Fields, name: &str) -> String {
    did_you_mean(name, fields.iter().map(|field| field.name().as_str()))
}
