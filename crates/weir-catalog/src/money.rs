//! Exact money: picodollars while summing, nanodollars in rows, decimal text outside.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Digits after the point of a nanodollar.
const NANO_DIGITS: u32 = 9;
/// Digits after the point of a picodollar.
const PICO_DIGITS: u32 = 12;
/// Picodollars in a nanodollar.
const PICO_PER_NANO: u128 = 1_000;
/// The longest decimal text that is looked at.
const MAX_TEXT: usize = 64;

/// Why a text is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number, or one as odd as `NaN`.
    #[error("`{0}` is not a decimal amount in USD such as \"0.15\"")]
    NotDecimal(String),
    /// Below zero where only amounts from 0 make sense.
    #[error("`{0}` is negative; an amount starts at 0")]
    Negative(String),
    /// More digits after the point than can be kept exactly.
    #[error("`{text}` is finer than {limit}; round it yourself")]
    TooFine {
        /// The amount as written.
        text: String,
        /// The finest amount that is allowed, in words.
        limit: &'static str,
    },
    /// Larger than any price or limit makes sense.
    #[error("`{text}` is too large; the most is {limit}")]
    TooLarge {
        /// The amount as written.
        text: String,
        /// The largest amount, in words.
        limit: &'static str,
    },
}

/// A sum on its way to a row: 10⁻¹² USD, never negative. 1 USD per million tokens is 1,000,000 of them per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Picodollars(pub u128);

/// An amount of money: 10⁻⁹ USD. What rows, budgets and reservations hold; it may be negative as a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(pub i64);

// === impl Picodollars ===

impl Picodollars {
    /// Nothing.
    pub const ZERO: Picodollars = Picodollars(0);

    /// `count` units at `rate` picodollars each. Cannot overflow: both factors have 64 bits.
    pub fn of(count: u64, rate: u64) -> Picodollars {
        Picodollars(u128::from(count) * u128::from(rate))
    }

    /// The sum, or `None` beyond 128 bits.
    pub fn checked_add(self, other: Picodollars) -> Option<Picodollars> {
        self.0.checked_add(other.0).map(Picodollars)
    }

    /// The sum, or the most that 128 bits hold.
    #[must_use]
    pub fn saturating_add(self, other: Picodollars) -> Picodollars {
        Picodollars(self.0.saturating_add(other.0))
    }

    /// Rounded half up to nanodollars: the one rounding of a row. Beyond nine billion dollars it is [`NanoUsd::MAX`],
    /// so that a count that makes no sense spends a budget rather than wrapping around it.
    pub fn round(self) -> NanoUsd {
        let nano = self.0 / PICO_PER_NANO + u128::from(self.0 % PICO_PER_NANO >= PICO_PER_NANO / 2);
        NanoUsd(i64::try_from(nano).unwrap_or(i64::MAX))
    }
}

/// In USD, as in `0.0000000005`.
impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_scaled(self.0, PICO_DIGITS))
    }
}

// === impl NanoUsd ===

impl NanoUsd {
    /// Nothing.
    pub const ZERO: NanoUsd = NanoUsd(0);
    /// The most that can be held: 9,223,372,036.854775807 USD.
    pub const MAX: NanoUsd = NanoUsd(i64::MAX);

    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: NanoUsd) -> Option<NanoUsd> {
        self.0.checked_add(other.0).map(NanoUsd)
    }

    /// The difference, or `None` on overflow.
    pub fn checked_sub(self, other: NanoUsd) -> Option<NanoUsd> {
        self.0.checked_sub(other.0).map(NanoUsd)
    }

    /// The sum, held at [`NanoUsd::MAX`] where it would overflow.
    #[must_use]
    pub fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }

    /// The difference, held at the smallest or largest amount where it would overflow.
    #[must_use]
    pub fn saturating_sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }

    /// Reads a decimal text from 0 up, such as `5`, `0.000412` or `1e-6`, exactly.
    ///
    /// # Errors
    /// Says what is wrong with the text: not a decimal, negative, finer than a nanodollar, or too large.
    pub fn parse(text: &str) -> Result<NanoUsd, MoneyError> {
        let scaled = parse_scaled(text, NANO_DIGITS, "a nanodollar, 0.000000001")?;
        let too_large = || MoneyError::TooLarge { text: text.to_owned(), limit: "9223372036 USD" };
        i64::try_from(scaled).map(NanoUsd).map_err(|_| too_large())
    }
}

/// In USD without trailing zeros: `0.000412`, `5`, `-0.1`. Also a valid JSON number.
impl NanoUsd {
    /// Appends what [`fmt::Display`] shows, at a fraction of its cost.
    pub fn put(self, out: &mut String) {
        if self.0 < 0 {
            out.push('-');
        }
        out.push_str(Scaled::new().write_nanos(self.0.unsigned_abs()));
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        f.write_str(Scaled::new().write_nanos(self.0.unsigned_abs()))
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<NanoUsd, MoneyError> {
        NanoUsd::parse(text)
    }
}

/// Adds up rows; held at [`NanoUsd::MAX`].
impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(amounts: I) -> NanoUsd {
        amounts.fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

/// As decimal text, as everywhere outside.
impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From a text or from the text of a number; never through a binary fraction.
impl<'de> Deserialize<'de> for NanoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
        deserialize_decimal(deserializer, NanoUsd::parse)
    }
}

impl JsonSchema for NanoUsd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema("An amount in USD, exact to a nanodollar.")
    }
}

// === decimal text ===

/// Reads an amount by `parse` from a text, or from a number's text where the format keeps it (YAML does).
pub(crate) fn deserialize_decimal<'de, D, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, MoneyError>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(DecimalVisitor(parse))
}

/// The JSON schema of an amount: decimal text, or a number that is read from its text.
pub(crate) fn decimal_schema(description: &str) -> Schema {
    json_schema!({
        "description": description,
        "anyOf": [
            { "type": "string", "pattern": r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$" },
            { "type": "number", "minimum": 0 },
        ],
    })
}

struct DecimalVisitor<T>(fn(&str) -> Result<T, MoneyError>);

impl<T> de::Visitor<'_> for DecimalVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal amount in USD such as \"0.15\" (quote it)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// The number in `text` times 10^`digits`, exactly.
pub(crate) fn parse_scaled(text: &str, digits: u32, finest: &'static str) -> Result<u128, MoneyError> {
    let not_decimal = || MoneyError::NotDecimal(text.chars().take(MAX_TEXT).collect());
    if text.len() > MAX_TEXT {
        return Err(not_decimal());
    }
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| not_decimal())?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
        return Err(not_decimal());
    }
    let significant = all.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    if significant == 0 {
        return Ok(0);
    }
    if negative {
        return Err(MoneyError::Negative(text.to_owned()));
    }
    // The value is `all[..significant]` with the point after `whole.len() + exponent` of its digits.
    let zeros = whole.len() as i64 + i64::from(exponent) + i64::from(digits) - significant as i64;
    if zeros < 0 {
        return Err(MoneyError::TooFine { text: text.to_owned(), limit: finest });
    }
    let too_large = || MoneyError::TooLarge { text: text.to_owned(), limit: "10^26 USD" };
    let zeros = u32::try_from(zeros).map_err(|_| too_large())?;
    let mut value: u128 = 0;
    for digit in &all[..significant] {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u128::from(digit - b'0')))
            .ok_or_else(too_large)?;
    }
    10u128.checked_pow(zeros).and_then(|power| value.checked_mul(power)).ok_or_else(too_large)
}

/// `value` × 10^-`digits` as decimal text without trailing zeros. `digits` is at most 38.
pub(crate) fn format_scaled(value: u128, digits: u32) -> String {
    let mut text = Scaled::new();
    text.write(value, digits).to_owned()
}

/// Decimal text, written from its end on: amounts stand in every answer, and the usual formatting costs ten times as
/// much.
pub(crate) struct Scaled([u8; 80]);

impl Scaled {
    pub(crate) fn new() -> Scaled {
        Scaled([0; 80])
    }

    /// See [`format_scaled`].
    pub(crate) fn write(&mut self, value: u128, digits: u32) -> &str {
        let (scale, mut at) = (10u128.pow(digits), self.0.len());
        let (whole, mut fraction) = match (u64::try_from(value), u64::try_from(scale)) {
            // Division of 64 bits is one instruction.
            (Ok(value), Ok(scale)) => (u128::from(value / scale), u128::from(value % scale)),
            _ => (value / scale, value % scale),
        };
        if fraction != 0 {
            let mut left = digits;
            if let Ok(mut small) = u64::try_from(fraction) {
                while small % 10 == 0 {
                    small /= 10;
                    left -= 1;
                }
                fraction = u128::from(small);
            }
            while fraction % 10 == 0 {
                fraction /= 10;
                left -= 1;
            }
            at = self.put(fraction, at, left as usize);
            at -= 1;
            self.0[at] = b'.';
        }
        at = self.put(whole, at, 1);
        std::str::from_utf8(&self.0[at..]).expect("digits and a point")
    }

    /// The same of an amount in nano-dollars: they stand in every answer, row and line.
    fn write_nanos(&mut self, value: u64) -> &str {
        const POINT: usize = 80 - NANO_DIGITS as usize - 1;
        let (mut whole, mut fraction) = (value / 1_000_000_000, (value % 1_000_000_000) as u32);
        let mut end = POINT;
        if fraction > 0 {
            for digit in self.0[POINT + 1..].iter_mut().rev() {
                *digit = b'0' + (fraction % 10) as u8;
                fraction /= 10;
            }
            self.0[POINT] = b'.';
            end = self.0.len();
            while self.0[end - 1] == b'0' {
                end -= 1;
            }
        }
        let mut at = POINT;
        loop {
            at -= 1;
            self.0[at] = b'0' + (whole % 10) as u8;
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        std::str::from_utf8(&self.0[at..end]).expect("digits and a point")
    }

    /// Writes `number` before `at`, with `least` digits at least; where it begins.
    fn put(&mut self, number: u128, mut at: usize, least: usize) -> usize {
        let end = at;
        let mut large = number;
        while large > u128::from(u64::MAX) {
            at -= 1;
            self.0[at] = b'0' + (large % 10) as u8;
            large /= 10;
        }
        let mut left = large as u64;
        while left > 0 || end - at < least {
            at -= 1;
            self.0[at] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, nano: i64, shown: &str) {
        assert_eq!(NanoUsd::parse(text).unwrap(), NanoUsd(nano), "{text}");
        assert_eq!(NanoUsd(nano).to_string(), shown);
    }

    #[test]
    fn reads_and_writes_decimals() {
        check("0.000412", 412_000, "0.000412");
        check("5", 5_000_000_000, "5");
        check("5.00", 5_000_000_000, "5");
        check("0.5", 500_000_000, "0.5");
        check(".5", 500_000_000, "0.5");
        check("+12.", 12_000_000_000, "12");
        check("1e-6", 1_000, "0.000001");
        check("2.5E-1", 250_000_000, "0.25");
        check("1e3", 1_000_000_000_000, "1000");
        check("0", 0, "0");
        check("-0.0", 0, "0");
        check("0.0000000000000000", 0, "0");
        check("0.0000000010", 1, "0.000000001");
        check("9223372036.854775807", i64::MAX, "9223372036.854775807");
        assert_eq!(NanoUsd(-100_000_000).to_string(), "-0.1");
        assert_eq!(NanoUsd(i64::MIN).to_string(), "-9223372036.854775808");
    }

    #[test]
    fn refuses_what_is_not_exact_money() {
        for text in [
            "", ".", "-", "e5", "NaN", "inf", "Infinity", "0x10", "1_000", "1,5", " 1", "1 ", "1e",
            "1e99999", "٣",
        ] {
            assert!(matches!(NanoUsd::parse(text), Err(MoneyError::NotDecimal(_))), "{text:?}");
        }
        assert!(matches!(NanoUsd::parse("-1"), Err(MoneyError::Negative(_))));
        assert!(matches!(NanoUsd::parse("0.0000000001"), Err(MoneyError::TooFine { .. })));
        assert!(matches!(NanoUsd::parse("9223372036.854775808"), Err(MoneyError::TooLarge { .. })));
        assert!(matches!(NanoUsd::parse("1e400"), Err(MoneyError::TooLarge { .. })));
        assert!(matches!(NanoUsd::parse("1e-400"), Err(MoneyError::TooFine { .. })));
        assert!(matches!(NanoUsd::parse(&"1".repeat(65)), Err(MoneyError::NotDecimal(_))));
    }

    #[test]
    fn rounds_half_up_once() {
        for (pico, nano) in [(0, 0), (499, 0), (500, 1), (501, 1), (1_499, 1), (1_500, 2), (999_999, 1_000)] {
            assert_eq!(Picodollars(pico).round(), NanoUsd(nano), "{pico}");
        }
        assert_eq!(Picodollars(u128::MAX).round(), NanoUsd::MAX);
        assert_eq!(Picodollars::of(u64::MAX, u64::MAX).checked_add(Picodollars(u128::MAX)), None);
        assert_eq!(Picodollars(500).to_string(), "0.0000000005");
    }

    #[test]
    fn sums_hold_at_the_top() {
        assert_eq!(NanoUsd::MAX.checked_add(NanoUsd(1)), None);
        assert_eq!([NanoUsd::MAX, NanoUsd(1)].into_iter().sum::<NanoUsd>(), NanoUsd::MAX);
        assert_eq!([NanoUsd(2), NanoUsd(3)].into_iter().sum::<NanoUsd>(), NanoUsd(5));
        assert_eq!(NanoUsd(1).checked_sub(NanoUsd(3)), Some(NanoUsd(-2)));
    }

    #[test]
    fn numbers_of_yaml_are_read_from_their_text() {
        let read = |text: &str| serde_saphyr::from_str::<NanoUsd>(text);
        assert_eq!(read("0.1").unwrap(), NanoUsd(100_000_000));
        assert_eq!(read("\"0.1\"").unwrap(), NanoUsd(100_000_000));
        assert_eq!(read("5").unwrap(), NanoUsd(5_000_000_000));
        assert_eq!(read("9007199.254740993").unwrap(), NanoUsd(9_007_199_254_740_993));
        for bad in [".nan", "-1", ".inf", "true", "[1]", "0.1234567891"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_takes_text_only() {
        assert_eq!(serde_json::from_str::<NanoUsd>("\"0.25\"").unwrap(), NanoUsd(250_000_000));
        let refused = serde_json::from_str::<NanoUsd>("0.25").unwrap_err().to_string();
        assert!(refused.contains("quote it"), "{refused}");
        assert_eq!(serde_json::to_string(&NanoUsd(412_000)).unwrap(), "\"0.000412\"");
    }
}
