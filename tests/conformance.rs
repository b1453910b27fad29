//! The sandbox answers recorded exchanges as the real server did.
//!
//! Each file of `../shared/server/transcripts` is one session on a fresh sandbox with the settings of its profile; a small
//! set of exchanges of our own, in `tests/exchanges`, is replayed the same way, so that a clone without the recordings still
//! tests itself. Compared are status, content type, kept headers and body; numbers by value, vectors also by spelling. Of
//! gRPC calls the code, its text and the message are compared, each read by a table that the sandbox has no part in.

#![allow(clippy::print_stdout)] // the numbers of replayed exchanges are what a reader of this test wants to see

#[path = "conformance/calls.rs"]
mod calls;
#[path = "conformance/canonical.rs"]
mod canonical;
#[path = "conformance/client.rs"]
mod client;
#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/recording.rs"]
mod recording;

use std::collections::BTreeMap;
use std::path::Path;

use calls::Caller;
use canonical::Canonical;
use client::{Received, send};
use compare::{difference, erase, spelled_vectors};
use elysiactl::sandbox::{Sandbox, Settings};
use recording::{Exchange, Response, settings};
use serde_json::{Value, json};

/// So many recorded exchanges are replayed; fewer are a failure of this test.
const REPLAYED: usize = 1392;

/// Exchanges that are not replayed, and why.
const LEFT_OUT: &[(&str, u64, &str)] = &[];

/// Unusual requests whose reply has the right status and another text.
const OTHER_TEXT: &[(&str, u64, &str)] = &[];

const KEPT_HEADERS: [&str; 5] = [
    "allow",
    "location",
    "www-authenticate",
    "content-encoding",
    "retry-after",
];

/// What became of one session.
#[derive(Default)]
struct Outcome {
    replayed: usize,
    left_out: usize,
    failures: Vec<String>,
}

#[test]
fn the_sandbox_answers_the_recorded_exchanges_as_the_real_server_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/server/transcripts");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "the recordings are missing at {}",
            folder.display()
        );
        println!("left out: there are no recordings at {}", folder.display());
        return;
    };
    let manifest: Value = serde_json::from_str(&manifest).expect("manifest.json is JSON");
    let files = manifest["files"]
        .as_object()
        .expect("manifest.json names files");
    let mut total = Outcome::default();
    let mut recorded = 0;
    for (file, entry) in files {
        let settings = settings(&[&manifest["environment"], &entry["environment"]]);
        let name = file.trim_end_matches(".jsonl");
        let text =
            std::fs::read_to_string(folder.join(file)).expect("a file of the manifest can be read");
        let count = text.lines().count();
        let outcome = replay(name, &text, settings);
        println!(
            "{name}: replayed {} of {count} recorded exchanges{}",
            outcome.replayed,
            left_out(&outcome)
        );
        recorded += count;
        total.add(outcome);
    }
    println!(
        "replayed {} of {recorded} recorded exchanges{}",
        total.replayed,
        left_out(&total)
    );
    assert!(
        total.failures.is_empty(),
        "{} exchanges differ:\n{}",
        total.failures.len(),
        total.failures.join("\n")
    );
    assert!(
        total.replayed >= REPLAYED,
        "only {} exchanges were replayed, not {REPLAYED}",
        total.replayed
    );
}

#[test]
fn the_sandbox_answers_exchanges_of_our_own() {
    let without_graphql = Settings {
        graphql: false,
        ..Settings::default()
    };
    let sessions = [
        (
            "basics",
            include_str!("exchanges/basics.jsonl"),
            Settings::default(),
        ),
        (
            "calls",
            include_str!("exchanges/calls.jsonl"),
            Settings::default(),
        ),
        (
            "no_graphql",
            include_str!("exchanges/no_graphql.jsonl"),
            without_graphql,
        ),
    ];
    for (name, text, settings) in sessions {
        let outcome = replay(name, text, settings);
        let count = text.lines().count();
        println!(
            "{name}: replayed {} of {count} exchanges of our own",
            outcome.replayed
        );
        assert_eq!(outcome.replayed, count);
        assert!(
            outcome.failures.is_empty(),
            "{}",
            outcome.failures.join("\n")
        );
    }
}

#[test]
fn recorded_calls_read_as_their_recorded_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/server/transcripts");
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    let canonical = Canonical::new();
    for file in files.map(|file| file.expect("a file").path()) {
        let text = std::fs::read_to_string(&file).expect("a recording can be read");
        let lines = text.lines().filter(|line| line.contains("\"grpc\""));
        for line in lines.filter(|_| file.extension().is_some_and(|kind| kind == "jsonl")) {
            let exchange: Exchange = serde_json::from_str(line).expect("an exchange");
            let (request, response) = exchange.call();
            let Some(base64) = response["base64"].as_str() else {
                continue;
            };
            let read = canonical.reply(&request.method, &calls::decode(base64));
            let found = difference(&response["message"], &read, &mut Vec::new(), &[]);
            assert_eq!(found, None, "{} {}", file.display(), exchange.seq);
        }
    }
}

#[test]
fn mangled_requests_are_always_answered() {
    let runtime = runtime();
    let sandbox = runtime
        .block_on(Sandbox::start(Settings::default()))
        .expect("the sandbox starts");
    let address = sandbox.addr().to_string();
    let mut random = fastrand::Rng::with_seed(7);
    for line in include_str!("exchanges/basics.jsonl").lines() {
        let exchange: Exchange = serde_json::from_str(line).expect("an exchange");
        let (mut request, _) = exchange.rest();
        let sent = request
            .body
            .take()
            .map(|body| body.get().to_owned())
            .unwrap_or_default();
        let path = request.path.clone();
        for _ in 0..60 {
            request.body_text = Some(mangled(&mut random, &sent));
            // A request without a reply makes `send` fail: the handler panicked.
            send(
                &address,
                &request,
                &path.replace(
                    "Boat",
                    random.choice(["Boat", "%ff", "B%C3%96", "x"]).expect("one"),
                ),
            );
        }
    }
    runtime.block_on(sandbox.stop());
}

#[test]
fn mangled_calls_are_always_answered() {
    let runtime = runtime();
    let sandbox = runtime
        .block_on(Sandbox::start(Settings::default()))
        .expect("the sandbox starts");
    sandbox.store().fill("Boat", 5, 3, 1);
    let caller = Caller::to(sandbox.grpc_url());
    let mut random = fastrand::Rng::with_seed(7);
    for line in include_str!("exchanges/calls.jsonl").lines() {
        let exchange: Exchange = serde_json::from_str(line).expect("an exchange");
        if exchange.protocol != "grpc" {
            continue;
        }
        let (request, _) = exchange.call();
        let sent = calls::decode(request.base64.as_deref().unwrap_or_default());
        for _ in 0..100 {
            let mut bytes = sent.clone();
            for byte in &mut bytes {
                if random.u8(..20) == 0 {
                    *byte = random.u8(..);
                }
            }
            bytes.truncate(random.usize(..=bytes.len() * 2));
            // A call without a reply makes `call` fail: the handler panicked.
            runtime.block_on(caller.call_with(&request, &bytes));
        }
    }
    runtime.block_on(sandbox.stop());
}

/// A text with some of its bytes replaced, doubled or cut.
fn mangled(random: &mut fastrand::Rng, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=letters.len().saturating_sub(1));
        let odd = random
            .choice([
                '"', '{', '}', '[', ']', ',', ':', '-', '9', 'e', '\\', 'é', '\u{0}', 'n',
            ])
            .expect("one");
        match random.u8(..4) {
            0 => letters.truncate(at),
            1 => letters.insert(at, odd),
            2 if !letters.is_empty() => drop(letters.remove(at)),
            _ if !letters.is_empty() => letters[at] = odd,
            _ => letters.push(odd),
        }
    }
    letters.into_iter().collect()
}

#[test]
fn a_wrong_reply_is_noticed() {
    let wrong = |line: &str| replay("wrong", line, Settings::default()).failures.len();
    let line = |response: &str| {
        format!(
            r#"{{"seq":1,"note":"-","protocol":"rest","request":{{"method":"GET","path":"/v1/schema"}},"response":{response}}}"#
        )
    };
    assert_eq!(
        wrong(&line(
            r#"{"status":200,"content_type":"application/json","body":{"classes":[]}}"#
        )),
        0
    );
    assert_eq!(
        wrong(&line(
            r#"{"status":201,"content_type":"application/json","body":{"classes":[]}}"#
        )),
        1
    );
    assert_eq!(
        wrong(&line(
            r#"{"status":200,"content_type":null,"body":{"classes":[]}}"#
        )),
        1
    );
    assert_eq!(
        wrong(&line(
            r#"{"status":200,"content_type":"application/json","body":{"classes":[1]}}"#
        )),
        1
    );
    assert_eq!(
        wrong(&line(
            r#"{"status":200,"content_type":"application/json","body_text":""}"#
        )),
        1
    );
}

#[test]
fn a_wrong_answer_to_a_call_is_noticed() {
    let wrong = |line: &str| replay("wrong", line, Settings::default()).failures.len();
    let check = |response: &str| {
        wrong(&format!(
            r#"{{"seq":1,"note":"-","protocol":"grpc","request":{{"method":"/grpc.health.v1.Health/Check","base64":""}},"response":{response}}}"#
        ))
    };
    let serving = r#""message":{"status":"SERVING"}"#;
    assert_eq!(
        check(&format!(r#"{{"code":"OK","details":"",{serving}}}"#)),
        0
    );
    assert_eq!(
        check(&format!(r#"{{"code":"UNKNOWN","details":"",{serving}}}"#)),
        1
    );
    assert_eq!(
        check(&format!(r#"{{"code":"OK","details":"-",{serving}}}"#)),
        1
    );
    assert_eq!(check(r#"{"code":"OK","details":""}"#), 1);
    assert_eq!(check(r#"{"code":"OK","details":"","message":{}}"#), 1);
    let stream = |received: &str, code: &str| {
        wrong(&format!(
            r#"{{"seq":1,"note":"-","protocol":"grpc_stream","request":{{"method":"/weaviate.v1.Weaviate/BatchStream"}},"events":[{{"dir":"send","base64":"CgA="}}{received},{{"dir":"half_close"}}],"response":{{"code":"{code}","details":""}}}}"#
        ))
    };
    let started = r#",{"dir":"recv","message":{"started":{}}}"#;
    assert_eq!(stream(started, "OK"), 0);
    assert_eq!(stream(started, "UNKNOWN"), 1);
    assert_eq!(stream("", "OK"), 1);
    assert_eq!(stream(r#",{"dir":"recv","message":{"acks":{}}}"#, "OK"), 1);
}

#[test]
fn vectors_are_compared_by_spelling_and_other_numbers_by_value() {
    let body = |vector: &str, number: &str| {
        format!(r#"[{{"vector":{vector},"properties":{{"n":{number}}}}}]"#)
    };
    assert_eq!(
        spelled_vectors(&body("[0.1,1]", "1.0")),
        spelled_vectors(&body("[0.1,1]", "1"))
    );
    assert_ne!(
        spelled_vectors(&body("[0.10,1]", "1")),
        spelled_vectors(&body("[0.1,1]", "1"))
    );
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(
        difference(
            &value("[1.0,9223372036854776000]"),
            &value("[1,9223372036854775807]"),
            &mut vec![],
            &[]
        ),
        None
    );
    assert_ne!(
        difference(&value("[1.5]"), &value("[1]"), &mut vec![], &[]),
        None
    );
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.replayed += other.replayed;
        self.left_out += other.left_out;
        self.failures.extend(other.failures);
    }
}

fn left_out(outcome: &Outcome) -> String {
    match outcome.left_out {
        0 => String::new(),
        count => format!(", left out: {count}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Replays one session on a fresh sandbox.
fn replay(name: &str, text: &str, settings: Settings) -> Outcome {
    let runtime = runtime();
    let sandbox = runtime
        .block_on(Sandbox::start(settings))
        .expect("the sandbox starts");
    let mut session = Session {
        name,
        address: sandbox.addr().to_string(),
        caller: Caller::to(sandbox.grpc_url()),
        shard: None,
    };
    let mut outcome = Outcome::default();
    for line in text.lines() {
        let exchange: Exchange = serde_json::from_str(line).expect("an exchange");
        let is_left_out = LEFT_OUT
            .iter()
            .any(|(file, seq, _)| *file == name && *seq == exchange.seq);
        if is_left_out {
            outcome.left_out += 1;
            continue;
        }
        outcome.replayed += 1;
        outcome.failures.extend(match exchange.protocol.as_str() {
            "rest" => session.check(&exchange),
            "grpc" => runtime.block_on(session.check_call(&exchange)),
            _ => runtime.block_on(session.check_stream(&exchange)),
        });
    }
    runtime.block_on(sandbox.stop());
    outcome
}

struct Session<'a> {
    name: &'a str,
    address: String,
    caller: Caller,
    /// The name of the first shard in the last listing: it is random, and later paths hold it.
    shard: Option<String>,
}

impl Session<'_> {
    /// Sends one request and describes how the reply differs from the recording, if it does.
    fn check(&mut self, exchange: &Exchange) -> Option<String> {
        let (request, response) = exchange.rest();
        let received = send(&self.address, &request, &self.path(exchange, &request.path));
        if request.path.ends_with("/shards") {
            let listed: Value = serde_json::from_str(&received.body).unwrap_or_default();
            self.shard = listed[0]["name"]
                .as_str()
                .map(str::to_owned)
                .or(self.shard.take());
        }
        let other_text = OTHER_TEXT
            .iter()
            .any(|(file, seq, _)| *file == self.name && *seq == exchange.seq);
        let mut wanted = recorded(&response);
        let mut found = shown(&received, &response);
        for side in [&mut wanted, &mut found] {
            exchange.erase_volatile(side);
            if other_text {
                erase(side, &["body", "message"]);
                erase(side, &["body", "error", "*", "message"]);
            }
        }
        let what = format!("{} {}", request.method, request.path);
        if let Some(differs) = self.compare(exchange, &what, &wanted, &found) {
            return Some(differs);
        }
        let spelling = response
            .body
            .as_ref()
            .map(|body| spelled_vectors(body.get()));
        let loose = exchange
            .volatile
            .iter()
            .any(|path| path.ends_with(".objects"))
            || !exchange.unordered.is_empty();
        match spelling {
            Some(spelling) if !loose && spelling != spelled_vectors(&received.body) => {
                Some(format!(
                    "{} {}: vectors are spelled otherwise: {spelling:?}",
                    self.name, exchange.seq
                ))
            }
            _ => None,
        }
    }

    /// As `check`, for a unary call.
    async fn check_call(&self, exchange: &Exchange) -> Option<String> {
        let (request, mut wanted) = exchange.call();
        let mut found = self.caller.call(&request).await;
        for side in [&mut wanted, &mut found] {
            exchange.erase_volatile(side);
            let rich = side["status_details_base64"].take();
            if let Some(text) = rich.as_str() {
                let bytes = calls::decode(text);
                side["rich"] = self.caller.canonical().read("Status", &bytes);
            }
            let members = side.as_object_mut().expect("an object");
            members.remove("base64");
            members.remove("status_details_base64");
        }
        self.compare(exchange, &request.method, &wanted, &found)
    }

    /// As `check`, for a bidirectional call: what is received is compared as a multiset.
    async fn check_stream(&self, exchange: &Exchange) -> Option<String> {
        let (request, wanted) = exchange.call();
        let (messages, end) = self.caller.hold(&request, &exchange.events).await;
        let recorded = exchange.events.iter().filter(|event| event.dir == "recv");
        let recorded: Vec<&Value> = recorded.map(|event| &event.message).collect();
        let wanted = json!({"response": wanted, "events": recorded});
        let found = json!({"response": end, "events": messages});
        let unordered = [
            "events",
            "events.*.results.successes",
            "events.*.results.errors",
            "events.*.acks.uuids",
            "events.*.acks.beacons",
        ];
        let unordered = unordered.map(|path| path.split('.').collect());
        let found = difference(&wanted, &found, &mut Vec::new(), &unordered)?;
        Some(self.differs(exchange, &request.method, &found))
    }

    fn compare(
        &self,
        exchange: &Exchange,
        what: &str,
        wanted: &Value,
        found: &Value,
    ) -> Option<String> {
        let unordered: Vec<Vec<&str>> = exchange.unordered.iter().map(|path| parts(path)).collect();
        let found = difference(wanted, found, &mut Vec::new(), &unordered)?;
        Some(self.differs(exchange, what, &found))
    }

    fn differs(&self, exchange: &Exchange, what: &str, how: &str) -> String {
        let Exchange { seq, note, .. } = exchange;
        format!("{} {seq}: {note}\n  {what}\n  {how}", self.name)
    }

    fn path(&self, exchange: &Exchange, path: &str) -> String {
        let is_volatile = exchange
            .volatile
            .iter()
            .any(|volatile| volatile == "request.path");
        match (&self.shard, path.rsplit_once('/')) {
            (Some(shard), Some((front, _))) if is_volatile => format!("{front}/{shard}"),
            _ => path.to_owned(),
        }
    }
}

impl Exchange {
    fn erase_volatile(&self, side: &mut Value) {
        self.volatile
            .iter()
            .for_each(|path| erase(side, &parts(path)));
    }
}

/// The parts of a volatile or unordered path, without its first, `response`.
fn parts(path: &str) -> Vec<&str> {
    path.strip_prefix("response.")
        .unwrap_or(path)
        .split('.')
        .collect()
}

fn recorded(response: &Response) -> Value {
    let mut value = json!({
        "status": response.status, "content_type": response.content_type, "headers": response.headers,
    });
    match (&response.body, &response.body_text) {
        (Some(body), _) => {
            value["body"] = serde_json::from_str(body.get()).expect("a recorded body is JSON")
        }
        (None, text) => value["body_text"] = text.clone().unwrap_or_default().into(),
    }
    value
}

fn shown(received: &Received, recording: &Response) -> Value {
    let kept = received
        .headers
        .iter()
        .filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str()));
    let mut value = json!({
        "status": received.status, "content_type": received.headers.get("content-type"),
        "headers": kept.collect::<BTreeMap<_, _>>(),
    });
    match serde_json::from_str::<Value>(&received.body) {
        Ok(body) if recording.body.is_some() => value["body"] = body,
        _ => value["body_text"] = received.body.clone().into(),
    }
    value
}
