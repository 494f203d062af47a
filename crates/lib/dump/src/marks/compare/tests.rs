use std::collections::{BTreeMap, BTreeSet};

use super::super::known::Chunks;
use super::*;

/// Rows by key.
type Table = BTreeMap<i64, u64>;

struct One(Vec<Vec<(i64, u64)>>);

fn chunk(rows: &[(i64, u64)]) -> Chunks {
    let mut encoder = Encoder::new(1);
    for (key, mark) in rows {
        encoder.push(&[*key, 0, 0, 0], *mark);
    }
    Box::new(std::iter::once(Some(encoder.take())))
}

impl KnownRows for One {
    fn layers(&mut self, _: &str) -> Option<Vec<Chunks>> {
        Some(self.0.iter().map(|layer| chunk(layer)).collect())
    }
}

/// What a walk says of rows that come so, and which of them it hands on.
fn compared(stored: &Table, dump: &[(i64, u64)], limit: u64) -> Option<(Difference, Table)> {
    let layer = stored.iter().map(|(key, mark)| (*key, *mark)).collect();
    let mut comparer = Comparer::new(Box::new(One(vec![layer])), limit);
    let places = KeyPlaces::of(&["id".to_owned()], |_| Some(0));
    let mut fresh = Table::new();
    for (key, mark) in dump {
        if !comparer.row("t", &places, Some([*key, 0, 0, 0]), *mark) {
            fresh.insert(*key, *mark);
        }
    }
    let mut found = comparer.finish(|_| Some(dump.len() as u64));
    Some((found.remove("t")?, fresh))
}

/// The stored rows become the dump's by the difference, and their marks by its patch.
fn assert_leads_there(stored: &Table, dump: &[(i64, u64)], limit: u64) -> Difference {
    let (difference, fresh) = compared(stored, dump, limit).expect("few rows differ");
    let mut then = stored.clone();
    for key in &difference.gone {
        assert!(then.remove(key).is_some(), "{key} was not stored");
    }
    assert_eq!(difference.come, fresh.len() as u64);
    for (key, mark) in &fresh {
        assert!(then.insert(*key, *mark).is_none(), "{key} comes twice");
    }
    let wanted: Table = dump.iter().copied().collect();
    assert_eq!(then, wanted);
    let layer = stored
        .iter()
        .map(|(key, mark)| (*key, *mark))
        .collect::<Vec<_>>();
    let patch: Chunks = Box::new(std::iter::once(Some(difference.patch.clone())));
    let mut known = Known::new(1, vec![chunk(&layer), patch]);
    let mut marks = Table::new();
    while let Some((key, mark)) = known.next().unwrap() {
        marks.insert(key[0], mark);
    }
    assert_eq!(marks, wanted);
    difference
}

fn stored(rows: i64) -> Table {
    (0..rows).map(|key| (key, key as u64 + 100)).collect()
}

fn random(state: &mut u64, below: i64) -> i64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    (*state >> 33) as i64 % below
}

#[test]
fn what_differs_is_found_in_any_order() {
    let mut state = 7;
    for round in 0..60 {
        let rows = 10 + random(&mut state, 20_000);
        let before = stored(rows);
        let mut dump: Vec<(i64, u64)> = before.iter().map(|(key, mark)| (*key, *mark)).collect();
        let changes = random(&mut state, 200);
        for _ in 0..changes {
            let at = random(&mut state, dump.len() as i64) as usize;
            match random(&mut state, 5) {
                0 => dump[at].1 = 1,
                1 if dump.len() > 2 => drop(dump.remove(at)),
                // A changed row moves to where room is.
                2 => {
                    let row = dump.remove(at);
                    let to = random(&mut state, dump.len() as i64 + 1) as usize;
                    dump.insert(to, (row.0, 2));
                }
                3 => {
                    let row = dump.remove(at);
                    let to = random(&mut state, dump.len() as i64 + 1) as usize;
                    dump.insert(to, row);
                }
                _ => dump.insert(at, (rows + random(&mut state, 1 << 40), 3)),
            }
        }
        let unique: BTreeSet<i64> = dump.iter().map(|row| row.0).collect();
        if unique.len() == dump.len() {
            assert_leads_there(&before, &dump, 100_000);
        }
        assert!(changes > 0 || round > 0);
    }
}

#[test]
fn rows_that_are_gone_in_a_row_cost_no_more_than_those_that_follow_them() {
    let before = stored(400_000);
    let dump: Vec<(i64, u64)> = before
        .iter()
        .filter(|(key, _)| !(10_000..340_000).contains(*key))
        .map(|(key, mark)| (*key, *mark))
        .collect();
    let difference = assert_leads_there(&before, &dump, 1_000_000);
    assert!(difference.going() <= 330_000 + STALLED as u64 + 1);
    assert!(compared(&before, &dump, 10_000).is_none());
}

#[test]
fn a_row_that_comes_early_is_the_only_one_that_changes() {
    let before = stored(300_000);
    let mut dump: Vec<(i64, u64)> = before.iter().map(|(key, mark)| (*key, *mark)).collect();
    let row = dump.remove(245_000);
    dump.insert(10, (row.0, 1));
    let difference = assert_leads_there(&before, &dump, 100);
    assert_eq!((difference.gone, difference.come), (vec![245_000], 1));
    let row = dump.remove(30_000);
    dump.push(row);
    let difference = assert_leads_there(&before, &dump, 100);
    assert_eq!((difference.gone, difference.come), (vec![245_000], 1));
}

/// Dumps of a table in the order of another key, or of none.
#[test]
fn rows_that_differ_are_told_exactly_in_any_order_of_a_small_table() {
    let before = stored(50_000);
    let rows: Vec<(i64, u64)> = before.iter().map(|(key, mark)| (*key, *mark)).collect();
    let orders: [fn(i64) -> i64; 4] = [
        |key| -key,
        |key| key % 300,
        |key| 1 + key % 30_000,
        |key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64),
    ];
    for order in orders {
        let mut dump = rows.clone();
        dump.sort_by_key(|row| order(row.0));
        dump[7].1 = 1;
        let changed = dump[7].0;
        let difference = assert_leads_there(&before, &dump, 100);
        assert_eq!((difference.gone, difference.come), (vec![changed], 1));
    }
}
