//! RFC 3339 instants as the server reads and rewrites them: upper-case `T` and `Z`, at most nine digits kept, trailing
//! zeros dropped, a zero offset written as `Z`, other offsets kept, no leap seconds.

/// The canonical spelling, or `None` if the server refuses the text.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (day, rest) = text.split_at_checked(10)?;
    let (year, month, date) = (digits(day, 0, 4)?, digits(day, 5, 2)?, digits(day, 8, 2)?);
    let separators = [day.as_bytes()[4], day.as_bytes()[7]] == [b'-', b'-'];
    let valid_day = (1..=12).contains(&month) && (1..=days(year, month)).contains(&date);
    let clock = rest.strip_prefix('T')?;
    let (time, rest) = clock.split_at_checked(8)?;
    let valid_time =
        digits(time, 0, 2)? < 24 && digits(time, 3, 2)? < 60 && digits(time, 6, 2)? < 60;
    let colons = [time.as_bytes()[2], time.as_bytes()[5]] == [b':', b':'];
    let (fraction, offset) = fraction(rest)?;
    let offset = zone(offset)?;
    (separators && valid_day && valid_time && colons)
        .then(|| format!("{day}T{time}{fraction}{offset}"))
}

fn digits(text: &str, at: usize, count: usize) -> Option<u32> {
    let part = text.get(at..at + count)?;
    part.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| part.parse().ok())
        .flatten()
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The fraction with its point, shortened, and what follows it.
fn fraction(text: &str) -> Option<(String, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((String::new(), text));
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at(length);
    let kept = digits.get(..9).unwrap_or(digits).trim_end_matches('0');
    let point = if kept.is_empty() { "" } else { "." };
    (length > 0).then(|| (format!("{point}{kept}"), rest))
}

fn zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(text.to_owned());
    }
    let valid = text.len() == 6
        && (text.starts_with('+') || text.starts_with('-'))
        && text.as_bytes()[3] == b':'
        && digits(text, 1, 2)? < 24
        && digits(text, 4, 2)? < 60;
    let zero = text.ends_with("00:00");
    valid.then(|| {
        if zero {
            "Z".to_owned()
        } else {
            text.to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn instants_are_rewritten_or_refused() {
        let spelled = |text| canonical(text).unwrap_or_default();
        assert_eq!(
            spelled("2024-01-01T00:00:00.100Z"),
            "2024-01-01T00:00:00.1Z"
        );
        assert_eq!(spelled("2024-01-01T00:00:00.000Z"), "2024-01-01T00:00:00Z");
        assert_eq!(spelled("2024-01-01T00:00:00-00:00"), "2024-01-01T00:00:00Z");
        assert_eq!(
            spelled("2024-01-01T00:00:00.5-11:30"),
            "2024-01-01T00:00:00.5-11:30"
        );
        assert_eq!(
            spelled("2024-01-01T00:00:00.1234567890123Z"),
            "2024-01-01T00:00:00.123456789Z"
        );
        for refused in [
            "2024-01-01",
            "2024-01-01t00:00:00z",
            "2016-12-31T23:59:60Z",
            "2023-02-29T00:00:00Z",
            "é",
        ] {
            assert_eq!(canonical(refused), None, "{refused}");
        }
    }
}
