//! Decompression by content: what a file is called does not matter, what it begins with does.
//!
//! Every reader here reads its input to the very end, so that a hash of the stored bytes is whole,
//! and says [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where the stream breaks off.

mod gzip;
mod lz4;

use std::io::{self, BufRead, Cursor, Read};

/// How a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Not compressed.
    Plain,
    /// gzip, any number of members.
    Gzip,
    /// Zstandard, any number of frames.
    Zstd,
    /// xz, any number of streams.
    Xz,
    /// bzip2, any number of streams.
    Bzip2,
    /// LZ4 frame format, any number of frames.
    Lz4,
}

/// Bytes that [`sniff`] wants to see.
pub const HEAD: usize = 6;

/// Tells the format from the first [`HEAD`] bytes; fewer if the file is shorter.
#[must_use]
pub fn sniff(head: &[u8]) -> Format {
    match head {
        [0x1f, 0x8b, ..] => Format::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Zstd,
        // A skippable frame: pzstd and seekable zstd files begin with one.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Format::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Format::Bzip2,
        [0x04, 0x22, 0x4d, 0x18, ..] => Format::Lz4,
        _ => Format::Plain,
    }
}

/// Whether an error of a [`reader`] is about the stored bytes, rather than about getting at them; a stream that breaks
/// off says [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) instead.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
    )
}

/// A reader of the decompressed bytes.
///
/// # Errors
/// Those of reading the first bytes, and of setting up the decompressor.
pub fn reader(raw: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    sniffed(raw).map(|(_, text)| text)
}

/// The same, and what it is stored as.
pub(crate) fn sniffed(
    raw: impl BufRead + Send + 'static,
) -> io::Result<(Format, Box<dyn Read + Send>)> {
    let mut raw = raw;
    let mut head = Vec::with_capacity(HEAD);
    raw.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let format = sniff(&head);
    let raw = Cursor::new(head).chain(raw);
    let text: Box<dyn Read + Send> = match format {
        Format::Plain => Box::new(raw),
        Format::Gzip => Box::new(gzip::Members::new(Box::new(raw))),
        Format::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(raw)?),
        Format::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(raw)),
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(raw)),
        Format::Lz4 => Box::new(lz4::Frames::new(raw)),
    };
    Ok((format, text))
}

#[cfg(test)]
mod tests;
