//! The marks that are kept of a table: those of its rows when they were loaded, and those of every difference since.

use std::iter::Peekable;

use bytes::Bytes;

use super::Key;
use super::code::{Damaged, Decoder};

/// Chunks of marks in their order; `None` inside where they cannot be had.
pub type Chunks = Box<dyn Iterator<Item = Option<Bytes>> + Send>;

/// Where the marks of stored rows come from.
pub trait KnownRows: Send {
    /// The layers of a table's marks, the oldest first; `None` where it has none.
    fn layers(&mut self, table: &str) -> Option<Vec<Chunks>>;
}

/// The marks of all layers in key order; what a later one says holds.
pub(super) struct Known {
    layers: Vec<Peekable<Layer>>,
}

impl Known {
    pub(super) fn new(width: usize, layers: Vec<Chunks>) -> Self {
        let layer = |chunks| {
            Layer {
                width,
                chunks,
                chunk: None,
            }
            .peekable()
        };
        Self {
            layers: layers.into_iter().map(layer).collect(),
        }
    }

    /// The next stored row.
    pub(super) fn next(&mut self) -> Result<Option<(Key, u64)>, Damaged> {
        // Most tables have one.
        if let [layer] = &mut self.layers[..] {
            return layer.find(|row| !matches!(row, Ok((_, 0)))).transpose();
        }
        loop {
            let mut found: Option<(Key, u64)> = None;
            for layer in &mut self.layers {
                match layer.peek() {
                    Some(Err(Damaged)) => return Err(Damaged),
                    // A later layer of the same key comes later in the list.
                    Some(Ok((key, mark))) if found.is_none_or(|(least, _)| *key <= least) => {
                        found = Some((*key, *mark));
                    }
                    _ => {}
                }
            }
            let Some((key, mark)) = found else {
                return Ok(None);
            };
            for layer in &mut self.layers {
                layer.next_if(|row| matches!(row, Ok((other, _)) if *other == key));
            }
            if mark != 0 {
                return Ok(Some((key, mark)));
            }
        }
    }
}

struct Layer {
    width: usize,
    chunks: Chunks,
    chunk: Option<Decoder>,
}

impl Iterator for Layer {
    type Item = Result<(Key, u64), Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(chunk) = &mut self.chunk {
                match chunk.next() {
                    Ok(None) => self.chunk = None,
                    Ok(Some(row)) => return Some(Ok(row)),
                    Err(damaged) => return Some(Err(damaged)),
                }
            }
            match self.chunks.next()? {
                Some(body) => self.chunk = Some(Decoder::new(self.width, body)),
                None => return Some(Err(Damaged)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks::code::Encoder;

    fn chunk(rows: &[(i64, u64)]) -> Chunks {
        let mut encoder = Encoder::new(1);
        for (key, mark) in rows {
            encoder.push(&[*key, 0, 0, 0], *mark);
        }
        Box::new(std::iter::once(Some(encoder.take())))
    }

    #[test]
    fn later_layers_hold() {
        let mut known = Known::new(
            1,
            vec![
                chunk(&[(1, 10), (2, 20), (3, 30), (9, 90)]),
                chunk(&[(2, 0), (3, 31), (4, 40)]),
                chunk(&[(2, 22), (3, 0)]),
            ],
        );
        let mut rows = Vec::new();
        while let Some((key, mark)) = known.next().unwrap() {
            rows.push((key[0], mark));
        }
        assert_eq!(rows, [(1, 10), (2, 22), (4, 40), (9, 90)]);
    }
}
