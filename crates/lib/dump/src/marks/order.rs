//! Rows that come nearly in the order of their keys, brought into it.
//!
//! A server that stores rows where there is room (PostgreSQL) dumps them as they lie: mostly in the order in which they
//! came, and a changed one anywhere. Those that come too early wait for their turn; those that come too late are kept
//! for the end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Key;

/// A row's key and its mark.
pub(super) type Marked = (Key, u64);

/// Rows behind which one is known to come in its turn.
const WINDOW: usize = 4096;

/// So many rows that follow one another come too early at once; of more, the one that follows them comes late.
const FEW: usize = 32;

/// Most rows that wait, or are kept: 40 bytes each.
const MOST: usize = 500_000;

/// More rows out of their order than there is memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disorder;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The last rows, in order, until it is known that nobody comes before them.
    window: VecDeque<Marked>,
    /// Rows that came too early.
    early: BinaryHeap<Reverse<Marked>>,
    /// Rows that came too late.
    late: Vec<Marked>,
    /// The last row that was handed out.
    last: Option<Key>,
    /// One came between those that wait.
    misplaced: bool,
}

impl Order {
    /// Takes a row, and hands out the next one whose turn it is.
    #[inline]
    pub(super) fn push(&mut self, row: Marked) -> Result<Option<Marked>, Disorder> {
        match self.window.back() {
            Some(back) if row.0 <= back.0 => self.place(row)?,
            Some(_) => self.window.push_back(row),
            None if self.last.is_none_or(|last| last < row.0) => self.window.push_back(row),
            None => self.late.push(row),
        }
        if self.window.len() <= WINDOW {
            return Ok(None);
        }
        Ok(self.next())
    }

    /// A row that comes behind a higher one.
    fn place(&mut self, row: Marked) -> Result<(), Disorder> {
        if self.late.len() + self.early.len() >= MOST {
            return Err(Disorder);
        }
        if self.last.is_some_and(|last| row.0 <= last) {
            self.late.push(row);
            return Ok(());
        }
        let higher = self.window.iter().rev().take(FEW);
        let higher = higher.take_while(|other| row.0 <= other.0).count();
        if higher == FEW {
            let at = self.window.partition_point(|other| other.0 < row.0);
            self.window.insert(at, row);
            self.misplaced = true;
            return Ok(());
        }
        let early = self.window.split_off(self.window.len() - higher);
        self.early.extend(early.into_iter().map(Reverse));
        self.window.push_back(row);
        Ok(())
    }

    /// Every row came behind all others.
    pub(super) fn is_strict(&self) -> bool {
        self.late.is_empty() && self.early.is_empty() && !self.misplaced
    }

    /// The least of the rows that wait.
    fn next(&mut self) -> Option<Marked> {
        let first = self.window.front();
        let early = self.early.peek().map(|Reverse(row)| row);
        let row = match (first, early) {
            (Some(first), Some(early)) if early.0 < first.0 => self.early.pop().map(|row| row.0),
            (Some(_), _) => self.window.pop_front(),
            (None, _) => self.early.pop().map(|row| row.0),
        };
        self.last = row.map(|row| row.0).or(self.last);
        row
    }

    /// All have come: the rest in their order, and then those that came too late, in theirs.
    pub(super) fn finish(mut self) -> (impl Iterator<Item = Marked>, Vec<Marked>) {
        let mut late = std::mem::take(&mut self.late);
        late.sort_unstable();
        (std::iter::from_fn(move || self.next()), late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(keys: &[i64]) -> Result<(Vec<i64>, Vec<i64>), Disorder> {
        let mut order = Order::default();
        let mut main = Vec::new();
        for key in keys {
            main.extend(order.push(([*key, 0, 0, 0], 1))?);
        }
        let (rest, late) = order.finish();
        main.extend(rest);
        let bare = |rows: Vec<Marked>| rows.into_iter().map(|(key, _)| key[0]).collect();
        Ok((bare(main), bare(late)))
    }

    #[test]
    fn early_and_late_rows_find_their_places() {
        let mut keys: Vec<i64> = (0..20_000).collect();
        // Late ones, far behind their place and near it.
        for (from, to) in [(3, 15_000), (17, 16_000), (9_000, 9_100)] {
            let key = keys.remove(from);
            keys.insert(to, key);
        }
        // Early ones: one alone and some together.
        let early = keys.remove(19_000);
        keys.insert(5, early);
        let early: Vec<i64> = keys.drain(18_000..18_010).collect();
        keys.splice(2_000..2_000, early);
        let (main, late) = ordered(&keys).unwrap();
        assert_eq!(late, [3, 18]);
        let all = (0..20_000).filter(|key| !late.contains(key));
        assert_eq!(main, all.collect::<Vec<_>>());
    }

    #[test]
    fn rows_in_no_order_are_too_many() {
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 20) as i64
        };
        let keys: Vec<i64> = (0..2 * MOST + 2 * WINDOW).map(|_| random()).collect();
        assert_eq!(ordered(&keys), Err(Disorder));
    }
}
