//! zlib's format, which custom archives have where files have gzip's.
//!
//! flate2's own reader takes an input that breaks off for the end of the data.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Reader of one zlib stream; nothing at all is an empty one, as pg_dump leaves it.
pub(super) struct Inflate<R> {
    raw: R,
    state: Decompress,
    over: bool,
}

impl<R: BufRead> Inflate<R> {
    pub(super) fn new(raw: R) -> Self {
        Self {
            raw,
            state: Decompress::new(true),
            over: false,
        }
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.over && !buffer.is_empty() {
            let input = self.raw.fill_buf()?;
            if input.is_empty() && self.state.total_in() == 0 {
                self.over = true;
                break;
            }
            let ended = input.is_empty();
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self
                .state
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.raw.consume((self.state.total_in() - taken) as usize);
            let read = (self.state.total_out() - given) as usize;
            self.over = status == Status::StreamEnd;
            if read > 0 {
                return Ok(read);
            }
            if ended && !self.over {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn a_stream_that_breaks_off_is_not_an_end() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).unwrap();
        let stored = encoder.finish().unwrap();
        let read = |stored: &[u8]| {
            let mut text = Vec::new();
            Inflate::new(io::BufReader::with_capacity(7, stored))
                .read_to_end(&mut text)
                .map(|_| text)
        };
        assert_eq!(read(&stored).unwrap(), text);
        assert_eq!(read(b"").unwrap(), b"");
        for keep in [1, 2, 1000, stored.len() - 4, stored.len() - 1] {
            let error = read(&stored[..keep]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{keep}");
        }
        let mut bent = stored;
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(read(&bent).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
