//! Whether a value could be one of a property's type: where a definition is changed, the server would say so too late.

use serde_json::Value;

use crate::model::PropertyType;

/// True if the server could take the value of this JSON text.
pub(super) fn fits_text(property: &PropertyType, json: &str) -> bool {
    serde_json::from_str(json).is_ok_and(|value| fits(property, &value))
}

/// True if the server could take the value for a property of this type, as far as its shape shows.
fn fits(property: &PropertyType, value: &Value) -> bool {
    if property.is_reference {
        return value.is_array();
    }
    match (property.data_type.strip_suffix("[]"), value) {
        (Some(element), Value::Array(list)) => list
            .iter()
            .all(|value| fits_one(element, &property.nested, value)),
        (Some(_), _) => false,
        (None, value) => fits_one(&property.data_type, &property.nested, value),
    }
}

fn fits_one(data_type: &str, nested: &[PropertyType], value: &Value) -> bool {
    match data_type {
        "text" | "string" | "blob" | "blobHash" => value.is_string(),
        "date" => value
            .as_str()
            .is_some_and(|text| text.as_bytes().get(10) == Some(&b'T')),
        "uuid" => value
            .as_str()
            .is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "int" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "geoCoordinates" => value.get("latitude").is_some() && value.get("longitude").is_some(),
        "phoneNumber" => value.get("input").is_some_and(Value::is_string),
        "object" => value.as_object().is_some_and(|members| {
            members.iter().all(|(name, value)| {
                let property = nested.iter().find(|property| property.name == *name);
                value.is_null() || property.is_some_and(|property| fits(property, value))
            })
        }),
        // A type of a younger server than this program knows.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn property(data_type: &str) -> PropertyType {
        PropertyType {
            name: "p".into(),
            data_type: data_type.into(),
            nested: Vec::new(),
            is_reference: false,
        }
    }

    #[test]
    fn values_are_held_against_the_type_they_are_to_have() {
        for (data_type, value, expected) in [
            ("text", json!("x"), true),
            ("text", json!(1), false),
            ("int", json!(-9223372036854776000.0), true),
            ("int", json!(1.5), false),
            ("int[]", json!([1, 2]), true),
            ("int[]", json!(1), false),
            ("number", json!(1), true),
            ("date", json!("2024-02-29T23:59:59.123456789+05:30"), true),
            ("date", json!("0001-01-01T00:00:00Z"), true),
            ("date", json!("yesterday"), false),
            ("uuid", json!("8a3b0b4e-0b5f-4a43-9d5f-7d5f6f3a1b2c"), true),
            (
                "geoCoordinates",
                json!({"latitude": 1, "longitude": 2}),
                true,
            ),
            ("text[]", json!([]), true),
            ("object", json!({"zz": 1}), false),
        ] {
            assert_eq!(
                fits(&property(data_type), &value),
                expected,
                "{data_type} {value}"
            );
        }
    }
}
