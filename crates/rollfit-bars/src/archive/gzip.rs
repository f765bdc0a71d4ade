//! Unpacking gzip as `gzip -d` does: member after member. Zeros after the last one are padding, other bytes are ignored and
//! counted.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;

/// The first two bytes of a member.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file whose first bytes were read before.
type Rest = Chain<Cursor<Vec<u8>>, BufReader<File>>;

/// The unpacked bytes of all members.
pub(crate) struct GzipMembers {
    member: Option<GzDecoder<Rest>>,
    ignored_bytes: Rc<Cell<u64>>,
}

impl GzipMembers {
    /// Unpacks a file that begins with a member. Bytes after the last member are counted in `ignored_bytes` once it ends.
    pub(crate) fn new(file: BufReader<File>, ignored_bytes: Rc<Cell<u64>>) -> Self {
        Self { member: Some(GzDecoder::new(Cursor::new(Vec::new()).chain(file))), ignored_bytes }
    }

    fn next_member(&mut self, mut file: BufReader<File>) -> io::Result<()> {
        let mut head = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut head)?;
        let mut rest = Cursor::new(head).chain(file);
        if rest.get_ref().0.get_ref().as_slice() == MAGIC {
            self.member = Some(GzDecoder::new(rest));
            return Ok(());
        }
        let (mut buffer, mut bytes, mut is_padding) = ([0; 8192], 0, true);
        loop {
            match rest.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    is_padding &= buffer[..read].iter().all(|byte| *byte == 0);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.ignored_bytes.set(if is_padding { 0 } else { bytes });
        Ok(())
    }
}

impl Read for GzipMembers {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            if let Some(ended) = self.member.take() {
                let (_, file) = ended.into_inner().into_inner();
                self.next_member(file)?;
            }
        }
        Ok(0)
    }
}
