//! Reads bars from delimited text: blocks of lines on all cores, their rows put into order one after the other.
//!
//! Each block is read from the state that the rows before it are expected to leave, and the rows of each key in it as if they
//! were the first of that key; once more, in its turn, where that makes a difference. So the result, whatever it is, is that
//! of reading line by line.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::text_blocks::{BLOCK_BYTES, TextBlock, TextBlocks};
use super::text_rows::{RowsState, TextRows, too_long};
use crate::archive::{self, Opened};
use crate::cores::{Cores, Pieces, in_order};
use crate::error::{ImportError, RowUnit};
use crate::formats::TextRules;
use crate::read_options::ReadOptions;
use crate::rows::batch::Batch;
use crate::rows::collector::{Collected, Collector};
use crate::rows::keyed_collectors::KeyedCollectors;

/// Reads one text file.
pub(super) fn read(
    path: &Path,
    options: &ReadOptions,
    rules: &TextRules,
    cores: &Cores,
) -> Result<Vec<Collected>, ImportError> {
    read_blocks(path, options, rules, cores, BLOCK_BYTES)
}

fn read_blocks(
    path: &Path,
    options: &ReadOptions,
    rules: &TextRules,
    cores: &Cores,
    block_bytes: usize,
) -> Result<Vec<Collected>, ImportError> {
    let Opened { reader, ignored_bytes, entry, .. } = archive::open(path)?;
    let mut blocks = TextBlocks::new(path, reader, block_bytes);
    let (rows, first) = head(path, options, rules, &mut blocks)?;
    let further = &rows.layout().further;
    let names = further.columns.iter().map(|column| column.stored_name.as_str());
    let collector = Collector::new(path, RowUnit::Line, options).with_columns(names);
    let left_out = further.left_out_warning();
    let (mut collected, short_rows) = read_bars(cores, rows, collector, (first, blocks), entry.as_deref())?;
    if let Some(first) = collected.first_mut() {
        let ignored_bytes = ignored_bytes.get();
        let ignored = (ignored_bytes > 0)
            .then(|| format!("ignored {ignored_bytes} bytes after the last gzip member, which are not gzip"));
        let short = (short_rows > 0).then(|| {
            format!(
                "kept rows that end after the close, because their open, high, low and close are consistent: \
                 {short_rows}"
            )
        });
        [ignored, short, left_out].into_iter().flatten().for_each(|warning| first.warn(warning));
    }
    Ok(collected)
}

/// Reads the bars, by key. Also returns how many rows ended after their close.
fn read_bars<'a>(
    cores: &'a Cores,
    rows: TextRows,
    collector: Collector,
    (first, blocks): (VecDeque<TextBlock>, TextBlocks<'a>),
    entry: Option<&str>,
) -> Result<(Vec<Collected>, u64), ImportError> {
    let (state, keys) = (Arc::new(rows.state().clone()), rows.collectors(collector));
    let mut file = TextFile { cores, blocks, first, rows, state, is_steady: false, keys, short_rows: 0 };
    let rows = file.rows.clone();
    in_order(&mut file, cores, || {
        let mut rows = rows.clone();
        move |piece| read_block(&mut rows, piece)
    })?;
    let short_rows = file.short_rows;
    Ok((file.finish(entry)?, short_rows))
}

/// Finds the layout in the first line. Returns the blocks that were read, which begin with the first row.
fn head(
    path: &Path,
    options: &ReadOptions,
    rules: &TextRules,
    blocks: &mut TextBlocks<'_>,
) -> Result<(TextRows, VecDeque<TextBlock>), ImportError> {
    let mut above = options.skip_lines;
    while let Some(mut block) = blocks.next()? {
        let mut lines = block.lines();
        above -= lines.pass_over(above).map_err(|line| too_long(path, line))?;
        let at_first = lines.rest();
        let Some(first) = lines.next() else { continue };
        let rows = TextRows::new(path, options, rules, first)?;
        let rest = if rows.layout().has_header { lines.rest() } else { at_first };
        block.skip_to(rest);
        if rows.layout().further.is_all {
            return Ok(settled(rows, block, blocks));
        }
        return Ok((rows, VecDeque::from([block])));
    }
    Err(ImportError::empty(path, options.skip_lines))
}

/// Decides by the first row that has the fields of one which columns hold numbers. Returns the blocks that were looked at.
fn settled(
    mut rows: TextRows,
    first: TextBlock,
    blocks: &mut TextBlocks<'_>,
) -> (TextRows, VecDeque<TextBlock>) {
    const LINES_MAX: usize = 1_000;
    let (mut seen, mut lines) = (VecDeque::new(), 0);
    let mut next = Some(first);
    while let Some(block) = next {
        let mut left = block.lines().take(LINES_MAX - lines).inspect(|_| lines += 1);
        let is_settled = left.any(|line| rows.settle_further(line));
        if block.lines().next().is_some() {
            seen.push_back(block);
        } else {
            // Blank lines without end are not kept.
            blocks.recycle(block);
        }
        next = if is_settled || lines == LINES_MAX { None } else { blocks.next_block() };
    }
    (rows, seen)
}

/// A file between its blocks.
struct TextFile<'a> {
    cores: &'a Cores,
    blocks: TextBlocks<'a>,
    first: VecDeque<TextBlock>,
    rows: TextRows,
    /// What the rows taken so far say.
    state: Arc<RowsState>,
    /// The last block changed nothing of that.
    is_steady: bool,
    keys: KeyedCollectors,
    short_rows: u64,
}

/// A block, read from the state `from` and as the first rows of each key.
struct ReadBlock {
    block: TextBlock,
    from: Arc<RowsState>,
    batch: Batch,
    to: RowsState,
}

fn read_block(rows: &mut TextRows, (block, from): (TextBlock, Arc<RowsState>)) -> ReadBlock {
    rows.set_state(RowsState::clone(&from));
    let batch = rows.read(&block, None);
    ReadBlock { batch, to: rows.state().clone(), block, from }
}

impl Pieces for TextFile<'_> {
    type Piece = (TextBlock, Arc<RowsState>);
    type Done = ReadBlock;
    type Error = ImportError;

    fn next(&mut self) -> Result<Option<Self::Piece>, ImportError> {
        if self.cores.is_stopped() {
            return Ok(None);
        }
        let block = match self.first.pop_front() {
            None => self.blocks.next()?,
            first => first,
        };
        Ok(block.map(|block| (block, Arc::clone(&self.state))))
    }

    fn is_steady(&self) -> bool {
        self.is_steady
    }

    fn take(&mut self, mut done: ReadBlock) -> Result<(), ImportError> {
        let is_expected = Arc::ptr_eq(&done.from, &self.state) || done.from == self.state;
        if !is_expected || !self.keys.precede(&mut done.batch) {
            self.rows.set_state(RowsState::clone(&self.state));
            done.batch = self.rows.read(&done.block, Some(&self.keys));
            done.to = self.rows.state().clone();
        }
        self.is_steady = done.to == *self.state;
        if !self.is_steady {
            self.state = Arc::new(done.to);
        }
        self.blocks.recycle(done.block);
        self.short_rows += done.batch.short_rows;
        let rows = &self.rows;
        self.keys.add(done.batch, |number| rows.file_line(number))
    }
}

impl TextFile<'_> {
    fn finish(self, entry: Option<&str>) -> Result<Vec<Collected>, ImportError> {
        let collected = self.keys.finish(entry)?;
        let mut rows = self.rows;
        rows.set_state(RowsState::clone(&self.state));
        rows.check_whole_file()?;
        Ok(collected)
    }
}

#[cfg(test)]
mod tests;
