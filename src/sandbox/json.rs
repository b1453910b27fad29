//! JSON as the real server reads it: the spelling of numbers is kept, text after the value is ignored, a lone surrogate
//! becomes U+FFFD, the last of duplicate members counts, and broken text is named in the words of its parser.
//!
//! `serde_json` differs in each of these points, so request bodies are parsed here; replies are written by `write`.

use std::borrow::Cow;

/// Deeper nesting is refused, so that no body can exhaust the stack.
const DEEPEST: usize = 128;

/// A parsed value; numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    /// A number that did not come as text: gRPC has doubles, which may be NaN.
    Float(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads the first value of `text`; the error is the server's text for broken JSON.
    pub(super) fn parse(text: &'a str) -> Result<Json<'a>, String> {
        let mut parser = Parser {
            text,
            bytes: text.as_bytes(),
            at: 0,
        };
        parser.value(0)
    }

    /// The last member of that name, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let Json::Object(members) = self else {
            return None;
        };
        let found = members
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value);
        found.filter(|value| !matches!(value, Json::Null))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a member, or `""`.
    pub(super) fn text_of(&self, name: &str) -> &str {
        self.get(name).and_then(Json::text).unwrap_or_default()
    }

    /// What the server's decoder calls this kind of value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "bool",
            Json::Number(_) | Json::Float(_) => "number",
            Json::Text(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// The value as `serde_json` holds it; numbers beyond f64 become null.
    pub(super) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            Json::Float(number) => (*number).into(),
            Json::Text(text) => Value::String(text.to_string()),
            Json::Array(items) => items.iter().map(Json::to_value).collect(),
            Json::Object(members) => members
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_value()))
                .collect(),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, String> {
        if depth > DEEPEST {
            return Err("exceeded max depth".to_owned());
        }
        match self.token()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            other => Err(invalid(other, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.at += 1;
        let mut members = Vec::new();
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.expect(b'"', "looking for beginning of object key string")?;
            let key = self.string()?;
            self.expect(b':', "after object key")?;
            self.at += 1;
            members.push((key, self.value(depth + 1)?));
            match self.token()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                other => return Err(invalid(other, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.token()? == b']' {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.token()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                other => return Err(invalid(other, "after array element")),
            }
        }
    }

    /// The next byte that is not blank; it stays unread.
    fn token(&mut self) -> Result<u8, String> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err("unexpected EOF".to_owned())
    }

    fn expect(&mut self, wanted: u8, place: &str) -> Result<(), String> {
        let found = self.token()?;
        if found == wanted {
            Ok(())
        } else {
            Err(invalid(found, place))
        }
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, String> {
        for expected in word.bytes() {
            let found = *self.bytes.get(self.at).ok_or("unexpected EOF")?;
            if found != expected {
                let place = format!("in literal {word} (expecting '{}')", expected as char);
                return Err(invalid(found, &place));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Json<'a>, String> {
        let start = self.at;
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _signed = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), String> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            _ if self.at > start => Ok(()),
            Some(other) => Err(invalid(*other, "in numeric literal")),
            None => Err("unexpected EOF".to_owned()),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.at += 1;
        let start = self.at;
        let plain = self.plain()?;
        if self.skip(b'"') {
            return Ok(Cow::Borrowed(&self.text[start..start + plain]));
        }
        let mut out = self.text[start..self.at].to_owned();
        while !self.skip(b'"') {
            self.at += 1;
            self.escape(&mut out)?;
            let from = self.at;
            let plain = self.plain()?;
            out.push_str(&self.text[from..from + plain]);
        }
        Ok(Cow::Owned(out))
    }

    /// Walks up to the next quote or backslash and returns the length walked.
    fn plain(&mut self) -> Result<usize, String> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
            .ok_or("unexpected EOF")?;
        self.at += length;
        match rest[length] {
            b'"' | b'\\' => Ok(length),
            control => Err(invalid(control, "in string literal")),
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), String> {
        let letter = *self.bytes.get(self.at).ok_or("unexpected EOF")?;
        self.at += 1;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(out),
            other => return Err(invalid(other, "in string escape code")),
        };
        out.push(plain);
        Ok(())
    }

    fn unicode(&mut self, out: &mut String) -> Result<(), String> {
        let first = self.hex()?;
        let low = (0xd800..0xdc00)
            .contains(&first)
            .then(|| self.low_surrogate())
            .flatten();
        let code = match low {
            Some(low) => 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00),
            None => first,
        };
        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        Ok(())
    }

    fn low_surrogate(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 6)?.strip_prefix("\\u")?;
        let low = u32::from_str_radix(digits, 16).ok()?;
        (0xdc00..0xe000).contains(&low).then(|| self.at += 6)?;
        Some(low)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = *self.bytes.get(self.at).ok_or("unexpected EOF")?;
            let digit = (byte as char).to_digit(16);
            let digit =
                digit.ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

fn invalid(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        _ => format!("'{}'", byte as char),
    };
    format!("invalid character {shown} {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_spelling_and_trailing_text_is_ignored() {
        let value = Json::parse(r#"{"a":[1.0,-1e309]} rest"#).expect("valid");
        let items = value.get("a").and_then(Json::array).expect("array");
        assert_eq!(items, [Json::Number("1.0"), Json::Number("-1e309")]);
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        assert_eq!(
            Json::parse(r#""\ud83d x""#),
            Ok(Json::Text("\u{fffd} x".into()))
        );
        assert_eq!(
            Json::parse(r#""\ud83c\udf89""#),
            Ok(Json::Text("\u{1f389}".into()))
        );
    }

    #[test]
    fn broken_text_is_named_as_the_server_names_it() {
        let text = |source| Json::parse(source).expect_err("broken");
        assert_eq!(
            text("{nope"),
            "invalid character 'n' looking for beginning of object key string"
        );
        assert_eq!(
            text("[NaN]"),
            "invalid character 'N' looking for beginning of value"
        );
        assert_eq!(text(r#"{"objects":["#), "unexpected EOF");
        assert_eq!(text(&"[".repeat(100_000)), "exceeded max depth");
    }
}
