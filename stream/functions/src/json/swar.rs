//! Eight bytes of text at a time in one register: small payloads are over before a SIMD library has set itself up.

/// Bytes in a word.
pub(super) const WIDTH: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The eight bytes at `at`, the first one lowest; none when fewer are left.
#[inline]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk::<WIDTH>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The place of the first byte a mask marks.
#[inline]
pub(super) fn first(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}

/// Marks what ends the plain part of a JSON string: quotes, backslashes and control characters. Exact up to the first mark.
#[inline]
pub(super) fn special(word: u64) -> u64 {
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (is(b'"') | is(b'\\') | below(word, 0x20)) & HIGH
}

/// Marks the bytes that are no digits. Exact up to the first mark.
#[inline]
pub(super) fn non_digits(word: u64) -> u64 {
    let digits = word ^ (ONES * u64::from(b'0'));
    (digits.wrapping_add(ONES * (0x80 - 10)) | digits) & HIGH
}

/// The number whose digits stand at `at`, and how many they are; 16 stands for 16 and more.
#[inline]
pub(super) fn number(text: &[u8], at: usize) -> (u64, usize) {
    let (value, digits) = head(text, at);
    if digits < WIDTH {
        return (value, digits);
    }
    let (low, more) = head(text, at + WIDTH);
    (value * POWERS[more] + low, WIDTH + more)
}

const POWERS: [u64; WIDTH + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many digits stand at `at`; 16 stands for 16 and more.
#[inline(always)]
pub(super) fn run(text: &[u8], at: usize) -> usize {
    let digits = first(non_digits(filled(text, at)));
    if digits < WIDTH { digits } else { WIDTH + first(non_digits(filled(text, at + WIDTH))) }
}

/// The number of up to eight digits at `at`, and how many they are.
#[inline]
fn head(text: &[u8], at: usize) -> (u64, usize) {
    let word = filled(text, at);
    let digits = first(non_digits(word));
    (value(word, digits), digits)
}

/// The number of the first `digits` of a word, which are digits.
#[inline]
fn value(word: u64, digits: usize) -> u64 {
    if digits == 0 {
        return 0;
    }
    // The digits move to the end of the word, leading zeros fill up; then pairs, fours and eights are put together.
    let word = (word << (8 * (WIDTH - digits))) & (ONES * 0x0f);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let high = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

/// A number with a point that fits into a word: its digits without the point, and how many stand before and behind it.
#[inline]
pub(super) fn decimal(text: &[u8], at: usize) -> Option<(u64, usize, usize)> {
    let word = filled(text, at);
    let whole = first(non_digits(word));
    if whole >= WIDTH - 2 || (word >> (8 * whole)) & 0xff != u64::from(b'.') {
        return None;
    }
    // Without the point the digits are one run; the byte that moves up behind them is none.
    let before = (1 << (8 * whole)) - 1;
    let joined = (word & before) | ((word >> 8) & !before);
    let digits = first(non_digits(joined));
    (digits < WIDTH - 1).then(|| (value(joined, digits), whole, digits - whole))
}

/// The eight bytes at `at`; zero bytes where the text has ended.
#[inline(always)]
pub(super) fn filled(text: &[u8], at: usize) -> u64 {
    match word(text, at) {
        Some(word) => word,
        None => tail(text, at),
    }
}

/// What is left at `at`, less than a word, filled up with zero bytes.
#[inline]
fn tail(text: &[u8], at: usize) -> u64 {
    let missing = (at + WIDTH).saturating_sub(text.len());
    match text.last_chunk::<WIDTH>() {
        Some(last) if missing < WIDTH => u64::from_le_bytes(*last) >> (8 * missing),
        _ => text.iter().skip(at).take(WIDTH).rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// `text.starts_with(key)` for keys of a few bytes, where calling `memcmp` costs more than comparing.
#[inline(always)]
pub(super) fn starts_with(text: &[u8], key: &[u8]) -> bool {
    let Some(text) = text.get(..key.len()) else { return false };
    match key.len() {
        8..=16 => text.first_chunk::<8>() == key.first_chunk() && text.last_chunk::<8>() == key.last_chunk(),
        17..=32 => text.first_chunk::<16>() == key.first_chunk() && text.last_chunk::<16>() == key.last_chunk(),
        4..8 => text.first_chunk::<4>() == key.first_chunk() && text.last_chunk::<4>() == key.last_chunk(),
        _ => text == key,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_mark_is_where_a_byte_loop_stops(bytes in any::<[u8; 8]>(), like in "[0-9 \"\\\\a-z\u{0}-\u{1f}é]{8}") {
            for bytes in [&bytes[..], like.as_bytes()] {
                let Some(word) = word(bytes, 0) else { continue };
                let place = |found: Option<usize>| found.unwrap_or(WIDTH);
                let head = &bytes[..WIDTH];
                let stop = head.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                prop_assert_eq!(first(special(word)), place(stop));
                prop_assert_eq!(first(non_digits(word)), place(head.iter().position(|byte| !byte.is_ascii_digit())));
            }
        }

        #[test]
        fn numbers_are_what_the_library_reads(digits in "[0-9]{0,16}", rest in "[a-z,.]{0,9}") {
            let text = format!("{digits}{rest}");
            let expect = (digits.parse().unwrap_or(0), digits.len());
            let got = number(text.as_bytes(), 0);
            prop_assert_eq!(got, expect);
            prop_assert_eq!(run(text.as_bytes(), 0), digits.len());
        }

        #[test]
        fn decimals_are_what_two_numbers_are(whole in "[0-9]{0,7}", decimals in "[0-9]{0,7}", rest in "[,e. ]{0,8}") {
            let text = format!("{whole}.{decimals}{rest}");
            if let Some((digits, before, behind)) = decimal(text.as_bytes(), 0) {
                prop_assert_eq!((before, behind), (whole.len(), decimals.len()));
                prop_assert_eq!(digits, format!("{whole}{decimals}").parse().unwrap_or(0));
            } else {
                prop_assert!(whole.len() + decimals.len() >= 6);
            }
        }

        #[test]
        fn starts_with_is_starts_with(key in "[a-c]{0,40}", text in "[a-c]{0,44}", same in any::<bool>()) {
            let text = if same { format!("{key}{text}") } else { text };
            prop_assert_eq!(starts_with(text.as_bytes(), key.as_bytes()), text.starts_with(&key));
        }
    }
}
