//! Sans-IO: how often something happens.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::rngs::StdRng;

use super::ImpairmentError;

const MILLION: u32 = 1_000_000;

/// How often something happens, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);

    /// So many of a thousand; more than a thousand count as a thousand.
    pub const fn from_permille(permille: u16) -> Self {
        let permille = if permille > 1000 { 1000 } else { permille };
        Self(permille as u32 * 1000)
    }

    /// In parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// Whether it happens this time. What never happens takes nothing of the generator, so that a path
    /// decides the rest as it would without it.
    pub(super) fn strikes(self, rng: &mut StdRng) -> bool {
        self.0 > 0 && rng.gen_range(0..MILLION) < self.0
    }
}

impl FromStr for Probability {
    type Err = ImpairmentError;

    /// `2.5%`, or `0.025`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, whole) = match text.strip_suffix('%') {
            Some(number) => (number, f64::from(MILLION) / 100.0),
            None => (text, f64::from(MILLION)),
        };
        let ppm = number
            .trim()
            .parse::<f64>()
            .ok()
            .map(|number| (number * whole).round())
            .filter(|ppm| (0.0..=f64::from(MILLION)).contains(ppm));
        // A whole number from 0 to a million.
        ppm.map(|ppm| Self(ppm as u32))
            .ok_or_else(|| ImpairmentError::Probability(text.to_owned()))
    }
}

impl fmt::Display for Probability {
    /// In percent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn percent_and_parts_of_one_are_the_same() {
        for (text, ppm) in [("10%", 100_000), ("0.1 %", 1_000), ("0.1", 100_000)] {
            assert_eq!(text.parse(), Ok(Probability(ppm)), "{text}");
        }
        assert_eq!("100%".parse(), Ok(Probability(MILLION)));
        assert_eq!(Probability::from_permille(25).to_string(), "2.5%");
        for text in ["", "%", "101%", "-1%", "1.1", "NaN", "inf", "ten"] {
            assert!(text.parse::<Probability>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_happens_as_often_as_it_says() {
        let mut rng = StdRng::seed_from_u64(1);
        let of_100k = |probability: Probability, rng: &mut StdRng| {
            (0..100_000).filter(|_| probability.strikes(rng)).count()
        };
        for (permille, of) in [(0, 0), (20, 2_000), (500, 50_000), (1000, 100_000)] {
            let struck = of_100k(Probability::from_permille(permille), &mut rng);
            assert!(struck.abs_diff(of) <= of / 20, "{struck} of {of}");
        }
    }
}
