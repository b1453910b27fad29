//! Phone numbers, as far as tests need them: the derived members of a number are computed with the grouping of a few
//! countries; the rest of the world gets its digits in one group.

use super::json::Json;
use super::write;

struct Country {
    name: &'static str,
    code: &'static str,
    /// The sizes of the first groups of the national number; what is left is the last group.
    groups: &'static [usize],
    /// What stands before the national number at home.
    trunk: &'static str,
    lengths: std::ops::RangeInclusive<usize>,
}

const COUNTRIES: [Country; 5] = [
    Country {
        name: "DE",
        code: "49",
        groups: &[2],
        trunk: "0",
        lengths: 5..=13,
    },
    Country {
        name: "NL",
        code: "31",
        groups: &[2, 3],
        trunk: "0",
        lengths: 9..=9,
    },
    Country {
        name: "FR",
        code: "33",
        groups: &[1, 2, 2, 2],
        trunk: "0",
        lengths: 9..=9,
    },
    Country {
        name: "GB",
        code: "44",
        groups: &[2, 4],
        trunk: "0",
        lengths: 9..=10,
    },
    Country {
        name: "US",
        code: "1",
        groups: &[3, 3],
        trunk: "",
        lengths: 10..=10,
    },
];

/// Appends the number with its derived members; the error is the server's text.
pub(super) fn write(out: &mut String, value: &Json<'_>) -> Result<(), String> {
    let input = value.get("input").and_then(Json::text).unwrap_or_default();
    let home = value.text_of("defaultCountry").to_ascii_uppercase();
    let digits: String = input.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 2 || input.chars().any(char::is_alphabetic) {
        return Err("invalid phone number: the phone number supplied is not a number".to_owned());
    }
    let country = country(input, &digits, &home)?;
    let national = national(input, &digits, country);
    let valid = country.lengths.contains(&national.len());
    let groups = if valid {
        grouped(&national, country.groups)
    } else {
        national.clone()
    };
    let trunk = if valid { country.trunk } else { "" };
    let mut members = vec![
        ("countryCode", country.code.to_owned(), true),
        ("input", input.to_owned(), false),
        (
            "internationalFormatted",
            format!("+{} {groups}", country.code),
            false,
        ),
        ("national", national, true),
        ("nationalFormatted", format!("{trunk}{groups}"), false),
    ];
    if !home.is_empty() {
        members.insert(1, ("defaultCountry", home, false));
    }
    out.push('{');
    for (name, text, is_number) in &members {
        write::member(out, name);
        if *is_number {
            out.push_str(text)
        } else {
            write::string(out, text)
        }
    }
    if valid {
        out.push_str(",\"valid\":true");
    }
    out.push('}');
    Ok(())
}

fn country(input: &str, digits: &str, home: &str) -> Result<&'static Country, String> {
    let found = if input.trim_start().starts_with('+') {
        COUNTRIES
            .iter()
            .find(|country| digits.starts_with(country.code))
    } else {
        COUNTRIES.iter().find(|country| country.name == home)
    };
    found.ok_or_else(|| "invalid phone number: invalid or missing defaultCountry - this field is optional if the specified number is in the international format, but required if the number is in national format, use ISO 3166-1 alpha-2".to_owned())
}

fn national(input: &str, digits: &str, country: &Country) -> String {
    let rest = match input.trim_start().starts_with('+') {
        true => digits.strip_prefix(country.code).unwrap_or(digits),
        false => digits,
    };
    let trimmed = rest.trim_start_matches('0');
    if trimmed.is_empty() {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

fn grouped(digits: &str, sizes: &[usize]) -> String {
    let mut parts = Vec::new();
    let mut rest = digits;
    for size in sizes {
        let (part, tail) = rest.split_at_checked(*size).unwrap_or((rest, ""));
        parts.push(part);
        rest = tail;
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}
