//! Text that is read ahead on a thread of its own, where getting at it takes long: while one piece is decompressed, the
//! one before is read.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes of text that are read where they are asked for: below, a thread is not worth its start.
const ALONE: usize = 1 << 20;

/// Bytes of a piece; one that stays in the processor's cache is not slower to read than what was asked for directly.
const PIECE: usize = 256 * 1024;

/// Pieces that wait to be read at most. Beside them, one is being filled and one read.
const WAITING: usize = 4;

type Text = Box<dyn Read + Send>;

/// A reader whose text is read ahead.
pub(crate) struct Ahead {
    text: Reading,
    /// Bytes read so far, until a thread is worth it.
    bytes: usize,
    piece: Vec<u8>,
    /// Of the piece, bytes that are read.
    done: usize,
}

enum Reading {
    /// Where it is asked for.
    Here(Text),
    Beside {
        full: Receiver<io::Result<Vec<u8>>>,
        empty: Sender<Vec<u8>>,
    },
    Over,
}

impl Ahead {
    pub(crate) const fn new(text: Text) -> Self {
        Self {
            text: Reading::Here(text),
            bytes: 0,
            piece: Vec::new(),
            done: 0,
        }
    }

    /// Hands the text to a thread; leaves it here where there is none to be had.
    fn start(&mut self) {
        let (pass, passed) = sync_channel::<Text>(1);
        let (send, full) = sync_channel(WAITING);
        let (empty, emptied) = channel();
        let work = move || {
            if let Ok(text) = passed.recv() {
                read_all(text, &send, &emptied);
            }
        };
        let started = thread::Builder::new()
            .name("unpacking".to_owned())
            .spawn(work);
        if started.is_err() {
            self.bytes = 0;
            return;
        }
        let here = std::mem::replace(&mut self.text, Reading::Beside { full, empty });
        if let Reading::Here(text) = here {
            // It waits for that, and nothing else.
            let _ = pass.send(text);
        }
    }

    /// The next piece; empty at the text's end.
    fn next(&mut self) -> io::Result<()> {
        let Reading::Beside { full, empty } = &self.text else {
            return Ok(());
        };
        let next = full.recv();
        let piece = match next {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Err(error),
            // It says so when it ends well.
            Err(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::BrokenPipe,
                    "the thread that decompresses ended",
                ));
            }
        };
        if piece.is_empty() {
            self.text = Reading::Over;
            self.piece = Vec::new();
        } else {
            // Where it has ended by now, nobody needs it.
            let _ = empty.send(std::mem::replace(&mut self.piece, piece));
        }
        self.done = 0;
        Ok(())
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if matches!(self.text, Reading::Here(_)) && self.bytes >= ALONE {
            self.start();
        }
        if let Reading::Here(text) = &mut self.text {
            let read = text.read(buf)?;
            self.bytes += read;
            return Ok(read);
        }
        if self.done == self.piece.len() && !buf.is_empty() {
            self.next()?;
        }
        let length = buf.len().min(self.piece.len() - self.done);
        buf[..length].copy_from_slice(&self.piece[self.done..self.done + length]);
        self.done += length;
        Ok(length)
    }
}

/// Reads to the end, or to an error, or until nobody wants more: what was read before an error is sent before it.
fn read_all(mut text: Text, full: &SyncSender<io::Result<Vec<u8>>>, emptied: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = emptied.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let (length, error) = fill(&mut text, &mut piece);
        piece.truncate(length);
        // An empty piece is the end.
        let over = error.is_some() || length == 0;
        if (length > 0 || error.is_none()) && full.send(Ok(piece)).is_err() {
            return;
        }
        if let Some(error) = error {
            // Nobody may want to know any more.
            let _ = full.send(Err(error));
        }
        if over {
            return;
        }
    }
}

/// Reads as much as there is room for: how much that was, and what ended it early.
fn fill(text: &mut Text, piece: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut length = 0;
    while length < piece.len() {
        match text.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(error)),
        }
    }
    (length, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    const MUCH: usize = 3 * ALONE + 12_345;

    /// So many bytes, in odd reads, and then the end or an error.
    struct Source {
        left: usize,
        error: Option<&'static str>,
        _held: Arc<()>,
    }

    impl Read for Source {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let length = self.left.min(buf.len()).min(70_001);
            for (at, byte) in buf[..length].iter_mut().enumerate() {
                *byte = ((self.left - at) % 251) as u8;
            }
            self.left -= length;
            match self.error {
                Some(what) if length == 0 => Err(io::Error::new(io::ErrorKind::InvalidData, what)),
                _ => Ok(length),
            }
        }
    }

    fn ahead(left: usize, error: Option<&'static str>) -> (Ahead, Arc<()>) {
        let held = Arc::new(());
        let source = Source {
            left,
            error,
            _held: Arc::clone(&held),
        };
        (Ahead::new(Box::new(source)), held)
    }

    fn expected(length: usize) -> Vec<u8> {
        (0..length).map(|at| ((length - at) % 251) as u8).collect()
    }

    /// Whether the text is let go of, by a thread too.
    fn is_let_go(held: &Arc<()>) -> bool {
        let begun = Instant::now();
        while Arc::strong_count(held) > 1 && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        Arc::strong_count(held) == 1
    }

    #[test]
    fn all_of_it_in_order_and_then_the_end() {
        for length in [0, 1, ALONE - 1, ALONE, ALONE + 1, MUCH] {
            let (mut text, held) = ahead(length, None);
            let mut read = Vec::new();
            text.read_to_end(&mut read).unwrap();
            assert!(read == expected(length), "{length} bytes");
            assert_eq!(text.read(&mut [0; 8]).unwrap(), 0);
            drop(text);
            assert!(is_let_go(&held));
        }
    }

    #[test]
    fn an_error_comes_behind_all_that_was_read_before_it() {
        for length in [0, 5, MUCH] {
            let (mut text, _) = ahead(length, Some("damaged"));
            let mut read = Vec::new();
            let error = text.read_to_end(&mut read).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(error.to_string(), "damaged");
            assert!(read == expected(length), "{length} bytes");
            assert!(text.read(&mut [0; 8]).is_err());
        }
    }

    #[test]
    fn a_reader_that_is_dropped_ends_its_thread() {
        let (mut text, held) = ahead(usize::MAX, None);
        let mut buffer = vec![0; 2 * ALONE];
        text.read_exact(&mut buffer).unwrap();
        assert!(matches!(text.text, Reading::Beside { .. }));
        drop(text);
        assert!(is_let_go(&held));
    }

    #[test]
    fn a_thread_that_fails_is_no_end() {
        struct Panics(usize);
        impl Read for Panics {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                assert!(self.0 > 0);
                let length = self.0.min(buf.len());
                self.0 -= length;
                Ok(length)
            }
        }
        let mut text = Ahead::new(Box::new(Panics(2 * ALONE)));
        let mut read = Vec::new();
        let error = text.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
