//! [`FileWriter`]: a Parquet file of a time column and columns of doubles, row group by row group.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{
    Compression as Codec, Encoding as FooterEncoding, LogicalType, Repetition, TimeUnit,
    Type as PhysicalType, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::statistics::Statistics;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use rollfit_files::parquet_file::{CREATED_BY, Checksums};
use rollfit_job::config::Compression;

use crate::encode::body_output::{BodyOutput, PieceBuffer};
use crate::encode::column::ColumnBuffer;
use crate::encode::compact::Encoding;
use crate::encode::page_encoder::{PageEncoder, PageMemory, WrittenChunk};

/// What a Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";

/// Writes a file. The rows come in whole row groups.
pub(super) struct FileWriter<W> {
    body: BodyOutput<W>,
    encoder: PageEncoder,
    schema: SchemaDescPtr,
    codec: Codec,
    groups: Vec<RowGroupMetaData>,
    rows: i64,
}

impl<W: Write> FileWriter<W> {
    /// A file with the schema `name`: a time column and doubles.
    pub(super) fn new(
        output: W,
        name: &str,
        (time, columns): (&str, &[&str]),
        compression: Compression,
        (piece, memory): (PieceBuffer, PageMemory),
    ) -> Result<Self, ParquetError> {
        Ok(Self {
            body: BodyOutput::new(output, piece),
            encoder: PageEncoder::new(compression, memory)?,
            schema: Arc::new(SchemaDescriptor::new(Arc::new(schema(name, time, columns)?))),
            codec: match compression {
                Compression::None => Codec::UNCOMPRESSED,
                Compression::Lz4 => Codec::LZ4_RAW,
                Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
            },
            groups: Vec::new(),
            rows: 0,
        })
    }

    /// Writes a row group; without rows, nothing.
    pub(super) fn write_group(
        &mut self,
        instants_us: &[i64],
        columns: &mut [ColumnBuffer],
    ) -> Result<(), ParquetError> {
        let (Some(&first), Some(&last)) = (instants_us.first(), instants_us.last()) else { return Ok(()) };
        self.begin()?;
        let rows = instants_us.len() as i64;
        let time = self.encoder.write_instants(instants_us, &mut self.body)?;
        let offset = time.offset();
        let mut unpacked_bytes = time.unpacked_bytes;
        let range = Statistics::int64(Some(first), Some(last), None, Some(0), false);
        let mut chunks = Vec::with_capacity(columns.len() + 1);
        chunks.push(self.chunk(0, &time, rows).set_statistics(range).build()?);
        for (at, column) in columns.iter_mut().enumerate() {
            let written = self.encoder.write_doubles(column, &mut self.body)?;
            unpacked_bytes += written.unpacked_bytes;
            chunks.push(self.chunk(at + 1, &written, rows).build()?);
        }
        let mut group = RowGroupMetaData::builder(self.schema.clone())
            .set_num_rows(rows)
            .set_total_byte_size(unpacked_bytes as i64)
            .set_file_offset(offset as i64)
            .set_column_metadata(chunks);
        // Optional, and too small for the numbers of very many.
        if let Ok(ordinal) = i16::try_from(self.groups.len()) {
            group = group.set_ordinal(ordinal);
        }
        self.groups.push(group.build()?);
        self.rows += rows;
        Ok(())
    }

    /// Writes the footer, with these entries and the checksums of the file; returns the bytes of the file.
    pub(super) fn finish(&mut self, mut entries: Vec<KeyValue>) -> Result<u64, ParquetError> {
        self.begin()?;
        entries.push(Checksums::to_fill_in());
        let created_by = Some(CREATED_BY.to_owned());
        let file = FileMetaData::new(1, self.rows, created_by, Some(entries), self.schema.clone(), None);
        let metadata = ParquetMetaData::new(file, std::mem::take(&mut self.groups));
        let mut end = Vec::new();
        ParquetMetaDataWriter::new(&mut end, &metadata).finish()?;
        Checksums::seal(self.body.position(), self.body.crc(), &mut end)?;
        self.body.finish(&end)?;
        Ok(self.body.position())
    }

    /// The bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.body.position()
    }

    /// Where the bytes go.
    pub(super) fn output(&mut self) -> &mut W {
        self.body.output()
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.body.memory_bytes() + self.encoder.memory_bytes()
    }

    /// The memory, for another file.
    pub(super) fn take_memory(&mut self) -> (PieceBuffer, PageMemory) {
        (self.body.take_piece(), self.encoder.take_memory())
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.body.position() == 0 { self.body.push(MAGIC) } else { Ok(()) }
    }

    fn chunk(
        &self,
        at: usize,
        written: &WrittenChunk,
        rows: i64,
    ) -> parquet::file::metadata::ColumnChunkMetaDataBuilder {
        ColumnChunkMetaData::builder(self.schema.column(at))
            .set_compression(self.codec)
            .set_encodings(encodings(written.encoding))
            .set_num_values(rows)
            .set_total_compressed_size(written.packed_bytes as i64)
            .set_total_uncompressed_size(written.unpacked_bytes as i64)
            .set_data_page_offset(written.data_offset as i64)
            .set_dictionary_page_offset(written.dictionary_offset.map(|offset| offset as i64))
    }
}

/// The encodings of a column whose values have this one, those of levels and dictionaries included.
fn encodings(of_values: Encoding) -> Vec<FooterEncoding> {
    match of_values {
        Encoding::Plain => vec![FooterEncoding::PLAIN, FooterEncoding::RLE],
        Encoding::Rle => vec![FooterEncoding::RLE],
        Encoding::DeltaBinaryPacked => vec![FooterEncoding::RLE, FooterEncoding::DELTA_BINARY_PACKED],
        Encoding::RleDictionary => {
            vec![FooterEncoding::PLAIN, FooterEncoding::RLE, FooterEncoding::RLE_DICTIONARY]
        }
        Encoding::ByteStreamSplit => vec![FooterEncoding::RLE, FooterEncoding::BYTE_STREAM_SPLIT],
    }
}

fn schema(name: &str, time: &str, columns: &[&str]) -> Result<Type, ParquetError> {
    let time = Type::primitive_type_builder(time, PhysicalType::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
        .build()?;
    let double = |name: &&str| {
        Type::primitive_type_builder(name, PhysicalType::DOUBLE).with_repetition(Repetition::OPTIONAL).build()
    };
    let mut fields = vec![Arc::new(time)];
    for column in columns {
        fields.push(Arc::new(double(column)?));
    }
    Type::group_type_builder(name).with_fields(fields).build()
}
