//! Observations of this process: with bounds for every Prometheus, and native for those that take it.

use std::sync::Mutex;

use crate::locked;
use crate::metric::{Buckets, Native};

/// From a scrape of memory to one that ends by its time, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];
/// Buckets of a native histogram are this power of two finer than a doubling.
const SCHEMA: i32 = 3;
const ZERO: f64 = 1e-9;

/// Times in seconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Mutex<Buckets>,
}

impl Default for Histogram {
    fn default() -> Self {
        let native = Native {
            schema: SCHEMA,
            zero_threshold: ZERO,
            ..Native::default()
        };
        Self {
            buckets: Mutex::new(Buckets {
                cumulative: BOUNDS.map(|bound| (bound, 0)).into(),
                native: Some(native),
                ..Buckets::default()
            }),
        }
    }
}

impl Histogram {
    /// One more, and all of them.
    pub(crate) fn observe(&self, seconds: f64) -> Buckets {
        let mut buckets = locked(&self.buckets);
        buckets.count += 1;
        buckets.sum += seconds;
        for (bound, count) in &mut buckets.cumulative {
            *count += u64::from(seconds <= *bound);
        }
        if let Some(native) = &mut buckets.native {
            match seconds > ZERO {
                // A bucket has the values up to 2^(index / 2^schema).
                true => {
                    let index = (seconds.log2() * f64::from(1 << SCHEMA)).ceil();
                    *native.positive.entry(index as i32).or_default() += 1;
                }
                false => native.zero_count += 1,
            }
        }
        buckets.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_all_buckets_that_it_is_not_above() {
        let histogram = Histogram::default();
        let _ = histogram.observe(0.02);
        let buckets = histogram.observe(1.0);
        assert_eq!(buckets.count, 2);
        let counts: Vec<_> = buckets.cumulative.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
        let native = buckets.native.unwrap();
        // One is the upper bound of bucket 0, and 0.02 lies below 2^(-45/8).
        assert_eq!(
            native.positive.into_iter().collect::<Vec<_>>(),
            [(-45, 1), (0, 1)]
        );
    }
}
