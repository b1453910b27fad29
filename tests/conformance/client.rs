//! A client that sends requests byte for byte as they were recorded, which no HTTP library does.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::recording::Request;

/// A reply as it came over the wire.
pub struct Received {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Sends a request exactly as recorded, over a connection of its own.
pub fn send(address: &str, request: &Request, path: &str) -> Received {
    let body = match (&request.body, &request.body_text) {
        (Some(body), _) => body.get().to_owned(),
        (None, text) => text.clone().unwrap_or_default(),
    };
    let has_body = request.body.is_some() || request.body_text.is_some();
    let mut head = format!(
        "{} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n",
        request.method
    );
    let mut headers = request.headers.clone();
    if has_body {
        headers
            .entry("content-type".to_owned())
            .or_insert_with(|| "application/json".to_owned());
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers
        .iter()
        .filter(|(name, value)| *name != "content-type" || !value.is_empty())
    {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).expect("the sandbox accepts");
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .expect("the sandbox reads");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("the sandbox answers");
    received(&String::from_utf8(reply).expect("a reply is UTF-8"))
}

fn received(reply: &str) -> Received {
    let (head, body) = reply.split_once("\r\n\r\n").expect("a reply has a head");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Received {
        status: status.expect("a status"),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}
