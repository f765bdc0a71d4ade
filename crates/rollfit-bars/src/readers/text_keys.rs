//! Reads a text file whose rows say their keys, line by line.

use std::collections::VecDeque;
use std::path::Path;

use super::layout::RowEnd;
use super::text_blocks::{TextBlock, TextBlocks};
use super::text_lines::Line;
use super::text_rows::{KeyState, TextRows, too_long};
use crate::error::{FileLine, ImportError, RowFault, RowUnit, shown};
use crate::rows::collector::{Collected, Collector};
use crate::rows::keyed_collectors::KeyedCollectors;
use crate::rows::row_refusal::RowRefusal;

/// Reads the rows of all keys, from the blocks that begin with the first. Also returns how many ended after their close.
pub(super) fn read(
    path: &Path,
    mut rows: TextRows,
    new: Collector,
    (mut first, mut blocks): (VecDeque<TextBlock>, TextBlocks<'_>),
    entry: Option<&str>,
) -> Result<(Vec<Collected>, u64), ImportError> {
    let (mut keys, mut short_rows) = (KeyedCollectors::new(new, rows.key_state()), 0);
    while let Some(block) = first.pop_front().map_or_else(|| blocks.next(), |block| Ok(Some(block)))? {
        for line in block.lines() {
            short_rows += u64::from(read_row(path, &mut rows, &mut keys, line)? == RowEnd::Short);
        }
        blocks.recycle(block);
    }
    let collected = keys.finish(entry)?;
    rows.check_whole_file()?;
    Ok((collected, short_rows))
}

fn read_row(
    path: &Path,
    rows: &mut TextRows,
    keys: &mut KeyedCollectors<KeyState>,
    line: Line<'_>,
) -> Result<RowEnd, ImportError> {
    if line.is_too_long() {
        return Err(too_long(path, line.number));
    }
    let place = || FileLine::new(path, RowUnit::Line, line.number);
    let (row, collector) = match rows.key(line) {
        Some(key) if rows.may_end_in_half_a_key(line) && keys.may_be_cut(key) => {
            (Err(RowRefusal::Row(RowFault::HalfKey)), keys.of_unreadable_row())
        }
        Some(key) => {
            let of_key = keys.of_row(key, place)?;
            rows.swap_key(&mut of_key.state);
            let row = rows.bar(line);
            rows.swap_key(&mut of_key.state);
            (row, &mut of_key.collector)
        }
        None => (rows.without_key(line), keys.of_unreadable_row()),
    };
    collector.count_row();
    let hint = rows.take_hint();
    match row {
        Ok((bar, end)) => collector.keep(line.number, bar, rows.values()).map(|()| end),
        Err(refusal) => {
            collector.refuse(line.number, refusal, shown(line.bytes), hint).map(|()| RowEnd::default())
        }
    }
}
