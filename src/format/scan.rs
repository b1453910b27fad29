//! A JSON document as a stream: cuts out one value after another without holding the whole.
//!
//! The scanner knows where values begin and end; whether a value cut out is well formed is for its parser to
//! say. Memory is one buffer and the value asked for, up to [`MAX_LINE`].

use std::io::Read;

use super::damaged;
use super::read::MAX_LINE;
use crate::error::{Error, Kind, Result};

/// Reads a JSON document piece by piece.
pub struct Scanner<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    before: u64,
}

impl<R: Read> Scanner<R> {
    /// A scanner at the start of `input`.
    pub fn new(input: R) -> Self {
        Scanner {
            input,
            buffer: vec![0; 64 << 10],
            at: 0,
            end: 0,
            before: 0,
        }
    }

    /// How many bytes of text were consumed.
    pub fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The next byte, without consuming it; `None` at the end of the input.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buffer[self.at..self.end].first().copied())
    }

    fn fill(&mut self) -> Result<()> {
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(count) => {
                    self.end = count;
                    return Ok(());
                }
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(unreadable(cause, self.before)),
            }
        }
    }

    /// The next byte that is not white space, without consuming it.
    pub fn peek_token(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(Some(byte));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// Consumes the next byte, which must be `expected`.
    pub fn byte(&mut self, expected: u8) -> Result<()> {
        match self.peek()? {
            Some(found) if found == expected => {
                self.at += 1;
                Ok(())
            }
            found => Err(self.unexpected(found)),
        }
    }

    /// Consumes white space and then `expected`.
    pub fn token(&mut self, expected: u8) -> Result<()> {
        self.peek_token()?;
        self.byte(expected)
    }

    /// An error that says what was found and where.
    pub fn unexpected(&self, found: Option<u8>) -> Error {
        match found {
            Some(byte) => damaged(format!(
                "`{}` at byte {} is not JSON",
                byte.escape_ascii(),
                self.position()
            )),
            None => damaged(format!(
                "the text ends at byte {} in the middle",
                self.position()
            )),
        }
    }

    /// Replaces `out` with the text of the next value.
    pub fn value(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        match self.peek_token()? {
            Some(b'"') => self.string(out),
            Some(b'{' | b'[') => self.nested(out),
            Some(b',' | b':' | b'}' | b']') | None => {
                let found = self.peek()?;
                Err(self.unexpected(found))
            }
            Some(_) => self.copy_until(out, |byte| {
                matches!(
                    byte,
                    b',' | b':' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'
                )
            }),
        }
    }

    /// The next value as text.
    pub fn text(&mut self) -> Result<String> {
        let mut out = Vec::new();
        self.value(&mut out)?;
        String::from_utf8(out).map_err(|cause| damaged("the text is not UTF-8").with_cause(cause))
    }

    fn copy_until(&mut self, out: &mut Vec<u8>, is_end: impl Fn(u8) -> bool) -> Result<()> {
        while self.peek()?.is_some() {
            let rest = &self.buffer[self.at..self.end];
            let found = rest.iter().position(|byte| is_end(*byte));
            let taken = found.unwrap_or(rest.len());
            out.extend_from_slice(&rest[..taken]);
            self.at += taken;
            if found.is_some() {
                break;
            }
            self.check_length(out)?;
        }
        Ok(())
    }

    fn check_length(&self, out: &[u8]) -> Result<()> {
        match out.len() > MAX_LINE {
            true => Err(damaged(format!("a value is longer than {MAX_LINE} bytes"))),
            false => Ok(()),
        }
    }

    /// Takes one byte that must be there.
    fn take(&mut self, out: &mut Vec<u8>) -> Result<u8> {
        let byte = self.peek()?.ok_or_else(|| self.unexpected(None))?;
        self.at += 1;
        out.push(byte);
        Ok(byte)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.take(out)?;
        loop {
            self.copy_until(out, |byte| matches!(byte, b'"' | b'\\'))?;
            if self.take(out)? == b'"' {
                return Ok(());
            }
            self.take(out)?;
        }
    }

    fn nested(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut depth = 0usize;
        loop {
            self.copy_until(out, |byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?;
            match self.peek()? {
                Some(b'"') => self.string(out)?,
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.take(out)?;
                }
                _ => {
                    self.take(out)?;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn unreadable(cause: std::io::Error, at: u64) -> Error {
    let is_damage = matches!(
        cause.kind(),
        std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::Other
    );
    let kind = if is_damage {
        Kind::Difference
    } else {
        Kind::Failed
    };
    Error::new(
        kind,
        format!("the data are damaged or cut off after {at} bytes of text: {cause}"),
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, so that every border is met.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn values_are_cut_out_wherever_the_buffer_ends() {
        let values = [
            r#""a\"]\\""#,
            "-1.5e3",
            r#"{"a":[1,{"b":"}"}],"c":"\\"}"#,
            "[]",
            "true",
            "null",
        ];
        let text = format!(" [ {} ] ", values.join(" ,\n "));
        let mut scanner = Scanner::new(Drops(text.as_bytes()));
        scanner.token(b'[').unwrap();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                scanner.token(b',').unwrap();
            }
            assert_eq!(scanner.text().unwrap(), *value);
        }
        scanner.token(b']').unwrap();
        assert_eq!(scanner.peek_token().unwrap(), None);
        assert_eq!(scanner.position(), text.len() as u64);
    }

    #[test]
    fn a_text_that_ends_in_a_value_is_an_error() {
        for text in [r#""abc"#, "{\"a\":1", "[1,[2]", "", "]", "\"\\"] {
            assert!(Scanner::new(text.as_bytes()).text().is_err(), "{text}");
        }
    }
}
