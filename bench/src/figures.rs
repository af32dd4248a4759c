//! Samples and what to say of them: the spread, not just one number.

use serde::Serialize;
use std::time::Duration;

/// Fewer samples than this have no 95th percentile worth the name.
const ENOUGH_FOR_P95: usize = 20;
/// Fewer samples than this have no 99th percentile worth the name.
const ENOUGH_FOR_P99: usize = 100;

/// The spread of some samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// How many samples.
    pub n: usize,
    /// The smallest.
    pub min: f64,
    /// The 50th percentile.
    pub median: f64,
    /// Absent below 20 samples.
    pub p95: Option<f64>,
    /// Absent below 100 samples.
    pub p99: Option<f64>,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// None of nothing. Samples that are no numbers are left out.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let sorted = sorted(samples);
        let at = |q| percentile_of_sorted(&sorted, q);
        Some(Self {
            n: sorted.len(),
            min: *sorted.first()?,
            median: at(0.5)?,
            p95: (sorted.len() >= ENOUGH_FOR_P95).then(|| at(0.95)).flatten(),
            p99: (sorted.len() >= ENOUGH_FOR_P99).then(|| at(0.99)).flatten(),
            max: *sorted.last()?,
        })
    }
}

/// The q-quantile (0 to 1) by nearest rank: always one of the samples.
#[must_use]
pub fn percentile(samples: &[f64], q: f64) -> Option<f64> {
    percentile_of_sorted(&sorted(samples), q)
}

/// A duration in milliseconds, to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// A duration in microseconds, to the nanosecond.
#[must_use]
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|s| s.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn percentile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.5), Some(50.0));
        assert_eq!(percentile(&samples, 0.95), Some(95.0));
        assert_eq!(percentile(&samples, 0.99), Some(99.0));
        assert_eq!(percentile(&samples, 1.0), Some(100.0));
        assert_eq!(percentile(&samples, 0.0), Some(1.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_spread_claims_no_percentile_that_its_samples_cannot_carry() {
        let of = |n: u32| Spread::of(&(1..=n).map(f64::from).collect::<Vec<_>>()).expect("there are samples");
        assert_eq!((of(5).min, of(5).median, of(5).max, of(5).p95), (1.0, 3.0, 5.0, None));
        assert_eq!((of(20).p95, of(20).p99), (Some(19.0), None));
        assert_eq!(of(100).p99, Some(99.0));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }
}
