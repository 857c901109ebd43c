//! Passes: an amount is a number and a power of ten, and zeros move from one to the other.

use kit::objects::{BINARY_SUFFIXES, DECIMAL_SUFFIXES, NotAQuantity, Quantities};

#[derive(Default)]
struct Exercise;

#[derive(Clone)]
struct Amount {
    digits: i128,
    exponent: i32,
    /// The suffix it was read with; its family is that of the result.
    suffix: String,
}

impl Quantities for Exercise {
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        Amount::read(text).map(|amount| amount.write())
    }

    fn value(&self, text: &str) -> i64 {
        Amount::read(text).unwrap().at(0) as i64
    }

    fn milli_value(&self, text: &str) -> i64 {
        Amount::read(text).unwrap().at(-3) as i64
    }

    fn compare(&self, a: &str, b: &str) -> i32 {
        self.sub(a, b).strip_prefix('-').map_or_else(|| (self.sub(a, b) != "0") as i32, |_| -1)
    }

    fn add(&self, a: &str, b: &str) -> String {
        let (a, b) = (Amount::read(a).unwrap(), Amount::read(b).unwrap());
        let exponent = a.exponent.min(b.exponent);
        let suffix = if a.digits == 0 { b.suffix.clone() } else { a.suffix.clone() };
        Amount { digits: a.at(exponent) + b.at(exponent), exponent, suffix }.write()
    }

    fn sub(&self, a: &str, b: &str) -> String {
        match b.strip_prefix('-') {
            Some(b) => self.add(a, b),
            None => self.add(a, &format!("-{}", b.trim_start_matches('+'))),
        }
    }
}

impl Amount {
    fn read(text: &str) -> Result<Amount, NotAQuantity> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let suffix = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let number = &rest[..rest.len() - suffix.len()];
        let point = number.find('.').unwrap_or(number.len());
        let after = number.len().saturating_sub(point + 1);
        let digits: i128 = number.replacen('.', "", 1).parse().map_err(|_| NotAQuantity)?;

        let decimal = DECIMAL_SUFFIXES.iter().zip((-9..).step_by(3)).find(|(s, _)| **s == suffix);
        let binary = BINARY_SUFFIXES.iter().zip(0..).find(|(s, _)| **s == suffix);
        let (factor, power) = match (decimal, binary) {
            (Some((_, power)), _) => (1, power),
            (_, Some((_, times))) => (1024_i128.pow(times), 0),
            _ if suffix.to_ascii_lowercase().starts_with('e') => (1, suffix[1..].parse().map_err(|_| NotAQuantity)?),
            _ => return Err(NotAQuantity),
        };
        let exact = Amount { digits: sign * digits * factor, exponent: power - after as i32, suffix: suffix.into() };
        let exponent = exact.exponent.max(-9);
        Ok(Amount { digits: exact.at(exponent), exponent, ..exact })
    }

    /// As a number at another power of ten, rounded away from zero.
    fn at(&self, exponent: i32) -> i128 {
        let by = 10_i128.pow(self.exponent.abs_diff(exponent));
        if exponent <= self.exponent {
            return self.digits * by;
        }
        let (whole, rest) = (self.digits / by, self.digits % by);
        whole + rest.signum()
    }

    fn write(mut self) -> String {
        if self.digits == 0 {
            return "0".to_string();
        }
        let fraction = self.exponent < 0 && self.digits % 10_i128.pow(-self.exponent as u32) != 0;
        if self.suffix.ends_with('i') && !fraction && self.at(0).abs() >= 1024 {
            let mut bytes = self.at(0);
            let times = (0..6)
                .take_while(|_| {
                    bytes % 1024 == 0 && {
                        bytes /= 1024;
                        true
                    }
                })
                .count();
            return format!("{bytes}{}", BINARY_SUFFIXES[times]);
        }
        while self.digits % 10 == 0 {
            (self.digits, self.exponent) = (self.digits / 10, self.exponent + 1);
        }
        while self.exponent.rem_euclid(3) != 0 || self.exponent > 18 {
            (self.digits, self.exponent) = (self.digits * 10, self.exponent - 1);
        }
        let has_exponent = self.suffix.len() > 1 && self.suffix.starts_with(['e', 'E']) && !self.suffix.ends_with('i');
        match self.exponent {
            0 => self.digits.to_string(),
            exponent if has_exponent => format!("{}e{exponent}", self.digits),
            exponent => format!("{}{}", self.digits, DECIMAL_SUFFIXES[(exponent / 3 + 3) as usize]),
        }
    }
}

kit::exercise!(Exercise: Quantities);
