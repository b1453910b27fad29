//! Servers that answer nonsense: an error, never a panic, never an archive that looks whole, and memory within bounds.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use elysiactl::commands::{backup, restore};
use elysiactl::error::Kind;
use serde_json::json;

use crate::bench::{Bench, shown};

type Answer = dyn Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// A server that answers each request line as it is told, one request per connection.
struct Liar {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    fn start(answer: Box<Answer>) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = heads.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_request(&mut stream);
                if head.starts_with("QUIT") {
                    return;
                }
                log.lock().unwrap().push(head.clone());
                // A client that hangs up early is what is hoped for.
                let _ = answer(head.lines().next().unwrap_or_default(), &mut stream);
            }
        });
        Liar {
            url,
            heads,
            thread: Some(thread),
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let address = self.url.trim_start_matches("http://");
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(b"QUIT\r\n\r\n");
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The head of a request; its body is read and dropped.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head)
        .to_ascii_lowercase()
        .replacen("quit", "QUIT", 1);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    head
}

fn reply(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)
}

/// Answers as a server with one collection of 100 objects would, up to the pages.
fn honest(line: &str, definition: &str) -> Option<Vec<u8>> {
    let body = if line.starts_with("get /v1/meta") {
        json!({"version": "1.40.0"}).to_string()
    } else if line.starts_with("get /v1/schema/article/shards") {
        json!([{"name": "s", "status": "READY"}]).to_string()
    } else if line.starts_with("get /v1/schema/article") {
        definition.to_owned()
    } else if line.starts_with("post /v1/graphql") {
        json!({"data": {"Aggregate": {"t0": [{"meta": {"count": 100}}]}}}).to_string()
    } else {
        return None;
    };
    Some(body.into_bytes())
}

fn endless(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\n{head}\r\n{{\"objects\":["
    )?;
    let block = vec![b' '; 1 << 20];
    loop {
        stream.write_all(&block)?;
    }
}

/// The largest memory that this process ever held, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn object(members: &str) -> Vec<u8> {
    format!(
        r#"{{"objects":[{{"id":"00000000-0000-0000-0000-000000000001","creationTimeUnix":1,"lastUpdateTimeUnix":1{members}}}]}}"#
    )
    .into_bytes()
}

fn pages() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("nothing", Vec::new()),
        ("not JSON", b"<html>hello</html>".to_vec()),
        ("not UTF-8", b"{\"objects\":[\"\xff\xfe\"]}".to_vec()),
        ("cut", b"{\"objects\":[{\"id\":".to_vec()),
        ("null", b"{\"objects\":null}".to_vec()),
        ("an object instead of a list", b"{\"objects\":{}}".to_vec()),
        (
            "a long text",
            format!("\"{}\"", "x".repeat(1 << 20)).into_bytes(),
        ),
        (
            "a bad id",
            object("")
                .iter()
                .map(|byte| if *byte == b'-' { b'_' } else { *byte })
                .collect(),
        ),
        ("a time of text", object(r#","creationTimeUnix":"x""#)),
        ("properties of text", object(r#","properties":"x""#)),
        ("a vector of text", object(r#","vector":["x"]"#)),
        ("a vector beyond f32", object(r#","vector":[1e300]"#)),
        ("vectors in a list", object(r#","vectors":[1]"#)),
        ("deep", deep(200_000).into_bytes()),
        (
            "deep objects",
            format!("{{\"objects\":[{}]}}", deep(200_000)).into_bytes(),
        ),
        (
            "deep property",
            object(&format!(r#","properties":{{"title":{}}}"#, deep(200_000))),
        ),
        (
            "deep vector",
            object(&format!(r#","vector":{}"#, deep(200_000))),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_nonsense_ends_in_an_error_and_leaves_no_archive() {
    let mut bench = Bench::with(1, 1).await;
    bench.patience = Duration::from_millis(60);
    let definition = bench
        .sandbox
        .store()
        .definition("Article")
        .unwrap()
        .to_string();
    for (number, (what, page)) in pages().into_iter().enumerate() {
        let definition = definition.clone();
        let liar = Liar::start(Box::new(move |line, stream| {
            match honest(line, &definition) {
                Some(body) => reply(stream, &body),
                None => reply(stream, &page),
            }
        }));
        let mut request = bench.backup_request();
        request.connection.url = liar.url.clone();
        request.destination = bench.path().join(format!("out{number}"));
        let error = backup(&bench.session(&format!("job{number}")), &request)
            .await
            .unwrap_err();
        let is_expected = matches!(error.kind(), Kind::Exhausted | Kind::SourceRefused);
        assert!(is_expected, "{what}: {}", shown(&error));
        assert!(
            error.message().len() < 2_000,
            "{what}: {:.300}",
            error.message()
        );
        let left = std::fs::read_dir(&request.destination).unwrap();
        assert!(
            left.into_iter().all(|name| name
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with('.')),
            "{what}"
        );
    }
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_reply_that_is_nonsense_ends_in_an_error() {
    let mut bench = Bench::with(1, 1).await;
    let archive = bench.archive().await;
    bench.patience = Duration::from_millis(40);
    let definition = bench
        .sandbox
        .store()
        .definition("Article")
        .unwrap()
        .to_string();
    let lies: [&[u8]; 6] = [
        b"",
        b"[",
        b"[[[[[",
        b"\xff",
        b"{\"version\":7,\"class\":1}",
        b"\"x\"",
    ];
    let mut number = 0;
    for call in [
        "/v1/meta",
        "/v1/schema",
        "/v1/schema/article/shards",
        "/v1/graphql",
    ] {
        for lie in lies {
            let (definition, lie) = (definition.clone(), lie.to_vec());
            let liar = Liar::start(Box::new(move |line, stream| {
                match honest(line, &definition) {
                    Some(body) if !line.contains(call) => reply(stream, &body),
                    _ => reply(stream, &lie),
                }
            }));
            number += 1;
            let mut request = bench.backup_request();
            request.connection.url = liar.url.clone();
            let error = backup(&bench.session(&format!("b{number}")), &request)
                .await
                .unwrap_err();
            assert_ne!(error.kind(), Kind::Failed, "{call}: {}", shown(&error));
            let mut request = bench.restore_request(&archive, "Copy");
            request.connection.url = liar.url.clone();
            let error = restore(&bench.session(&format!("r{number}")), &request)
                .await
                .unwrap_err();
            assert_ne!(error.kind(), Kind::Failed, "{call}: {}", shown(&error));
        }
    }
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_reply_is_cut_off_and_memory_stays_within_bounds() {
    let mut bench = Bench::with(1, 1).await;
    bench.patience = Duration::from_millis(60);
    bench.batch_size = 1;
    let definition = bench
        .sandbox
        .store()
        .definition("Article")
        .unwrap()
        .to_string();
    // Without a length, with one that is far too large, and as an error.
    for head in ["", "content-length: 99999999999\r\n"] {
        let definition = definition.clone();
        let liar = Liar::start(Box::new(move |line, stream| {
            match honest(line, &definition) {
                Some(body) => reply(stream, &body),
                None => endless(stream, head),
            }
        }));
        let mut request = bench.backup_request();
        request.connection.url = liar.url.clone();
        request.destination = bench.path().join(format!("out{}", head.len()));
        let error = backup(&bench.session(&format!("job{}", head.len())), &request)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::SourceRefused, "{}", shown(&error));
        assert!(error.message().contains("larger than"), "{error}");
    }
    // 256 MiB for a reply, twice that while its buffer grows.
    assert!(peak_memory() < 900 << 20, "{} bytes", peak_memory());
    bench.sandbox.stop().await;
}

/// As [`honest`], of a collection that is empty by now, with tenants and aliases if it has them.
fn honest_to_the_end(line: &str, definition: &str) -> Option<Vec<u8>> {
    if line.starts_with("get /v1/objects") {
        return Some(b"{\"objects\":[]}".to_vec());
    }
    if line.starts_with("get /v1/schema/article/tenants") {
        return Some(br#"[{"name":"amber","activityStatus":"HOT"}]"#.to_vec());
    }
    if line.starts_with("get /v1/aliases") {
        return Some(b"{\"aliases\":[]}".to_vec());
    }
    honest(line, definition)
}

fn with_tenants(definition: &str) -> String {
    let mut definition: serde_json::Value = serde_json::from_str(definition).unwrap();
    definition["multiTenancyConfig"] = json!({"enabled": true});
    definition.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_and_aliases_that_are_nonsense_or_endless_end_in_an_error() {
    let mut bench = Bench::with(1, 1).await;
    bench.patience = Duration::from_millis(40);
    let plain = bench.sandbox.store().definition("Article").unwrap();
    let plain = plain.to_string();
    let calls = [
        ("/v1/schema/article/tenants", with_tenants(&plain)),
        ("/v1/aliases", plain),
    ];
    let lies: [Option<&[u8]>; 6] = [
        Some(b""),
        Some(b"["),
        Some(b"\xff"),
        Some(b"{\"aliases\":7}"),
        Some(b"[{\"name\":1}]"),
        None,
    ];
    for (number, (call, definition)) in calls.into_iter().enumerate() {
        for (nth, lie) in lies.into_iter().enumerate() {
            let definition = definition.clone();
            let liar = Liar::start(Box::new(move |line, stream| {
                match (line.contains(call), lie) {
                    (true, Some(lie)) => reply(stream, lie),
                    (true, None) => endless(stream, ""),
                    _ => reply(
                        stream,
                        &honest_to_the_end(line, &definition).unwrap_or_default(),
                    ),
                }
            }));
            let mut request = bench.backup_request();
            request.connection.url = liar.url.clone();
            let name = format!("{number}-{nth}");
            request.destination = bench.path().join(format!("out{name}"));
            let ended = backup(&bench.session(&format!("job{name}")), &request).await;
            let is_warned = call == "/v1/aliases" && lie.is_none();
            match ended {
                // Aliases that cannot be listed for good are left out, which is no whole backup.
                Ok(outcome) => {
                    assert!(is_warned, "{call} {lie:?}: {outcome:?}");
                    assert_eq!(outcome.exit_code, 3, "{outcome:?}");
                    assert!(outcome.notes[0].starts_with("the aliases are not in the archive: "));
                }
                Err(error) => assert_ne!(error.kind(), Kind::Failed, "{call}: {}", shown(&error)),
            }
        }
    }
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_a_batch_that_are_nonsense_are_no_success() {
    let mut bench = Bench::with(3, 1).await;
    let archive = bench.archive().await;
    bench.patience = Duration::from_millis(40);
    let definition = bench.sandbox.store().definition("Article").unwrap();
    let definition = definition.to_string();
    let lies: [&[u8]; 6] = [
        b"",
        b"[]",
        b"{}",
        b"[1,2,3]",
        b"[{\"id\":\"x\",\"result\":{\"status\":\"SUCCESS\"}}]",
        b"\xff",
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let definition = definition.clone();
        let liar = Liar::start(Box::new(move |line, stream| {
            match line.starts_with("post /v1/batch/objects") {
                true => reply(stream, lie),
                false => reply(
                    stream,
                    &honest_to_the_end(line, &definition).unwrap_or_default(),
                ),
            }
        }));
        let mut request = bench.restore_request(&archive, "Article");
        (request.merge, request.name) = (true, None);
        request.connection.url = liar.url.clone();
        let ended = restore(&bench.session(&format!("job{number}")), &request).await;
        match ended {
            // What was neither taken nor refused counts as refused, by name.
            Ok(outcome) => assert_ne!(outcome.exit_code, 0, "{number}: {outcome:?}"),
            Err(error) => assert_ne!(error.kind(), Kind::Failed, "{number}: {}", shown(&error)),
        }
    }
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_error_is_read_no_further_than_its_words() {
    let mut bench = Bench::with(1, 1).await;
    bench.patience = Duration::from_millis(60);
    let sent = Arc::new(Mutex::new(0u64));
    let counted = sent.clone();
    let liar = Liar::start(Box::new(move |_, stream| {
        write!(
            stream,
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n[0"
        )?;
        let block = b",0".repeat(1 << 15);
        // Enough to show that nobody listens any more.
        for _ in 0..1_600 {
            stream.write_all(&block)?;
            *counted.lock().unwrap() += block.len() as u64;
        }
        Ok(())
    }));
    let mut request = bench.backup_request();
    request.connection.url = liar.url.clone();
    let error = backup(&bench.session("job"), &request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorised, "{}", shown(&error));
    drop(liar);
    assert!(
        *sent.lock().unwrap() < 90 << 20,
        "{} bytes were taken",
        sent.lock().unwrap()
    );
    bench.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_refused_and_carries_the_key_nowhere() {
    let elsewhere = Liar::start(Box::new(|_, stream| reply(stream, b"{}")));
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let target = elsewhere.url.clone();
        let liar = Liar::start(Box::new(move |_, stream| {
            write!(
                stream,
                "HTTP/1.1 {status}\r\nlocation: {target}/v1/meta\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        }));
        let bench = Bench::with(1, 1).await;
        let mut request = bench.backup_request();
        request.connection.url = liar.url.clone();
        request.connection.api_key = Some("sesame".to_owned().into());
        let error = backup(&bench.session("job"), &request).await.unwrap_err();
        assert_eq!(error.kind(), Kind::SourceRefused, "{}", shown(&error));
        assert!(error.message().contains("redirects elsewhere"), "{error}");
        assert!(!shown(&error).contains("sesame"));
        assert!(liar.heads()[0].contains("authorization: bearer sesame"));
        bench.sandbox.stop().await;
    }
    assert!(elsewhere.heads().is_empty(), "{:?}", elsewhere.heads());
}
