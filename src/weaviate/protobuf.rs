//! Protobuf's wire format, read and written by hand: no message is built, no value copied.
//!
//! Only what proto3 uses: varints, 64-bit, length-delimited and 32-bit fields. Groups are refused. Every length is
//! checked against what is there, so that no bytes can make the reader leave them.

use crate::error::{Error, Reaction, Result};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Wire<'a> {
    /// The bytes of a length-delimited field; of any other, none.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Wire::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    pub fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// The number of a varint; of any other field, 0.
    pub fn number(self) -> u64 {
        match self {
            Wire::Varint(number) => number,
            _ => 0,
        }
    }

    pub fn double(self) -> f64 {
        match self {
            Wire::Fixed64(bytes) => f64::from_le_bytes(bytes),
            _ => 0.0,
        }
    }

    pub fn float(self) -> f32 {
        match self {
            Wire::Fixed32(bytes) => f32::from_le_bytes(bytes),
            _ => 0.0,
        }
    }
}

/// A message that is not what the protocol says: in transit or by a defect, so it may be asked for again.
pub(super) fn malformed(why: &str) -> Error {
    Error::transient(format!(
        "the server gave a gRPC message that cannot be read: {why}"
    ))
    .with_reaction(Reaction::Suspect)
}

/// The fields of a message in the order of the wire.
#[derive(Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields(message)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| malformed("a field is longer than its message"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Most are one byte long.
    #[inline]
    fn varint(&mut self) -> Result<u64> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(malformed("a number has no end"))
    }

    #[inline]
    fn field(&mut self) -> Result<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                let length =
                    usize::try_from(length).map_err(|_| malformed("a length is absurd"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(self.array()?),
            _ => return Err(malformed("a field has an unknown wire type")),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>)>;

    /// After an error there is nothing more.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The numbers of a packed repeated field of varints.
pub(super) fn packed_varints(bytes: &[u8]) -> impl Iterator<Item = Result<u64>> {
    let mut rest = Fields(bytes);
    std::iter::from_fn(move || {
        if rest.0.is_empty() {
            return None;
        }
        let number = rest.varint();
        if number.is_err() {
            rest.0 = &[];
        }
        Some(number)
    })
}

/// Adds fields to a message. proto3 leaves default values out; callers that need one to be seen write it all the same.
pub(super) trait Add {
    fn varint(&mut self, number: u64);
    fn tag(&mut self, field: u32, wire_type: u32);
    fn add_bool(&mut self, field: u32, value: bool);
    fn add_number(&mut self, field: u32, value: u64);
    fn add_double(&mut self, field: u32, value: f64);
    fn add_bytes(&mut self, field: u32, bytes: &[u8]);
    /// A message within the message, written by `fill`.
    fn add_message<T>(&mut self, field: u32, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T;
}

impl Add for Vec<u8> {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn add_bool(&mut self, field: u32, value: bool) {
        self.add_number(field, u64::from(value));
    }

    fn add_number(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    fn add_double(&mut self, field: u32, value: f64) {
        self.tag(field, 1);
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn add_bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn add_message<T>(&mut self, field: u32, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.tag(field, 2);
        let begin = self.len();
        let filled = fill(self);
        // The length stands in front and is known only now; it is short, and so is the way of the bytes behind it.
        let length = self.len() - begin;
        self.varint(length as u64);
        let digits = self.len() - begin - length;
        self[begin..].rotate_right(digits);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut message = Vec::new();
        message.add_number(1, 300);
        message.add_message(16, |inner| {
            inner.add_bytes(2, &[7; 200]);
            inner.add_double(3, -0.0);
        });
        message.add_bool(4, true);
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Wire::Varint(300)));
        assert_eq!((fields[1].0, fields[2]), (16, (4, Wire::Varint(1))));
        let inner: Vec<_> = Fields::of(fields[1].1.bytes())
            .map(Result::unwrap)
            .collect();
        assert_eq!(inner[0], (2, Wire::Bytes(&[7; 200])));
        assert_eq!(inner[1].1.double().to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn prost_reads_what_is_written() {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Known {
            #[prost(uint64, tag = "1")]
            number: u64,
            #[prost(string, tag = "2")]
            text: String,
            #[prost(message, repeated, tag = "3")]
            inner: Vec<Known>,
        }
        let known = Known {
            number: u64::MAX,
            text: "é".repeat(100),
            inner: vec![
                Known::default(),
                Known {
                    number: 1,
                    ..Known::default()
                },
            ],
        };
        let mut message = Vec::new();
        message.add_number(1, known.number);
        message.add_bytes(2, known.text.as_bytes());
        message.add_message(3, |_| ());
        message.add_message(3, |inner| inner.add_number(1, 1));
        assert_eq!(
            <Known as prost::Message>::decode(&message[..]).unwrap(),
            known
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error_and_the_end() {
        for bytes in [
            &[0x0a, 5, 1][..],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            &[0x80; 12],
            &[0x0b],
            &[0x09, 1, 2],
            &[0x0d, 1],
        ] {
            let fields: Vec<_> = Fields::of(bytes).collect();
            assert!(fields.last().unwrap().is_err(), "{bytes:?}");
            assert!(fields.len() <= 2);
        }
    }

    #[test]
    fn packed_numbers_are_read_one_by_one() {
        let numbers: Vec<u64> = packed_varints(&[1, 0xac, 2]).map(Result::unwrap).collect();
        assert_eq!(numbers, [1, 300]);
        assert!(packed_varints(&[0x80]).next().unwrap().is_err());
    }
}
