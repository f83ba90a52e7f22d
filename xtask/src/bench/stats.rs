//! Numbers about samples. Pure.

use serde_json::{Value, json};

/// Samples of one arm, in the blocks they were taken in: blocks of the same number, of different arms, were
/// taken one right after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks(Vec<Vec<f64>>);

/// A middle and how far samples lie from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) n: usize,
    pub(super) p10: f64,
    pub(super) median: f64,
    pub(super) p90: f64,
}

impl Blocks {
    pub(super) fn push(&mut self, block: Vec<f64>) {
        self.0.push(block);
    }

    /// Of all samples.
    pub(super) fn spread(&self) -> Spread {
        Spread::of(self.0.iter().flatten().copied())
    }

    /// Of the ratios between medians of neighbouring blocks: what drifts over the run cancels out.
    pub(super) fn over(&self, baseline: &Blocks) -> Spread {
        let median = |block: &Vec<f64>| Spread::of(block.iter().copied()).median;
        Spread::of(self.0.iter().zip(&baseline.0).map(|(own, base)| median(own) / median(base)))
    }
}

/// Single samples, each a block.
impl FromIterator<f64> for Blocks {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Blocks {
        Blocks(samples.into_iter().map(|sample| vec![sample]).collect())
    }
}

impl Spread {
    pub(super) fn of(samples: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share);
        Spread { n: sorted.len(), p10: at(0.1), median: at(0.5), p90: at(0.9) }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "n": self.n, "p10": self.p10, "median": self.median, "p90": self.p90 })
    }
}

/// Between the two nearest samples; of none, not a number.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * share;
    let below = sorted[place.floor() as usize];
    below + (sorted[place.ceil() as usize] - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_samples_and_do_not_mind_their_order() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.n, spread.median), (4, 2.5));
        assert!((spread.p90 - 3.7).abs() < 1e-9, "{spread:?}");
        assert_eq!(Spread::of([7.0]), Spread { n: 1, p10: 7.0, median: 7.0, p90: 7.0 });
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn a_machine_that_slows_down_does_not_change_the_ratio() {
        let blocks = |scale: f64| {
            let mut blocks = Blocks::default();
            // The third block is ten times slower, for both.
            [1.0, 1.0, 10.0].iter().for_each(|drift| blocks.push(vec![scale * drift; 3]));
            blocks
        };
        let ratio = blocks(3.0).over(&blocks(2.0));
        assert_eq!((ratio.p10, ratio.median, ratio.p90), (1.5, 1.5, 1.5));
        assert_eq!(blocks(2.0).spread().n, 9);
    }
}
