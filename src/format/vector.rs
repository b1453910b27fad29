//! Vectors as text and as bytes, bit for bit.
//!
//! Text is `[1,2]`, `[[1],[2]]`, `{"f32":"<base64>"}` (with `dimensions` for rows) or plain base64. Decimal
//! numbers are the shortest that read back as the same f32. Reading them is [`decode_vector`]'s. A vector
//! with NaN or infinity, which JSON cannot hold, is always written as `{"f32":…}`.

use base64_simd::STANDARD;
use serde_json::ser::{CompactFormatter, Formatter};

use super::damaged;
use crate::error::Result;
use crate::pipe::{Vector, check_length, decode_vector};

/// Appends a vector as a document spells it. JSON text is passed through as it is.
pub fn write_decimal_vector(out: &mut Vec<u8>, vector: Vector<'_>) -> Result<()> {
    match vector {
        Vector::Json(text) => out.extend_from_slice(text.as_bytes()),
        Vector::Single(bytes) => {
            check_length(bytes, None)?;
            match is_finite(bytes) {
                true => write_row(out, bytes)?,
                false => write_object(out, None, bytes),
            }
        }
        Vector::Multi { dimensions, rows } => {
            check_length(rows, Some(dimensions))?;
            match is_finite(rows) {
                true => write_rows(out, dimensions, rows)?,
                false => write_object(out, Some(dimensions), rows),
            }
        }
    }
    Ok(())
}

/// Appends a vector as a part spells it: base64, or an object with `dimensions` and `f32` for rows.
pub fn write_base64_vector(
    out: &mut Vec<u8>,
    vector: Vector<'_>,
    scratch: &mut Vec<u8>,
) -> Result<()> {
    match vector {
        Vector::Json(text) => match decode_vector(text, scratch)? {
            Some(Vector::Json(_)) | None => out.extend_from_slice(b"null"),
            Some(Vector::Single(bytes)) => write_string(out, bytes),
            Some(Vector::Multi { dimensions, rows }) => write_object(out, Some(dimensions), rows),
        },
        Vector::Single(bytes) => {
            check_length(bytes, None)?;
            write_string(out, bytes);
        }
        Vector::Multi { dimensions, rows } => {
            check_length(rows, Some(dimensions))?;
            write_object(out, Some(dimensions), rows);
        }
    }
    Ok(())
}

fn is_finite(bytes: &[u8]) -> bool {
    // The upper half of a little-endian f32 holds its exponent.
    !bytes
        .chunks_exact(4)
        .any(|number| u16::from_le_bytes([number[2], number[3]]) & 0x7f80 == 0x7f80)
}

fn write_row(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.reserve(bytes.len() * 3 + 2);
    out.push(b'[');
    for (index, number) in bytes.chunks_exact(4).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let number = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        CompactFormatter
            .write_f32(out, number)
            .map_err(|cause| damaged("cannot write a number").with_cause(cause))?;
    }
    out.push(b']');
    Ok(())
}

fn write_rows(out: &mut Vec<u8>, dimensions: usize, rows: &[u8]) -> Result<()> {
    out.push(b'[');
    for (index, row) in rows.chunks_exact(dimensions * 4).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_row(out, row)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object(out: &mut Vec<u8>, dimensions: Option<usize>, bytes: &[u8]) {
    out.push(b'{');
    if let Some(dimensions) = dimensions {
        out.extend_from_slice(format!("\"dimensions\":{dimensions},").as_bytes());
    }
    out.extend_from_slice(b"\"f32\":");
    write_string(out, bytes);
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    STANDARD.encode_append(bytes, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::count_numbers;
    use proptest::prelude::*;

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn decimal(vector: Vector<'_>) -> String {
        text(|out| write_decimal_vector(out, vector).unwrap())
    }

    #[test]
    fn decimals_are_short_and_keep_minus_zero_and_denormals() {
        let numbers = [1.0, -0.0, 0.1, f32::from_bits(1), f32::MAX];
        let written = decimal(Vector::Single(&bytes(&numbers)));
        assert!(written.starts_with("[1.0,-0.0,0.1,1e-45,"), "{written}");
    }

    #[test]
    fn what_json_cannot_hold_is_base64_and_keeps_its_payload() {
        let odd = bytes(&[f32::from_bits(0x7fc0_1234), f32::NEG_INFINITY]);
        let written = decimal(Vector::Single(&odd));
        assert!(written.starts_with("{\"f32\":\""), "{written}");
        let mut buffer = Vec::new();
        assert_eq!(
            decode_vector(&written, &mut buffer).unwrap(),
            Some(Vector::Single(&odd))
        );
    }

    #[test]
    fn foreign_spellings_are_read() {
        let mut buffer = Vec::new();
        let one = bytes(&[1.0, 25.0]);
        for text in [
            "[1,25]",
            " [ 1.0 ,\n2.5e1 ] ",
            "[1E0,25]",
            "\"AACAPwAAyEE=\"",
            "\"AACAPwAAyE\\u0045=\"",
            "{\"f32\":\"AACAPwAAyEE=\"}",
        ] {
            assert_eq!(
                decode_vector(text, &mut buffer).unwrap(),
                Some(Vector::Single(&one)),
                "{text}"
            );
            let shown = (!text.contains('\\')).then_some(2);
            assert_eq!(count_numbers(text).unwrap(), shown, "{text}");
        }
        let rows = Vector::Multi {
            dimensions: 1,
            rows: &one,
        };
        for text in [
            "[[1],[25]]",
            "[ [1] ,\n [25] ]",
            "{\"dimensions\":1,\"f32\":\"AACAPwAAyEE=\"}",
        ] {
            assert_eq!(
                decode_vector(text, &mut buffer).unwrap(),
                Some(rows),
                "{text}"
            );
        }
        for text in ["null", "[]", "\"\"", "[ ]"] {
            assert_eq!(decode_vector(text, &mut buffer).unwrap(), None, "{text}");
            assert_eq!(count_numbers(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "1",
            "true",
            "[1,]",
            "[,1]",
            "[nan]",
            "[inf]",
            "[1e39]",
            "[null]",
            "[\"1\"]",
            "[1",
            "1]",
            "[[1],[2,3]]",
            "[[1],[]]",
            "[[1]",
            "[[1]]]",
            "[[1],2]",
            "\"AAA\"",
            "\"AAAA\"",
            "{\"f32\":1}",
            "{}",
            "{\"dimensions\":0,\"f32\":\"AACAPw==\"}",
            "{\"dimensions\":3,\"f32\":\"AACAPw==\"}",
            "{\"dimensions\":18446744073709551615,\"f32\":\"AACAPw==\"}",
            "[.5]",
            "[1.]",
            "[+1]",
            "[[",
            "[[]]",
        ] {
            assert!(decode_vector(text, &mut Vec::new()).is_err(), "{text}");
        }
        assert!(write_decimal_vector(&mut Vec::new(), Vector::Single(&[1, 2, 3])).is_err());
        assert!(
            write_decimal_vector(
                &mut Vec::new(),
                Vector::Multi {
                    dimensions: 0,
                    rows: &[0; 4]
                }
            )
            .is_err()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct("proptest-regressions/archive.txt"))),
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_bit_pattern_comes_back(numbers in prop::collection::vec(any::<u32>(), 1..40), rows in 1usize..4) {
            let mut all: Vec<u8> = numbers.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let (mut buffer, mut scratch) = (Vec::new(), Vec::new());
            for text in [decimal(Vector::Single(&all)), text(|out| write_base64_vector(out, Vector::Single(&all), &mut scratch).unwrap())] {
                prop_assert_eq!(decode_vector(&text, &mut buffer).unwrap(), Some(Vector::Single(&all)));
                prop_assert_eq!(count_numbers(&text).unwrap(), Some(numbers.len()));
            }
            let dimensions = all.len() / 4;
            all = all.repeat(rows);
            let multi = Vector::Multi { dimensions, rows: &all };
            for text in [decimal(multi), text(|out| write_base64_vector(out, multi, &mut scratch).unwrap())] {
                prop_assert_eq!(decode_vector(&text, &mut buffer).unwrap(), Some(multi));
                prop_assert_eq!(count_numbers(&text).unwrap(), None);
            }
        }
    }
}
