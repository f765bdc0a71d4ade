//! [`Layout`]: which column of a text file holds the time and which the close, as the first line says, and how many fields a row
//! has.
//!
//! A first line is a header when none of its fields begins like a number. Without a header, the format has its known columns,
//! or the user gives numbers. A header may name the zone in place of the time, where the format does so.
//!
//! Every row has as many fields as the header, the format or, where columns are free and there is no header, the first row;
//! one empty field more may follow, where it cannot come of a comma inside the close. Lenient reading takes a row that breaks
//! off behind its close, where its prices make the close certain.

use super::certain_row::{open_column, prices_agree};
use crate::error::RowFault;
use crate::formats::{ColumnRules, Format, RowShape, TextRules};
use crate::read_options::ReadOptions;
use crate::rows::price::has_leading_zero;
use crate::table::column_indexes::{ColumnIndexes, column, column_number, is_header};
use crate::table::column_names::{names_an_instrument, normal};
use crate::table::column_options::{ColumnOptions, OtherColumns};
use crate::table::delimiter;
use crate::table::fields::{Fields, for_plain_fields};
use crate::table::further_columns::FurtherColumns;
use crate::time::stamp_reader::{StampReader, StampRules};
use crate::time::zone::Zone;

const NO_KEY_COLUMN: &str = "the file has no header that names the column of --key-column; add one, or use --format csv and the number of the column";

/// Where time and close are in each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    delimiter: u8,
    columns: ColumnIndexes,
    /// Fields of every row.
    width: usize,
    /// The first line is a header.
    pub(crate) has_header: bool,
    /// The zone that the header names.
    pub(crate) zone: Option<Zone>,
    /// The columns that say the instrument, with their names.
    pub(crate) instruments: Vec<(usize, String)>,
    /// The column that says the key of a row.
    pub(crate) key: Option<usize>,
    /// The columns that bars keep besides.
    pub(crate) further: FurtherColumns,
    /// Times may be epochs.
    epochs: bool,
    /// No header and no format says how many columns a row has.
    is_free: bool,
    /// Open, high, low and close are side by side, from this column on.
    open: Option<usize>,
    /// The volume is right behind the close.
    has_volume_behind: bool,
}

/// The fields of a row that make a bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BarFields<'a> {
    pub(crate) date: Option<&'a str>,
    pub(crate) time: &'a str,
    pub(crate) close: &'a str,
    pub(crate) end: RowEnd,
}

/// What is needed of the fields of a row.
#[derive(Clone, Copy, Default)]
struct RowParts<'a> {
    row: BarFields<'a>,
    /// Fields so far.
    found: usize,
    last: &'a str,
    /// The field right behind the close.
    behind: &'a str,
}

impl<'a> RowParts<'a> {
    fn add(&mut self, columns: &ColumnIndexes, field: &'a str) {
        if columns.date == Some(self.found) {
            self.row.date = Some(field);
        }
        if columns.time == self.found {
            self.row.time = field;
        }
        if columns.close == self.found {
            self.row.close = field;
        }
        if columns.close + 1 == self.found {
            self.behind = field;
        }
        (self.found, self.last) = (self.found + 1, field);
    }
}

/// How a row ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RowEnd {
    /// In a last column that is not empty.
    #[default]
    Full,
    /// In a last column that is empty.
    Empty,
    /// In an empty field behind the last column.
    OneMore,
    /// Before its last column.
    Short,
}

impl Layout {
    /// Reads the layout from the options, the format and the first line; an error says what is missing.
    pub(crate) fn from_first_line(
        options: &ReadOptions,
        rules: &TextRules,
        line: &str,
    ) -> Result<Self, String> {
        let (layout, names) = Self::of_bars(options, rules, line)?;
        layout.with_others(options, &names)
    }

    /// The columns of the key and of further values.
    fn with_others(mut self, options: &ReadOptions, names: &[String]) -> Result<Self, String> {
        let has_header = self.has_header;
        if let Some(wanted) = &options.key_column {
            let key = match (has_header, self.is_free) {
                (true, _) => column(names, wanted)?,
                // Without a header there are no names, whatever the first row says.
                (false, true) => column_number(wanted, names.len()).ok_or_else(|| {
                    format!(
                        "the first line is not a header, so --key-column takes a number from 1 to {}, not `{wanted}`",
                        names.len()
                    )
                })?,
                (false, false) => return Err(NO_KEY_COLUMN.to_owned()),
            };
            if self.columns.contains(key) {
                return Err(format!("column `{wanted}` of --key-column is read as time or close already"));
            }
            self.instruments.retain(|(at, _)| *at != key);
            self.key = Some(key);
        }
        let others = &options.columns.others;
        if *others == OtherColumns::None {
            return Ok(self);
        }
        if self.is_free && !has_header {
            return Err(
                "the first line is not a header, so no column has a name for --columns; add a header line"
                    .to_owned(),
            );
        }
        let prices = self.vendor_names();
        let names = if has_header { &names[..self.width] } else { &prices };
        let is_taken = |at: usize| self.columns.contains(at) || Some(at) == self.key;
        let further = FurtherColumns::choose(names, others, is_taken)?;
        Ok(Self { further, ..self })
    }

    /// The names of the columns of a vendor's format without a header.
    fn vendor_names(&self) -> Vec<String> {
        let close = self.columns.close;
        let name = |at: usize| match (at + 3).checked_sub(close) {
            Some(0) => "open",
            Some(1) => "high",
            Some(2) => "low",
            Some(4) => "volume",
            _ => "",
        };
        (0..self.width).map(|at| name(at).to_owned()).collect()
    }

    /// Leaves out the further columns that hold no number in a row, unless they were named.
    pub(crate) fn settle_further(&mut self, line: &str) {
        let Self { further, .. } = self;
        let mut fields = Fields::new(line, self.delimiter);
        let mut at = 0;
        further.columns.retain(|column| {
            let field = fields.nth(column.index - at).unwrap_or("").trim_ascii();
            at = column.index + 1;
            let is_number = field.is_empty() || field.parse::<f64>().is_ok();
            if !is_number {
                further.left_out.push(column.name.clone());
            }
            is_number
        });
    }

    /// The layout of the bars, and the names of all columns if the first line is a header.
    fn of_bars(options: &ReadOptions, rules: &TextRules, line: &str) -> Result<(Self, Vec<String>), String> {
        if let Some(why) = Format::ticks(line).filter(|_| options.columns.close.is_none()) {
            return Err(why.to_owned());
        }
        if let (ColumnRules::Fixed(shape), Some(delimiter)) = (&rules.columns, rules.delimiters.first()) {
            let layout = Self::new(*delimiter, shape.columns(), *shape.fields.end());
            return Ok((Self { epochs: rules.epochs, ..layout }, Vec::new()));
        }
        let delimiter = delimiter(options, rules, line)?;
        let mut fields = Fields::new(line, delimiter);
        let cells: Vec<&str> = fields.by_ref().collect();
        if fields.is_broken() {
            return Err("the quotes of the first line are not balanced".to_owned());
        }
        let names: Vec<String> = cells.iter().map(|name| normal(name)).collect();
        let epochs = rules.epochs;
        if is_header(&names) {
            let zone = cells.first().filter(|_| rules.zone_in_header).and_then(|name| header_zone(name));
            let columns = match &zone {
                Some(_) => ColumnIndexes::from_header(&names, &first_is_time())?,
                None => ColumnIndexes::from_header(&names, &options.columns)?,
            };
            let layout = Self { epochs, zone, ..Self::with_header(delimiter, columns, &names) };
            return Ok((layout, names));
        }
        let columns = match &rules.columns {
            ColumnRules::Fixed(shape) => shape.columns(),
            ColumnRules::Known(shapes) => known_columns(options.format, shapes, &names)?,
            ColumnRules::Free => ColumnIndexes::from_numbers(&options.columns, &cells)?,
        };
        let layout = Self::new(delimiter, columns, names.len());
        let is_free = matches!(rules.columns, ColumnRules::Free);
        let instruments = if is_free { layout.words(&cells) } else { Vec::new() };
        Ok((Self { epochs, is_free, instruments, ..layout }, names))
    }

    fn new(delimiter: u8, columns: ColumnIndexes, width: usize) -> Self {
        Self {
            delimiter,
            columns,
            width,
            has_header: false,
            zone: None,
            instruments: Vec::new(),
            key: None,
            further: FurtherColumns::default(),
            epochs: false,
            is_free: false,
            open: None,
            has_volume_behind: false,
        }
    }

    fn with_header(delimiter: u8, columns: ColumnIndexes, names: &[String]) -> Self {
        let width = if names.last().is_some_and(String::is_empty) { names.len() - 1 } else { names.len() };
        let others = names.iter().enumerate().filter(|(at, _)| !columns.contains(*at));
        let named = others.filter(|(_, name)| names_an_instrument(name));
        let instruments = named.map(|(at, name)| (at, name.clone())).collect();
        let open = open_column(names, columns.close);
        let has_volume_behind = names.get(columns.close + 1).is_some_and(|name| name.contains("vol"));
        let layout = Self::new(delimiter, columns, width);
        Self { has_header: true, instruments, open, has_volume_behind, ..layout }
    }

    /// The columns without a name that hold a word: what but the instrument could it be?
    fn words(&self, cells: &[&str]) -> Vec<(usize, String)> {
        let others = cells.iter().enumerate().filter(|(at, _)| !self.columns.contains(*at));
        let words = others.filter(|(_, cell)| is_word(cell));
        words.map(|(at, _)| (at, (at + 1).to_string())).collect()
    }

    /// How the times of the file are read.
    pub(crate) fn stamp_reader(&self) -> StampReader {
        let ColumnIndexes { in_utc, has_time_beside, .. } = self.columns;
        StampReader::new(StampRules { epochs: self.epochs, in_utc, has_time_beside })
    }

    /// The fields of a row that make its bar.
    pub(crate) fn split<'a>(&self, line: &'a str) -> Result<BarFields<'a>, RowFault> {
        let mut parts = RowParts::default();
        if !for_plain_fields(line, self.delimiter, |field| parts.add(&self.columns, field)) {
            parts = RowParts::default();
            let mut fields = self.fields(line);
            fields.by_ref().for_each(|field| parts.add(&self.columns, field));
            if fields.is_broken() {
                return Err(RowFault::Quotes);
            }
        }
        let RowParts { mut row, found, last, behind } = parts;
        row.end = match last.trim_ascii().is_empty() {
            true if found == self.width => RowEnd::Empty,
            true if found == self.width + 1 && !self.may_be_split(row.close, line) => RowEnd::OneMore,
            false if found == self.width => RowEnd::Full,
            _ => return Err(self.miscount(found)),
        };
        let is_split = self.has_volume_behind && self.has_whole_close(row.close) && has_leading_zero(behind);
        if is_split { Err(RowFault::SplitClose) } else { Ok(row) }
    }

    /// The fields of a row that breaks off behind its close, or whose quotes do not close there, if the close is certain.
    pub(crate) fn split_short<'a>(&self, line: &'a str) -> Option<BarFields<'a>> {
        let (mut whole, mut found, mut fields) = (Vec::new(), 0, self.fields(line));
        while let Some(field) = fields.next() {
            let delimiters = field.bytes().filter(|byte| *byte == self.delimiter).count();
            found += 1 + if fields.is_broken() { delimiters } else { 0 };
            if !fields.is_broken() {
                whole.push(field);
            }
        }
        let at = |column: usize| whole.get(column).copied();
        let (time, date) = (at(self.columns.time)?, self.columns.date.and_then(at));
        let prices = whole.get(self.open?..=self.columns.close)?;
        let close = at(self.columns.close)?;
        let is_certain = (self.columns.close + 2..=self.width).contains(&found)
            && self.columns.time.max(self.columns.date.unwrap_or(0)) < self.open?
            && time.bytes().any(|byte| b"-./:".contains(&byte))
            && close.contains('.')
            && prices_agree(prices);
        is_certain.then_some(BarFields { date, time, close, end: RowEnd::Short })
    }

    /// Whether a comma of the close may have passed for the delimiter, in a row with one field too many.
    fn may_be_split(&self, close: &str, line: &str) -> bool {
        self.columns.close + 1 < self.width
            && self.has_whole_close(close)
            && self.prices_agree(line) != Some(true)
    }

    /// Whether the close is last in the row and does not agree with the other prices.
    pub(crate) fn may_end_in_half_a_close(&self, line: &str) -> bool {
        self.columns.close + 1 == self.width && self.prices_agree(line) == Some(false)
    }

    /// Whether open, high, low and close agree, where they are side by side.
    fn prices_agree(&self, line: &str) -> Option<bool> {
        let open = self.open?;
        Some(prices_agree(&self.fields(line).take(self.columns.close + 1).skip(open).collect::<Vec<_>>()))
    }

    /// Whether the close has no decimal point, where a comma delimits the fields.
    fn has_whole_close(&self, close: &str) -> bool {
        self.delimiter == b',' && !close.contains('.')
    }

    /// Whether rows that end so cannot be in one file: an empty last column hides a comma inside a number.
    pub(crate) fn ends_differ(&self, empty: bool, one_more: bool) -> bool {
        self.delimiter == b',' && empty && one_more
    }

    /// Fields of every row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Whether a row that breaks off behind its close still has this column.
    pub(crate) fn is_before_close(&self, column: usize) -> bool {
        column < self.columns.close
    }

    /// All fields of a row.
    pub(crate) fn fields<'a>(&self, line: &'a str) -> Fields<'a> {
        Fields::new(line, self.delimiter)
    }

    /// Whether a decimal comma could pass for the delimiter here: where no header counts the columns.
    pub(crate) fn may_split_numbers(&self) -> bool {
        self.is_free && self.delimiter == b',' && self.width > 2
    }

    /// Whether a number of the row has a decimal point.
    pub(crate) fn has_decimal_point(&self, line: &str) -> bool {
        self.fields(line).enumerate().any(|(at, field)| !self.columns.is_time(at) && field.contains('.'))
    }

    fn miscount(&self, found: usize) -> RowFault {
        match found == self.columns.close + 1 && found < self.width {
            true => RowFault::Cut { column: found },
            false => RowFault::FieldCount { found, expected: self.width },
        }
    }
}

/// The zone that the name of the first column states: an IANA name, or `Gmt time`.
fn header_zone(name: &str) -> Option<Zone> {
    let name = name.trim();
    if name.eq_ignore_ascii_case("gmt time") { Some(Zone::utc()) } else { Zone::from_iana(name) }
}

fn first_is_time() -> ColumnOptions {
    ColumnOptions { time: Some("1".to_owned()), ..ColumnOptions::default() }
}

fn is_word(cell: &str) -> bool {
    let cell = cell.trim();
    let empty = ["null", "none", "na", "n/a", "true", "false"];
    cell.starts_with(char::is_alphabetic)
        && cell.parse::<f64>().is_err()
        && !empty.contains(&cell.to_lowercase().as_str())
}

fn delimiter(options: &ReadOptions, rules: &TextRules, line: &str) -> Result<u8, String> {
    if let Some(given) = options.columns.delimiter {
        return delimiter::checked(given);
    }
    delimiter::most_frequent(rules.delimiters, line).ok_or_else(|| {
        let other = match rules.columns {
            ColumnRules::Free => "name another delimiter with --delimiter",
            _ if rules.delimiters == delimiter::USUAL => "use --format csv with --delimiter",
            _ => "use --format csv",
        };
        let known = delimiter::listed(rules.delimiters);
        format!("the first line has no delimiter ({known}); skip lines above the table with --skip-lines, or {other}")
    })
}

/// The columns of a row of a vendor's file without a header.
fn known_columns(format: Format, shapes: &[RowShape], fields: &[String]) -> Result<ColumnIndexes, String> {
    let has_time = |shape: &&RowShape| fields.get(shape.time).is_some_and(|field| field.contains(':'));
    let shape = shapes
        .iter()
        .find(has_time)
        .ok_or_else(|| format!("the first line is neither a header nor a bar of the format {format}"))?;
    if shape.fields.contains(&fields.len()) {
        return Ok(shape.columns());
    }
    Err(format!(
        "the first line has {} fields, but a bar of the format {format} has {} to {}; a comma may be its decimal \
         mark, or two rows may share one line",
        fields.len(),
        shape.fields.start(),
        shape.fields.end()
    ))
}

#[cfg(test)]
mod tests;
