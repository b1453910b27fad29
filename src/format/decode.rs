//! The way back from frames to text, as a stream in bounded memory.
//!
//! A [`Decoder`] reads frame after frame to the end of its input. An input that ends inside a frame is an error
//! and never the end of the text: lz4_flex answers "end" at every frame end and at a cut alike, so its frames
//! are read one by one and its reads are watched.

use std::io::{BufRead, ErrorKind, Read};

use super::codec::Codec;
use super::damaged;
use crate::error::{Error, Result};

/// Text out of compressed frames.
pub enum Decoder<R: BufRead> {
    /// Text as it is.
    None(R),
    /// gzip members.
    Gzip(Box<flate2::bufread::MultiGzDecoder<R>>),
    /// zstd frames.
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
    /// lz4 frames.
    Lz4(Box<Lz4Frames<R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Reads all frames of `input`.
    pub fn new(codec: Codec, input: R) -> Result<Self> {
        Ok(match codec {
            Codec::None => Decoder::None(input),
            Codec::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
            Codec::Zstd => Decoder::Zstd(Box::new(
                zstd::stream::read::Decoder::with_buffer(input)
                    .map_err(|cause| cannot_read(cause, codec))?,
            )),
            Codec::Lz4 => Decoder::Lz4(Box::new(Lz4Frames::new(input))),
        })
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Decoder::None(input) => input.read(buffer),
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
            Decoder::Lz4(decoder) => decoder.read(buffer),
        }
    }
}

/// The text of exactly one frame that is all of `stored`, at most `limit` bytes long.
pub fn decode_exact(codec: Codec, stored: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut rest = stored;
    let mut text = Vec::new();
    let bound = limit as u64 + 1;
    let outcome = match codec {
        Codec::None => (&mut rest).take(bound).read_to_end(&mut text),
        Codec::Gzip => flate2::bufread::GzDecoder::new(&mut rest)
            .take(bound)
            .read_to_end(&mut text),
        Codec::Zstd => zstd::stream::read::Decoder::with_buffer(&mut rest)
            .and_then(|decoder| decoder.single_frame().take(bound).read_to_end(&mut text)),
        Codec::Lz4 => lz4_frame(&mut rest)
            .and_then(|mut frame| frame.by_ref().take(bound).read_to_end(&mut text)),
    };
    outcome.map_err(|cause| cannot_read(cause, codec))?;
    if text.len() > limit {
        return Err(damaged(format!("a frame holds more than {limit} bytes")));
    }
    if !rest.is_empty() {
        return Err(damaged(format!(
            "{} bytes follow the end of a frame",
            rest.len()
        )));
    }
    Ok(text)
}

fn cannot_read(cause: std::io::Error, codec: Codec) -> Error {
    damaged(format!(
        "the {} data are damaged or cut off: {cause}",
        codec.name()
    ))
    .with_cause(cause)
}

fn lz4_frame<R: BufRead>(input: R) -> std::io::Result<Lz4Frames<R>> {
    let mut frames = Lz4Frames::new(input);
    frames.only_one = true;
    Ok(frames)
}

/// lz4 frames one after another.
pub struct Lz4Frames<R: BufRead> {
    state: Lz4State<R>,
    only_one: bool,
}

enum Lz4State<R: BufRead> {
    Between(R),
    Inside(lz4_flex::frame::FrameDecoder<Watched<R>>),
    Over,
}

struct Watched<R> {
    input: R,
    saw_end: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.saw_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> Lz4Frames<R> {
    fn new(input: R) -> Self {
        Lz4Frames {
            state: Lz4State::Between(input),
            only_one: false,
        }
    }
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, Lz4State::Over) {
                Lz4State::Over => return Ok(0),
                Lz4State::Between(mut input) => {
                    if input.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    self.state = Lz4State::Inside(lz4_flex::frame::FrameDecoder::new(Watched {
                        input,
                        saw_end: false,
                    }));
                }
                Lz4State::Inside(mut frame) => {
                    let count = frame.read(buffer)?;
                    if count > 0 || buffer.is_empty() {
                        self.state = Lz4State::Inside(frame);
                        return Ok(count);
                    }
                    let Watched { input, saw_end } = frame.into_inner();
                    if saw_end {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    if self.only_one {
                        return Ok(0);
                    }
                    self.state = Lz4State::Between(input);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<Vec<u8>> {
        let noise: Vec<u8> = (0..300_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        vec![
            b"".to_vec(),
            b",".to_vec(),
            b"{\"a\":1}".repeat(1000),
            noise,
        ]
    }

    fn read_all(codec: Codec, stored: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Decoder::new(codec, stored)
            .map_err(std::io::Error::other)?
            .read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn frames_and_stored_members_come_back_one_by_one_and_in_a_row() {
        for codec in Codec::ALL {
            let (mut row, mut whole) = (Vec::new(), Vec::new());
            for text in texts() {
                for stored in [codec.compress(&text).unwrap(), codec.stored(&text)] {
                    assert_eq!(decode_exact(codec, &stored, 1 << 20).unwrap(), text);
                    row.extend_from_slice(&stored);
                    whole.extend_from_slice(&text);
                }
                assert_eq!(codec.stored(&text).len(), codec.stored_length(text.len()));
            }
            assert_eq!(read_all(codec, &row).unwrap(), whole, "{codec:?}");
        }
    }

    #[test]
    fn a_cut_at_any_length_is_an_error() {
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
            let first = codec.compress(b"first, first, first").unwrap();
            let stored = [first.clone(), codec.stored(b"second")].concat();
            for length in 1..stored.len() {
                let is_whole = length == first.len();
                assert_eq!(
                    read_all(codec, &stored[..length]).is_ok(),
                    is_whole,
                    "{codec:?} {length}"
                );
                assert_eq!(
                    decode_exact(codec, &stored[..length], 100).is_ok(),
                    is_whole,
                    "{codec:?} {length}"
                );
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_at_its_limit() {
        for codec in Codec::ALL {
            let stored = codec.compress(&vec![b' '; 1 << 22]).unwrap();
            assert!(decode_exact(codec, &stored, 1 << 20).is_err());
        }
    }

    #[test]
    fn what_follows_a_frame_is_an_error() {
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
            let stored = [codec.compress(b"x").unwrap(), vec![0]].concat();
            assert!(decode_exact(codec, &stored, 10).is_err());
        }
    }
}
