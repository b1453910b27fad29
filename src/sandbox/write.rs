//! Replies as the real server writes them: floats in the shortest form that reads back alike, with an exponent below 1e-6
//! and from 1e21 on; U+2028 and U+2029 escaped; no escaping of HTML characters.

use std::fmt::Write as _;

use serde_json::Value;

use super::json::Json;

/// Appends an f32 in its shortest form.
pub(super) fn float32(out: &mut String, value: f32) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent(out, &format!("{value:e}"));
    } else {
        let _infallible = write!(out, "{value}");
    }
}

/// Appends an f64 in its shortest form.
pub(super) fn float64(out: &mut String, value: f64) {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent(out, &format!("{value:e}"));
    } else {
        let _infallible = write!(out, "{value}");
    }
}

/// Positive exponents carry a sign, `1e+21`; negative ones are as Rust writes them.
fn exponent(out: &mut String, text: &str) {
    match text.split_once('e') {
        Some((digits, power)) if !power.starts_with('-') => {
            let _infallible = write!(out, "{digits}e+{power}");
        }
        _ => out.push_str(text),
    }
}

/// Appends `text` in quotes.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        if !matches!(
            letter,
            '"' | '\\' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}'
        ) {
            continue;
        }
        out.push_str(&text[start..at]);
        escape(out, letter);
        start = at + letter.len_utf8();
    }
    out.push_str(&text[start..]);
    out.push('"');
}

fn escape(out: &mut String, letter: char) {
    match letter {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        other => {
            let _infallible = write!(out, "\\u{:04x}", other as u32);
        }
    }
}

/// Appends a quoted member name and its colon, with a comma before all but the first member.
pub(super) fn member(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    string(out, name);
    out.push(':');
}

/// Appends a list, each item written by `item`.
pub(super) fn list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (position, value) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        item(out, value);
    }
    out.push(']');
}

/// Appends a definition or reply held by `serde_json`.
pub(super) fn value(out: &mut String, source: &Value) {
    match source {
        Value::String(text) => string(out, text),
        Value::Array(items) => list(out, items, value),
        Value::Object(members) => {
            out.push('{');
            for (name, item) in members {
                member(out, name);
                value(out, item);
            }
            out.push('}');
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float64(out, float),
            _ => {
                let _infallible = write!(out, "{number}");
            }
        },
        other => {
            let _infallible = write!(out, "{other}");
        }
    }
}

/// Appends a request value unchanged, but with sorted members, as the server echoes what it refused.
pub(super) fn raw(out: &mut String, source: &Json<'_>) {
    match source {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(text) => out.push_str(text),
        Json::Float(number) => float64(out, *number),
        Json::Text(text) => string(out, text),
        Json::Array(items) => list(out, items, raw),
        Json::Object(members) => {
            let sorted: std::collections::BTreeMap<_, _> =
                members.iter().map(|(name, item)| (name, item)).collect();
            out.push('{');
            for (name, item) in sorted {
                member(out, name);
                raw(out, item);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_the_server_spells_them() {
        let spelled = |value| {
            let mut out = String::new();
            float32(&mut out, value);
            out
        };
        assert_eq!(spelled(0.1), "0.1");
        assert_eq!(spelled(1.0 / 3.0), "0.33333334");
        assert_eq!(spelled(-1e-7), "-1e-7");
        assert_eq!(spelled(1e21), "1e+21");
        assert_eq!(spelled(1e20), "100000000000000000000");
        assert_eq!(spelled(-0.0), "-0");
        assert_eq!(spelled(3.402_823_5e38), "3.4028235e+38");
    }
}
