//! gzip members one after the other, and zeros after the last.
//!
//! flate2's own multi-member reader takes zero padding (tapes, block devices) for a broken header;
//! gzip(1) accepts it, and anything else after the last member is damage that must not pass.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

type Raw = Box<dyn BufRead + Send>;

/// Reader over all members of a gzip file.
pub(super) struct Members {
    /// `None` after the last member.
    member: Option<GzDecoder<Raw>>,
}

impl Members {
    pub(super) fn new(raw: Raw) -> Self {
        Self {
            member: Some(GzDecoder::new(raw)),
        }
    }
}

impl Read for Members {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let read = member.read(buf)?;
            if read > 0 {
                return Ok(read);
            }
            if let Some(ended) = self.member.take() {
                self.member = next_member(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

fn next_member(mut raw: Raw) -> io::Result<Option<GzDecoder<Raw>>> {
    match raw.fill_buf()?.first() {
        None => Ok(None),
        Some(0) => only_zeros(raw.as_mut()).map(|()| None),
        Some(0x1f) => Ok(Some(GzDecoder::new(raw))),
        Some(_) => Err(garbage()),
    }
}

fn only_zeros(raw: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = raw.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        if buffer.iter().any(|byte| *byte != 0) {
            return Err(garbage());
        }
        let length = buffer.len();
        raw.consume(length);
    }
}

fn garbage() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "bytes after the last gzip member",
    )
}
