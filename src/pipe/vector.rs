//! Vectors spelled as JSON, read into bytes: decimal numbers are read as f32, never by way of f64.

use std::borrow::Cow;

use base64_simd::STANDARD;
use serde::Deserialize;

use super::Vector;
use crate::error::{Error, Kind, Result};

fn damaged(message: impl Into<String>) -> Error {
    Error::new(Kind::Difference, message)
}

/// Reads the JSON text of a vector into `buffer`; `None` for `null`, an empty list or an empty string.
pub fn decode_vector<'a>(text: &str, buffer: &'a mut Vec<u8>) -> Result<Option<Vector<'a>>> {
    buffer.clear();
    let text = text.trim();
    let dimensions = match text.as_bytes().first() {
        Some(b'[') if text[1..].trim_start().starts_with('[') => Some(decode_rows(text, buffer)?),
        Some(b'[') => {
            decode_row(text, buffer)?;
            None
        }
        Some(b'"') if decode_plain_base64(text, buffer)? => None,
        Some(b'"') => {
            buffer.clear();
            let base64 = serde_json::from_str(text).map_err(|_| not_a_vector(text))?;
            decode_base64(
                &Wire {
                    f32: base64,
                    dimensions: None,
                },
                buffer,
            )?
        }
        Some(b'{') => {
            let wire: Wire = serde_json::from_str(text).map_err(|_| not_a_vector(text))?;
            decode_base64(&wire, buffer)?
        }
        _ if text == "null" => None,
        _ => return Err(not_a_vector(text)),
    };
    Ok((!buffer.is_empty()).then_some(match dimensions {
        Some(dimensions) => Vector::Multi {
            dimensions,
            rows: buffer,
        },
        None => Vector::Single(buffer),
    }))
}

/// How many numbers the vector of this JSON text has, where that shows without reading them; of rows, each.
pub(crate) fn count_numbers(text: &str) -> Result<Option<usize>> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(numbers) = inner {
        let is_flat = !numbers.contains('[') && !numbers.trim().is_empty();
        return Ok(is_flat.then(|| memchr::memchr_iter(b',', numbers.as_bytes()).count() + 1));
    }
    if let Some(base64) = unquoted(text).filter(|base64| is_one_text(base64)) {
        return numbers_in(base64);
    }
    if !text.starts_with('{') {
        return Ok(None);
    }
    let wire: Wire = serde_json::from_str(text).map_err(|_| not_a_vector(text))?;
    if wire.dimensions.is_some() {
        return Ok(None);
    }
    numbers_in(&wire.f32)
}

/// True if this is all that stands between two quotes.
fn is_one_text(inner: &str) -> bool {
    memchr::memchr2(b'"', b'\\', inner.as_bytes()).is_none()
}

/// Of nothing there is no number.
fn numbers_in(base64: &str) -> Result<Option<usize>> {
    let bytes = STANDARD
        .decoded_length(base64.as_bytes())
        .map_err(|cause| damaged("a vector is not base64").with_cause(cause))?;
    Ok((bytes > 0).then_some(bytes / 4))
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    f32: Cow<'a, str>,
    dimensions: Option<usize>,
}

/// Base64 between quotes, which needs no parser to be found: nothing in it is escaped. False if it is something else after
/// all.
fn decode_plain_base64(text: &str, out: &mut Vec<u8>) -> Result<bool> {
    let Some(base64) = unquoted(text) else {
        return Ok(false);
    };
    if STANDARD
        .decode_append(base64.as_bytes(), &mut *out)
        .is_err()
    {
        return Ok(false);
    }
    check_length(out, None).map(|()| true)
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn not_a_vector(text: &str) -> crate::error::Error {
    let start: String = text.chars().take(40).collect();
    damaged(format!("`{start}` is not a vector"))
}

fn decode_base64(wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<Option<usize>> {
    STANDARD
        .decode_append(wire.f32.as_bytes(), out)
        .map_err(|cause| damaged("a vector is not base64").with_cause(cause))?;
    check_length(out, wire.dimensions)?;
    Ok(wire.dimensions)
}

/// Refuses bytes that are not f32 in whole rows of so many numbers; without `dimensions` one row of any length will do.
pub(crate) fn check_length(bytes: &[u8], dimensions: Option<usize>) -> Result<()> {
    let row = dimensions
        .unwrap_or(1)
        .checked_mul(4)
        .filter(|row| *row > 0);
    match row {
        Some(row) if bytes.len().is_multiple_of(row) => Ok(()),
        _ => Err(damaged(format!(
            "{} bytes are not a vector of f32 in rows of {}",
            bytes.len(),
            dimensions.unwrap_or(1)
        ))),
    }
}

/// Reads `[…]` of numbers at the start of `text`.
fn decode_row(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let numbers = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(|| not_a_vector(text))?;
    if numbers.trim().is_empty() {
        return Ok(());
    }
    for number in numbers.split(',') {
        out.extend_from_slice(&parse_f32(number.trim_matches(is_space))?.to_le_bytes());
    }
    Ok(())
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\n' | '\t' | '\r')
}

fn parse_f32(text: &str) -> Result<f32> {
    let is_number = text.ends_with(|last: char| last.is_ascii_digit())
        && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        // `inf` and `nan` are numbers to Rust, not to JSON.
        && !text.contains(|letter: char| letter.is_ascii_alphabetic() && !matches!(letter, 'e' | 'E'));
    match text.parse::<f32>() {
        Ok(number) if is_number && number.is_finite() => Ok(number),
        Ok(_) if is_number => Err(damaged(format!(
            "`{}` is too large for a vector of f32",
            beginning(text)
        ))),
        _ => Err(damaged(format!("`{}` is not a number", beginning(text)))),
    }
}

/// Enough of a text to find it by.
fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(40).map(|(end, _)| end);
    &text[..end.unwrap_or(text.len())]
}

fn decode_rows(text: &str, out: &mut Vec<u8>) -> Result<usize> {
    let mut rest = text[1..].trim_start_matches(is_space);
    let mut dimensions = None;
    loop {
        let end = rest.find(']').ok_or_else(|| not_a_vector(text))?;
        let before = out.len();
        decode_row(&rest[..=end], out)?;
        let length = (out.len() - before) / 4;
        if length == 0 || dimensions.is_some_and(|known| known != length) {
            return Err(damaged("the rows of a multi-vector differ in length"));
        }
        dimensions = Some(length);
        rest = rest[end + 1..].trim_start_matches(is_space);
        if rest == "]" {
            return Ok(length);
        }
        rest = rest
            .strip_prefix(',')
            .ok_or_else(|| not_a_vector(text))?
            .trim_start_matches(is_space);
    }
}
