//! Percentiles by nearest rank: the p-th percentile of n sorted values is the value at rank ceil(p/100 * n),
//! counted from 1. It is always one of the values, also when there are few; nothing is interpolated.

/// The p-th percentile (`p` in 0..=100) of values sorted in ascending order; `None` of none.
pub fn nearest_rank<T: Copy>(sorted: &[T], p: u64) -> Option<T> {
    let rank = (sorted.len() as u64 * p).div_ceil(100).max(1);
    sorted.get(rank as usize - 1).copied()
}

/// How values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub count: usize,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub max: u64,
}

impl Spread {
    /// `None` of no values.
    pub fn of(mut values: Vec<u64>) -> Option<Spread> {
        values.sort_unstable();
        Some(Spread {
            count: values.len(),
            p10: nearest_rank(&values, 10)?,
            p50: nearest_rank(&values, 50)?,
            p90: nearest_rank(&values, 90)?,
            max: *values.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_example() {
        let values = [15, 20, 35, 40, 50];
        let at = |p| nearest_rank(&values, p).unwrap();
        assert_eq!([at(5), at(30), at(40), at(50), at(100)], [15, 20, 20, 35, 50]);
    }

    #[test]
    fn few_values_are_values_themselves() {
        assert_eq!(nearest_rank::<u64>(&[], 50), None);
        assert_eq!(nearest_rank(&[7], 0), Some(7));
        assert_eq!(nearest_rank(&[7], 100), Some(7));
        assert_eq!(nearest_rank(&[7, 9], 50), Some(7));
        assert_eq!(nearest_rank(&[7, 9], 51), Some(9));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn a_spread_does_not_mind_the_order() {
        let spread = Spread::of((1..=100).rev().collect()).unwrap();
        assert_eq!(spread, Spread { count: 100, p10: 10, p50: 50, p90: 90, max: 100 });
    }
}
