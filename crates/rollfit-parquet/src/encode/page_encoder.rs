//! [`PageEncoder`]: the pages of a column, from its values to packed bytes.
//!
//! Invariants: the same values give the same bytes, whatever was encoded before.

use std::io::{self, Write};

use rollfit_job::config::Compression;
use zstd::bulk::Compressor;

use crate::encode::body_output::BodyOutput;
use crate::encode::byte_split::{random_streams, split_bytes};
use crate::encode::column::{ColumnBuffer, VALUE_BYTES};
use crate::encode::compact::{Encoding, PageKind, push_page_header};
use crate::encode::delta::push_deltas;
use crate::encode::levels::{push_levels, push_varint};
use crate::encode::lz4::Lz4Block;

/// A column with as many values, all the same, gets a dictionary: for fewer its pages would be the larger ones.
const DICTIONARY_VALUES_MIN: usize = 8;

/// What is packed into pages, and the memory for it.
pub(super) struct PageEncoder {
    compression: Compression,
    zstd: Option<Compressor<'static>>,
    memory: PageMemory,
}

/// Memory of the encoding, for one page after the other.
#[derive(Default)]
pub(super) struct PageMemory {
    levels: Vec<u8>,
    /// A page before it is packed; it may be longer than the page.
    page: Vec<u8>,
    lz4: Lz4Block,
    zstd: Vec<u8>,
    header: Vec<u8>,
}

/// Where the pages of a column are in a file, and how large.
pub(super) struct WrittenChunk {
    pub(super) encoding: Encoding,
    pub(super) dictionary_offset: Option<u64>,
    pub(super) data_offset: u64,
    pub(super) packed_bytes: u64,
    pub(super) unpacked_bytes: u64,
}

impl PageEncoder {
    /// An encoder with the level of zstd that is its default.
    pub(super) fn new(compression: Compression, memory: PageMemory) -> io::Result<Self> {
        let zstd = match compression {
            Compression::Zstd => Some(Compressor::new(ZSTD_LEVEL)?),
            Compression::None | Compression::Lz4 => None,
        };
        Ok(Self { compression, zstd, memory })
    }

    /// Writes a column of instants, none of which is missing.
    pub(super) fn write_instants<W: Write>(
        &mut self,
        instants_us: &[i64],
        body: &mut BodyOutput<W>,
    ) -> io::Result<WrittenChunk> {
        let encoding = Encoding::DeltaBinaryPacked;
        let mut chunk = WrittenChunk::begin(encoding, body);
        self.memory.page.clear();
        push_deltas(instants_us, &mut self.memory.page);
        let rows = instants_us.len();
        let page = Page { kind: PageKind::Data { rows, encoding }, bytes: self.memory.page.len() };
        chunk.add(self.write_page(page, &[], body)?);
        Ok(chunk)
    }

    /// Writes a column of doubles.
    pub(super) fn write_doubles<W: Write>(
        &mut self,
        column: &mut ColumnBuffer,
        body: &mut BodyOutput<W>,
    ) -> io::Result<WrittenChunk> {
        self.memory.levels.clear();
        push_levels(column.runs(), &mut self.memory.levels);
        match column.constant() {
            Some(bits) if column.values() >= DICTIONARY_VALUES_MIN => self.write_constant(bits, column, body),
            _ => self.write_values(column, body),
        }
    }

    /// A dictionary of one value, and a page in which every value refers to it.
    fn write_constant<W: Write>(
        &mut self,
        bits: u64,
        column: &ColumnBuffer,
        body: &mut BodyOutput<W>,
    ) -> io::Result<WrittenChunk> {
        let encoding = Encoding::RleDictionary;
        let mut chunk = WrittenChunk::begin(encoding, body);
        chunk.dictionary_offset = Some(chunk.data_offset);
        self.memory.page.clear();
        self.memory.page.extend(bits.to_le_bytes());
        let dictionary = Page { kind: PageKind::Dictionary { values: 1 }, bytes: VALUE_BYTES };
        chunk.add(self.write_page(dictionary, &[], body)?);
        chunk.data_offset = body.position();

        let PageMemory { page, levels, .. } = &mut self.memory;
        page.clear();
        page.extend_from_slice(levels);
        // One bit a value, and a run of zeros.
        page.push(1);
        push_varint((column.values() as u64) << 1, page);
        page.push(0);
        let (kind, bytes) = (PageKind::Data { rows: column.rows(), encoding }, page.len());
        chunk.add(self.write_page(Page { kind, bytes }, &[], body)?);
        Ok(chunk)
    }

    fn write_values<W: Write>(
        &mut self,
        column: &mut ColumnBuffer,
        body: &mut BodyOutput<W>,
    ) -> io::Result<WrittenChunk> {
        let rows = column.rows();
        let values = column.bytes();
        let PageMemory { page, levels, .. } = &mut self.memory;
        if self.compression == Compression::None {
            let encoding = Encoding::Plain;
            let mut chunk = WrittenChunk::begin(encoding, body);
            std::mem::swap(page, levels);
            let page = Page { kind: PageKind::Data { rows, encoding }, bytes: page.len() };
            chunk.add(self.write_page(page, values, body)?);
            return Ok(chunk);
        }
        let encoding = Encoding::ByteStreamSplit;
        let mut chunk = WrittenChunk::begin(encoding, body);
        let kind = PageKind::Data { rows, encoding };
        if self.compression == Compression::Lz4 {
            chunk.add(self.write_split(kind, values, body)?);
            return Ok(chunk);
        }
        let bytes = levels.len() + values.len();
        if page.len() < bytes {
            page.resize(bytes, 0);
        }
        page[..levels.len()].copy_from_slice(levels);
        split_bytes(values, &mut page[levels.len()..bytes], &mut []);
        chunk.add(self.write_page(Page { kind, bytes }, &[], body)?);
        Ok(chunk)
    }

    /// Writes a page of split values as [`Self::write_page`] does, the kept bytes straight to their place.
    fn write_split<W: Write>(
        &mut self,
        kind: PageKind,
        values: &[u8],
        body: &mut BodyOutput<W>,
    ) -> io::Result<(u64, u64)> {
        let PageMemory { page, levels, lz4, header, .. } = &mut self.memory;
        let kept_values = values.len() / VALUE_BYTES * random_streams(values);
        let (unpacked_bytes, kept_bytes) = (levels.len() + values.len(), levels.len() + kept_values);
        let tail_bytes = values.len() - kept_values;
        if page.len() < tail_bytes {
            page.resize(tail_bytes, 0);
        }
        // The place is right if what comes before is as long as it mostly is.
        header.clear();
        push_page_header(kind, (unpacked_bytes, unpacked_bytes), LONG_CRC, header);
        let place = header.len() + Lz4Block::usual_start_bytes(kept_bytes);
        let room = body.room();
        let (kept, behind) = room[place..].split_at_mut(kept_bytes);
        let (kept_levels, kept_values) = kept.split_at_mut(levels.len());
        kept_levels.copy_from_slice(levels);
        let tail = &mut page[..tail_bytes];
        split_bytes(values, kept_values, tail);
        lz4.pack(kept_bytes, tail)?;
        let (start, rest) = (lz4.start(), lz4.rest());
        behind[..rest.len()].copy_from_slice(rest);
        let end = place + kept_bytes + rest.len();

        let mut crc = crc32fast::Hasher::new();
        crc.update(start);
        crc.update(&room[place..end]);
        let packed_bytes = start.len() + end - place;
        header.clear();
        push_page_header(kind, (unpacked_bytes, packed_bytes), crc.finalize(), header);
        let before = header.len() + start.len();
        if before != place {
            room.copy_within(place..end, before);
        }
        room[..header.len()].copy_from_slice(header);
        room[header.len()..before].copy_from_slice(start);
        let header_bytes = header.len();
        body.add(header_bytes + packed_bytes)?;
        Ok(((header_bytes + unpacked_bytes) as u64, (header_bytes + packed_bytes) as u64))
    }

    /// Packs and writes the page in the memory, followed by values that are not packed; returns its bytes unpacked and packed,
    /// with the header.
    fn write_page<W: Write>(
        &mut self,
        page: Page,
        values: &[u8],
        body: &mut BodyOutput<W>,
    ) -> io::Result<(u64, u64)> {
        let PageMemory { page: memory, lz4, zstd, header, .. } = &mut self.memory;
        let bytes = &memory[..page.bytes];
        let parts = match (self.compression, &mut self.zstd) {
            (Compression::Lz4, _) => {
                lz4.pack(0, bytes)?;
                [lz4.start(), lz4.rest()]
            }
            (Compression::Zstd, Some(packer)) => {
                zstd.clear();
                zstd.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                packer.compress_to_buffer(bytes, zstd)?;
                [zstd.as_slice(), &[]]
            }
            (Compression::None | Compression::Zstd, _) => [bytes, values],
        };
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|part| crc.update(part));
        let unpacked_bytes = bytes.len() + values.len();
        let packed_bytes = parts.iter().map(|part| part.len()).sum();
        header.clear();
        push_page_header(page.kind, (unpacked_bytes, packed_bytes), crc.finalize(), header);
        body.push(header)?;
        parts.iter().try_for_each(|part| body.push(part))?;
        Ok(((header.len() + unpacked_bytes) as u64, (header.len() + packed_bytes) as u64))
    }

    /// The memory, for another encoder.
    pub(super) fn take_memory(&mut self) -> PageMemory {
        std::mem::take(&mut self.memory)
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let PageMemory { levels, page, lz4, zstd, header } = &self.memory;
        let parts = [levels, page, zstd, header];
        lz4.memory_bytes() + parts.iter().map(|part| part.capacity()).sum::<usize>()
    }
}

/// A checksum that takes as many bytes in a header as most do.
const LONG_CRC: u32 = 1 << 31;

/// The level of zstd, its second lowest; those above cost time and save little of doubles.
const ZSTD_LEVEL: i32 = 1;

/// A page in the memory, unpacked.
struct Page {
    kind: PageKind,
    bytes: usize,
}

impl WrittenChunk {
    fn begin<W: Write>(encoding: Encoding, body: &BodyOutput<W>) -> Self {
        let data_offset = body.position();
        Self { encoding, dictionary_offset: None, data_offset, packed_bytes: 0, unpacked_bytes: 0 }
    }

    fn add(&mut self, (unpacked_bytes, packed_bytes): (u64, u64)) {
        self.unpacked_bytes += unpacked_bytes;
        self.packed_bytes += packed_bytes;
    }

    /// Where its first page begins.
    pub(super) fn offset(&self) -> u64 {
        self.dictionary_offset.unwrap_or(self.data_offset)
    }
}
