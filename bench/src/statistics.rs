//! Medians, extremes and ratios of what several runs measured.

use std::fmt;

/// The median of some values, with the least and the most of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// Of the ratios pair by pair, so that what changes on the machine between
    /// one round and the next changes both sides. A pair that lacks one side,
    /// or would divide by nothing, is no pair.
    pub(crate) fn of_ratios(over: &[Option<f64>], under: &[Option<f64>]) -> Option<Self> {
        let pairs = over.iter().zip(under);
        Self::of(pairs.filter_map(|(over, under)| match (over, under) {
            (Some(over), Some(under)) if *under != 0.0 => Some(over / under),
            _ => None,
        }))
    }

    pub(crate) fn as_ratio(&self) -> String {
        let digits = digits_of_ratio(self.median);
        format!("{self:.digits$}")
    }
}

impl fmt::Display for Spread {
    /// With as many digits after the point as the precision says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self {
            median,
            least,
            most,
        } = self.to_owned();
        let [median, least, most] = [median, least, most].map(|value| grouped(value, digits));
        if least == most {
            return f.write_str(&median);
        }
        write!(f, "{median} ({least} to {most})")
    }
}

/// How many digits after the point a ratio needs: more when it is small.
pub(crate) const fn digits_of_ratio(ratio: f64) -> usize {
    match ratio {
        0.1.. => 2,
        0.01.. => 3,
        _ => 4,
    }
}

/// A number with commas between thousands.
pub(crate) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        let spread = Spread::of([9.0, 1.0, 4.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                median: 4.0,
                least: 1.0,
                most: 9.0
            }
        );
        let even = Spread::of([4.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!(even.median, 3.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_in_pairs_before_their_median() {
        // The ratio of the medians would be 20 / 10.
        let over = [Some(10.0), Some(20.0), Some(90.0)];
        let under = [Some(10.0), Some(40.0), Some(1.0)];
        let spread = Spread::of_ratios(&over, &under).unwrap();
        assert_eq!(
            spread,
            Spread {
                median: 1.0,
                least: 0.5,
                most: 90.0
            }
        );
    }

    #[test]
    fn a_pair_that_lacks_a_side_is_no_pair() {
        let over = [Some(1.0), None, Some(3.0), Some(4.0)];
        let under = [Some(2.0), Some(1.0), None, Some(0.0)];
        let spread = Spread::of_ratios(&over, &under).unwrap();
        assert_eq!(spread.to_string(), "0.5");
        assert_eq!(Spread::of_ratios(&[None], &[Some(1.0)]), None);
    }

    #[test]
    fn a_spread_is_written_with_its_extremes() {
        let spread = Spread::of([1_234_567.0, 999.4, 12_345.0]).unwrap();
        assert_eq!(format!("{spread:.0}"), "12,345 (999 to 1,234,567)");
        let alone = Spread::of([0.25]).unwrap();
        assert_eq!(format!("{alone:.2}"), "0.25");
        assert_eq!(grouped(-123_456.75, 1), "-123,456.8");
    }

    #[test]
    fn a_small_ratio_keeps_its_digits() {
        let written = [2.5, 0.1234, 0.01234, 0.001_234].map(|ratio| {
            let spread = Spread::of([ratio]).unwrap();
            spread.as_ratio()
        });
        assert_eq!(written, ["2.50", "0.12", "0.012", "0.0012"]);
    }
}
