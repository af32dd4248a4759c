//! Quantities of Kubernetes, such as `1500m` and `2Gi`, as values: the API server writes them in its own way, so that one text
//! says nothing about whether another means the same.

/// Parts of one: no quantity is finer.
const NANOS: i128 = 1_000_000_000;

/// A quantity, in billionths. What is finer is rounded away from zero, as the API server does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

/// What stands behind a number.
enum Scale {
    Ten(i32),
    Two(u32),
}

impl Amount {
    /// Reads a quantity; `None` when it is none, or too large to be one of anything.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned.find(|c: char| c != '.' && !c.is_ascii_digit());
        let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let places = i32::try_from(fraction.len()).ok()?;
        // In billionths: ten to the ninth of them are one.
        let (factor, exponent) = match scale(suffix)? {
            Scale::Ten(exponent) => (1, exponent),
            Scale::Two(bits) => (1_i128 << bits, 0),
        };
        let scaled = digits.checked_mul(factor)?;
        let power = exponent.checked_add(9)?.checked_sub(places)?;
        let ten = 10_i128.checked_pow(power.unsigned_abs());
        let amount = match ten {
            _ if scaled == 0 => 0,
            Some(ten) if power >= 0 => scaled.checked_mul(ten)?,
            Some(ten) => scaled / ten + i128::from(scaled % ten != 0),
            // Less than a billionth, and not nothing.
            None if power < 0 => 1,
            None => return None,
        };
        Some(Self(if text.starts_with('-') { -amount } else { amount }))
    }

    /// The least whole number that is not below it.
    #[must_use]
    pub fn ceil(self) -> i128 {
        self.0.div_euclid(NANOS) + i128::from(self.0.rem_euclid(NANOS) != 0)
    }
}

/// Whether two texts mean the same. What is no quantity means itself.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    match (Amount::parse(one), Amount::parse(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn scale(suffix: &str) -> Option<Scale> {
    Some(match suffix {
        "n" => Scale::Ten(-9),
        "u" => Scale::Ten(-6),
        "m" => Scale::Ten(-3),
        "" => Scale::Ten(0),
        "k" => Scale::Ten(3),
        "M" => Scale::Ten(6),
        "G" => Scale::Ten(9),
        "T" => Scale::Ten(12),
        "P" => Scale::Ten(15),
        "E" => Scale::Ten(18),
        "Ki" => Scale::Two(10),
        "Mi" => Scale::Two(20),
        "Gi" => Scale::Two(30),
        "Ti" => Scale::Two(40),
        "Pi" => Scale::Two(50),
        "Ei" => Scale::Two(60),
        _ => Scale::Ten(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_mean_the_same_are_the_same() {
        // From https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ and what people write.
        for (one, other) in [
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1000M", "1G"),
            ("1000M", "1e9"),
            ("1e3", "1E3"),
            ("1E", "1e18"),
            ("128974848", "123Mi"),
            ("128974848000m", "123Mi"),
            ("1.5", "1500m"),
            ("1.50", "1.5"),
            (".5", "500m"),
            ("1.", "1"),
            ("+1", "1"),
            ("-1000m", "-1"),
            ("0", "-0Gi"),
            ("1500000u", "1500m"),
            ("0.0000000001", "1n"),
            ("1e-30", "1n"),
            ("1Ti", "1024Gi"),
            ("1Pi", "1024Ti"),
            ("1Ei", "1024Pi"),
        ] {
            assert_eq!(
                Amount::parse(one).unwrap(),
                Amount::parse(other).unwrap(),
                "{one} and {other}"
            );
            assert!(is_same(one, other), "{one} and {other}");
        }
        assert!(Amount::parse("1G") < Amount::parse("1Gi") && Amount::parse("-1") < Amount::parse("1n"));
    }

    #[test]
    fn what_is_no_quantity_means_itself() {
        for text in [
            "",
            ".",
            "x",
            "1 Gi",
            "Gi",
            "1ki",
            "1K",
            "1e",
            "1e1.5",
            "1.2.3",
            "--1",
            "nan",
            "inf",
            "1e40",
            "9".repeat(40).as_str(),
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
            assert!(is_same(text, text) && !is_same(text, "1"), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_not_below_it() {
        for (text, whole) in [
            ("1", 1),
            ("1n", 1),
            ("1001m", 2),
            ("0", 0),
            ("-1500m", -1),
            ("2Ki", 2048),
        ] {
            assert_eq!(Amount::parse(text).unwrap().ceil(), whole, "{text}");
        }
    }
}
