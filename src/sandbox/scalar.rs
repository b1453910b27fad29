//! Values of the simple types: what is accepted, how it is written, and the server's words for what is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::json::Json;
use super::values::{go_type, shown};
use super::{date, write};

/// A text.
pub(super) fn text(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    let text = value
        .text()
        .ok_or_else(|| format!("not a string, but {}", go_type(value)))?;
    write::string(out, text);
    Ok(())
}

/// Integers are f64 inside, but only those spelled as an i64 are accepted, or f64 that one can be made of.
pub(super) fn int(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    const BOUND: f64 = -(i64::MIN as f64);
    if let Json::Float(number) = value
        && number.fract() == 0.0
        && (-BOUND..BOUND).contains(number)
    {
        write::float64(out, *number);
        return Ok(());
    }
    let Json::Number(text) = value else {
        return Err(format!(
            "requires an integer, the given value is '{}'",
            shown(value)
        ));
    };
    let number: i64 = text
        .parse()
        .map_err(|_| format!("the JSON number '{text}' could not be converted to an int"))?;
    write::float64(out, number as f64);
    Ok(())
}

/// A number, which must be finite.
pub(super) fn number(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    if let Json::Float(number) = value
        && number.is_finite()
    {
        write::float64(out, *number);
        return Ok(());
    }
    let Json::Number(text) = value else {
        return Err(format!(
            "requires a float, the given value is '{}'",
            shown(value)
        ));
    };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number
        .ok_or_else(|| format!("the JSON number '{text}' could not be converted to a float."))?;
    write::float64(out, number);
    Ok(())
}

/// A boolean.
pub(super) fn boolean(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    let flag = value
        .bool()
        .ok_or_else(|| format!("not a bool, but {}", go_type(value)))?;
    out.push_str(if flag { "true" } else { "false" });
    Ok(())
}

/// An RFC 3339 instant.
pub(super) fn instant(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    let read = value.text().and_then(date::canonical);
    let text = read.ok_or_else(|| {
        format!(
            "requires a string with a RFC3339 formatted date, but the given value is '{}'",
            shown(value)
        )
    })?;
    write::string(out, &text);
    Ok(())
}

/// A UUID in any spelling; written in the canonical one.
pub(super) fn id(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    let read = value.text().and_then(|text| Uuid::try_parse(text).ok());
    let id = read.ok_or_else(|| {
        format!(
            "requires a string of UUID format, but the given value is '{}'",
            shown(value)
        )
    })?;
    write::string(out, &id.to_string());
    Ok(())
}

/// Coordinates, narrowed to f32.
pub(super) fn geo(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    if !matches!(value, Json::Object(_)) {
        return Err(format!(
            "geoCoordinates must be a map, but got: {}",
            go_type(value)
        ));
    }
    out.push('{');
    for name in ["latitude", "longitude"] {
        let member = value.get(name);
        let member =
            member.ok_or_else(|| format!("geoCoordinates is missing required field '{name}'"))?;
        let number = match member {
            Json::Number(text) => text.parse().unwrap_or_default(),
            Json::Float(number) => *number,
            other => {
                let kind = go_type(other);
                return Err(format!("invalid {name} value: not a number, but {kind}"));
            }
        };
        write::member(out, name);
        write::float32(out, number as f32);
    }
    out.push('}');
    Ok(())
}

/// The text of a blob: padded standard base64, not empty.
pub(super) fn blob<'v>(value: &'v Json<'_>) -> Result<&'v str, String> {
    let text = value
        .text()
        .filter(|text| !text.is_empty() && STANDARD.decode(text).is_ok());
    text.ok_or_else(|| "not a valid blob base64 string".to_owned())
}
