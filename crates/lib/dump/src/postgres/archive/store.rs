//! Where an archive keeps the data of its entries.

use std::io;

use super::contents::Entry;

pub(super) trait Store: Send {
    /// Goes to the data of an entry; entries come in the order of the table of contents.
    fn open(&mut self, entry: &Entry) -> io::Result<()>;

    /// Goes on to the next large object of an entry that was opened and has such; its number, or `None` after the last.
    fn next_object(&mut self) -> io::Result<Option<u32>>;

    /// Reads on in the data of a table or a large object; nothing only at its proven end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// All data was read: reads to the archive's end.
    fn finish(&mut self) -> io::Result<()>;
}
