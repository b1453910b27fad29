//! Objects as REST takes them: JSON, vectors as decimal text that reads back bit for bit.

use super::request::WriteObject;
use crate::error::{Error, Kind, Result};
use crate::model::{CollectionName, Key};
use crate::pipe::Vector;

/// An object being written.
#[derive(Default)]
pub(super) struct RestObject {
    /// Up to its properties, without their closing brace.
    text: Vec<u8>,
    has_members: bool,
    legacy: Vec<u8>,
    named: Vec<u8>,
}

impl WriteObject for RestObject {
    fn begin(&mut self, collection: &CollectionName, key: &Key) -> Result<()> {
        self.text.clear();
        self.has_members = false;
        self.legacy.clear();
        self.named.clear();
        self.text.extend_from_slice(
            format!("{{\"class\":\"{collection}\",\"id\":\"{}\"", key.id).as_bytes(),
        );
        if let Some(tenant) = key.tenant.name() {
            self.text.extend_from_slice(b",\"tenant\":");
            serde_json::to_writer(&mut self.text, tenant).map_err(unwritable)?;
        }
        self.text.extend_from_slice(b",\"properties\":{");
        Ok(())
    }

    fn property(&mut self, name: &str, json: &str) -> Result<()> {
        if has_surrogates(json) {
            // The server would store U+FFFD for half a pair, and say nothing.
            let read = serde_json::from_str::<serde_json::Value>(json);
            read.map_err(|cause| {
                Error::new(
                    Kind::Failed,
                    format!("property `{name}` holds a value that REST cannot carry"),
                )
                .with_cause(cause)
            })?;
        }
        let is_first = !std::mem::replace(&mut self.has_members, true);
        member(&mut self.text, is_first, name)?;
        self.text.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn vector(&mut self, name: Option<&str>, vector: Vector<'_>) -> Result<Option<&'static str>> {
        let text = match name {
            Some(name) => {
                let is_first = self.named.is_empty();
                member(&mut self.named, is_first, name)?;
                &mut self.named
            }
            None => &mut self.legacy,
        };
        let is_written = write_vector(text, vector);
        Ok((!is_written).then_some("holds NaN or infinity, which REST cannot carry"))
    }

    fn end(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.text);
        request.push(b'}');
        if !self.legacy.is_empty() {
            request.extend_from_slice(b",\"vector\":");
            request.extend_from_slice(&self.legacy);
        }
        if !self.named.is_empty() {
            request.extend_from_slice(b",\"vectors\":{");
            request.extend_from_slice(&self.named);
            request.push(b'}');
        }
        request.push(b'}');
    }
}

/// True if it has escapes from `\ud800` to `\udfff`, in pairs or not.
fn has_surrogates(json: &str) -> bool {
    json.contains("\\ud") || json.contains("\\uD")
}

fn member(text: &mut Vec<u8>, is_first: bool, name: &str) -> Result<()> {
    if !is_first {
        text.push(b',');
    }
    serde_json::to_writer(&mut *text, name).map_err(unwritable)?;
    text.push(b':');
    Ok(())
}

fn unwritable(cause: serde_json::Error) -> Error {
    Error::new(Kind::Failed, "a value cannot be written as JSON").with_cause(cause)
}

/// Writes a vector as decimal text that reads back bit for bit; false if REST cannot carry it.
fn write_vector(out: &mut Vec<u8>, vector: Vector<'_>) -> bool {
    match vector {
        Vector::Json(json) if json.starts_with('{') => false,
        Vector::Json(json) => {
            out.extend_from_slice(json.as_bytes());
            true
        }
        Vector::Single(bytes) => write_row(out, bytes),
        Vector::Multi { dimensions, rows } => {
            out.push(b'[');
            for (index, row) in rows.chunks_exact(dimensions.max(1) * 4).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !write_row(out, row) {
                    return false;
                }
            }
            out.push(b']');
            true
        }
    }
}

fn write_row(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'[');
    let mut buffer = zmij::Buffer::new();
    for (index, number) in bytes.chunks_exact(4).enumerate() {
        let number = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        if !number.is_finite() {
            return false;
        }
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(buffer.format_finite(number).as_bytes());
    }
    out.push(b']');
    true
}
