//! LZ4 frames one after the other.
//!
//! lz4_flex reports the end of the input at a block's border as the end of the data, so a stream
//! that broke off there would pass as whole. The difference shows below it: a frame that ends does
//! so without its reader having met the end of the input.

use std::io::{self, Read};

use lz4_flex::frame::FrameDecoder;

/// Reader over all frames of an LZ4 file.
pub(super) struct Frames<R: Read> {
    decoder: FrameDecoder<Watched<R>>,
    done: bool,
}

struct Watched<R> {
    raw: R,
    ended: bool,
    /// Bytes since the last frame's end.
    taken: u64,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buf)?;
        self.ended |= read == 0 && !buf.is_empty();
        self.taken += read as u64;
        Ok(read)
    }
}

impl<R: Read> Frames<R> {
    pub(super) fn new(raw: R) -> Self {
        let decoder = FrameDecoder::new(Watched {
            raw,
            ended: false,
            taken: 0,
        });
        Self {
            decoder,
            done: false,
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.done {
            return Ok(0);
        }
        loop {
            let read = self.decoder.read(buf).map_err(in_words)?;
            if read > 0 {
                return Ok(read);
            }
            let below = self.decoder.get_mut();
            match (below.ended, below.taken) {
                (true, 0) => {
                    self.done = true;
                    return Ok(0);
                }
                (true, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (false, _) => below.taken = 0,
            }
        }
    }
}

/// lz4_flex writes its reasons as Rust writes an enum.
fn in_words(error: io::Error) -> io::Error {
    if super::is_damage(&error) {
        return io::Error::new(error.kind(), "a block or checksum of LZ4 is wrong");
    }
    error
}
