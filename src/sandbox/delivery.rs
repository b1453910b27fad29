//! How a reply goes out: whole, or damaged by a fault.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures_util::{StreamExt as _, stream};

use super::reply::Reply;
use super::wire::Scissors;

/// What becomes of a reply on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It arrives.
    Whole,
    /// The connection is cut instead.
    Cut,
    /// Its body ends after so many bytes.
    Truncated(usize),
    /// Its body comes at so many bytes per second.
    Trickling(usize),
}

impl Delivery {
    /// Makes the HTTP response of a reply.
    pub(super) fn deliver(self, reply: Reply, scissors: &Scissors) -> Response<Body> {
        match self {
            Delivery::Whole => respond(reply),
            Delivery::Cut => {
                scissors.cut();
                respond(reply)
            }
            Delivery::Truncated(length) => truncated(reply, length),
            Delivery::Trickling(speed) => trickling(reply, speed),
        }
    }
}

fn head(reply: &Reply) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = reply.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Some((name, value)) = &reply.header
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// A reply that arrives whole.
pub(super) fn respond(reply: Reply) -> Response<Body> {
    let mut response = head(&reply);
    *response.body_mut() = Body::from(reply.body);
    response
}

/// Promises the whole length and ends early, which makes the HTTP server cut the connection.
fn truncated(reply: Reply, length: usize) -> Response<Body> {
    let mut response = head(&reply);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let mut bytes = Bytes::from(reply.body);
    bytes.truncate(length);
    let end = async {
        // What was yielded so far must leave the buffers before the connection is torn down.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let pieces = stream::once(async { Ok(bytes) }).chain(stream::once(end));
    *response.body_mut() = Body::from_stream(pieces);
    response
}

fn trickling(reply: Reply, speed: usize) -> Response<Body> {
    let mut response = head(&reply);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    let step = (speed / 50).max(1);
    let pieces = stream::unfold(Bytes::from(reply.body), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_secs_f64(step as f64 / speed.max(1) as f64)).await;
        let piece = rest.split_to(step.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), rest))
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use crate::sandbox::{Doom, Fault, Rule, Sandbox, Settings, When, sample_id};

    const CREATE: (&str, &str, &str) = ("POST", "/v1/schema", r#"{"class":"Article"}"#);

    async fn sandbox() -> Sandbox {
        Sandbox::start(Settings::default())
            .await
            .expect("the sandbox starts")
    }

    /// Status line, head and body of a reply, as far as it arrived.
    async fn ask(
        sandbox: &Sandbox,
        (method, path, body): (&str, &str, &str),
    ) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(sandbox.addr()).await?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    async fn struck(fault: Fault) -> (Sandbox, std::io::Result<String>) {
        let sandbox = sandbox().await;
        sandbox
            .faults()
            .add(Rule::new("POST", "/v1/schema", When::Nth(1..=1), fault));
        let reply = ask(&sandbox, CREATE).await;
        (sandbox, reply)
    }

    #[tokio::test]
    async fn a_reset_before_the_effect_leaves_nothing() {
        let (sandbox, reply) = struck(Fault::ResetBefore).await;
        assert_eq!(
            reply.expect_err("cut").kind(),
            std::io::ErrorKind::ConnectionReset
        );
        assert!(sandbox.store().collections().is_empty());
        assert!(
            ask(&sandbox, CREATE)
                .await
                .expect("the next one passes")
                .starts_with("HTTP/1.1 200")
        );
    }

    #[tokio::test]
    async fn a_reset_after_the_effect_hides_a_success() {
        let (sandbox, reply) = struck(Fault::ResetAfter).await;
        assert!(reply.is_err());
        assert_eq!(sandbox.store().collections(), ["Article"]);
    }

    #[tokio::test]
    async fn a_truncated_reply_promises_more_than_it_holds() {
        let (sandbox, reply) = struck(Fault::Truncate(10)).await;
        let reply = reply.unwrap_or_default();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length");
        assert!(length.parse::<usize>().expect("a number") > 1000);
        assert_eq!(body.len(), 10);
        assert_eq!(sandbox.store().collections(), ["Article"]);
    }

    #[tokio::test]
    async fn empty_replies_come_with_and_without_the_effect() {
        for (fault, stored) in [(Fault::EmptyBefore, 0), (Fault::EmptyAfter, 1)] {
            let (sandbox, reply) = struck(fault).await;
            let reply = reply.expect("a reply");
            assert!(
                reply.starts_with("HTTP/1.1 200") && reply.ends_with("\r\n\r\n"),
                "{reply}"
            );
            assert_eq!(sandbox.store().collections().len(), stored);
        }
    }

    #[tokio::test]
    async fn a_scripted_status_carries_its_body_and_retry_after() {
        let body = r#"{"error":[{"message":"busy"}]}"#.to_owned();
        let (sandbox, reply) = struck(Fault::Status {
            status: 503,
            retry_after: Some(7),
            body,
        })
        .await;
        let reply = reply.expect("a reply");
        assert!(
            reply.starts_with("HTTP/1.1 503")
                && reply.contains("retry-after: 7")
                && reply.contains("busy")
        );
        assert!(sandbox.store().collections().is_empty());
    }

    #[tokio::test]
    async fn a_stalled_request_goes_on_when_it_is_released() {
        let sandbox = std::sync::Arc::new(sandbox().await);
        let stall = Rule::new("POST", "/v1/schema", When::Nth(1..=1), Fault::Stall(None));
        let rule = sandbox.faults().add(stall);
        let stalled = tokio::spawn({
            let sandbox = std::sync::Arc::clone(&sandbox);
            async move { ask(&sandbox, CREATE).await }
        });
        while sandbox.faults().struck(rule) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(sandbox.store().collections().is_empty());
        sandbox.faults().release();
        assert!(stalled.await.expect("no panic").is_ok());
    }

    #[tokio::test]
    async fn a_restart_refuses_connections_for_a_while_and_keeps_the_data() {
        let (sandbox, reply) = struck(Fault::Restart(Duration::from_millis(80))).await;
        assert!(reply.is_err());
        sandbox.store().fill("Kept", 3, 0, 1);
        let refused = TcpStream::connect(sandbox.addr()).await;
        assert_eq!(
            refused.expect_err("closed").kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        let start = Instant::now();
        while ask(&sandbox, ("GET", "/v1/schema", "")).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(5), "it comes back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(sandbox.store().count("Kept"), 3);
    }

    #[tokio::test]
    async fn a_restart_cuts_the_connections_that_exist() {
        let sandbox = sandbox().await;
        let mut idle = TcpStream::connect(sandbox.addr())
            .await
            .expect("a connection");
        idle.write_all(b"GET /v1/.well-known/ready HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect("sent");
        let mut reply = [0; 512];
        assert!(idle.read(&mut reply).await.expect("a reply") > 0);
        sandbox.restart(Duration::from_millis(1));
        assert!(idle.read(&mut reply).await.is_err());
    }

    #[tokio::test]
    async fn doomed_objects_fail_whether_stored_or_not() {
        let sandbox = sandbox().await;
        let [refused, stored] = [0, 1].map(|at| sample_id("Article", 0, at));
        sandbox.faults().doom_object(refused, Doom::Refused);
        sandbox.faults().doom_object(stored, Doom::Stored);
        let batch = format!(
            r#"{{"objects":[{{"class":"Article","id":"{refused}"}},{{"class":"Article","id":"{stored}"}}]}}"#
        );
        let reply = ask(&sandbox, ("POST", "/v1/batch/objects", &batch))
            .await
            .expect("a reply");
        assert_eq!(reply.matches("FAILED").count(), 2);
        let ids: Vec<_> = sandbox
            .store()
            .dump("Article")
            .into_iter()
            .map(|object| object.id)
            .collect();
        assert_eq!(ids, [stored]);
    }

    #[tokio::test]
    async fn an_unreadable_object_fails_every_page_that_holds_it() {
        let sandbox = sandbox().await;
        sandbox.store().fill("Article", 10, 2, 1);
        let second = sandbox.store().dump("Article")[1].id;
        sandbox.faults().make_unreadable(second);
        let status = async |path: &str| {
            let reply = ask(&sandbox, ("GET", path, "")).await.expect("a reply");
            reply
                .split(' ')
                .nth(1)
                .map(str::to_owned)
                .unwrap_or_default()
        };
        assert_eq!(status("/v1/objects?class=Article&limit=1").await, "200");
        assert_eq!(status("/v1/objects?class=Article&limit=2").await, "500");
        assert_eq!(
            status(&format!("/v1/objects?class=Article&limit=9&after={second}")).await,
            "200"
        );
        assert_eq!(
            status(&format!("/v1/objects/Article/{second}")).await,
            "500"
        );
    }

    #[tokio::test]
    async fn a_short_page_holds_less_than_its_limit() {
        let sandbox = sandbox().await;
        sandbox.store().fill("Article", 10, 0, 1);
        sandbox.faults().add(Rule::new(
            "GET",
            "/v1/objects",
            When::Always,
            Fault::ShortPage(4),
        ));
        let reply = ask(&sandbox, ("GET", "/v1/objects?class=Article&limit=8", ""))
            .await
            .expect("a reply");
        assert!(reply.contains("\"totalResults\":4"));
    }

    #[tokio::test]
    async fn a_slow_reply_arrives_whole() {
        let slow = Fault::Slow {
            latency: Duration::from_millis(5),
            bytes_per_second: Some(100_000),
        };
        let (_sandbox, reply) = struck(slow).await;
        assert!(reply.expect("a reply").ends_with("}\n"));
    }

    #[tokio::test]
    async fn hooks_see_a_request_before_and_after_its_effect() {
        let sandbox = sandbox().await;
        let (seen, heard) = std::sync::mpsc::channel();
        let store = sandbox.store().clone();
        sandbox.on_request(move |request| {
            let _closed = seen.send((request.seq, request.status, store.collections().len()));
        });
        ask(&sandbox, CREATE).await.expect("a reply");
        assert_eq!(
            heard.try_iter().collect::<Vec<_>>(),
            [(1, None, 0), (1, Some(200), 1)]
        );
        assert_eq!(sandbox.count("POST", "/v1/schema"), 1);
        sandbox.stop().await;
    }

    #[tokio::test]
    async fn writes_wait_while_the_gate_is_held() {
        let sandbox = sandbox().await;
        let gate = sandbox.gate();
        let held = gate.write().await;
        let waiting = tokio::time::timeout(Duration::from_millis(30), ask(&sandbox, CREATE)).await;
        assert!(waiting.is_err() && sandbox.store().collections().is_empty());
        drop(held);
        ask(&sandbox, ("POST", "/v1/schema", r#"{"class":"Book"}"#))
            .await
            .expect("a reply");
        assert!(sandbox.store().collections().contains(&"Book".to_owned()));
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_in_order() {
        let settings = Settings {
            idle_timeout: Some(Duration::from_millis(20)),
            ..Settings::default()
        };
        let sandbox = Sandbox::start(settings).await.expect("the sandbox starts");
        let mut idle = TcpStream::connect(sandbox.addr())
            .await
            .expect("a connection");
        assert_eq!(idle.read(&mut [0; 8]).await.expect("an orderly end"), 0);
    }

    #[tokio::test]
    async fn a_stopped_sandbox_frees_its_port() {
        let sandbox = sandbox().await;
        let address = sandbox.addr();
        let _lingering = TcpStream::connect(address).await.expect("a connection");
        sandbox.stop().await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
