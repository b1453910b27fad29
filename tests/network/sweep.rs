//! One fault at each request of a job, one after another: no call is forgotten.

use std::path::Path;

use elysiactl::archive::Archive;
use elysiactl::commands::{backup, restore, verify};
use elysiactl::sandbox::{Fault, Rule, Sandbox, Store, When};

use crate::bench::{Bench, shown, status};

const FAULTS: [fn() -> Fault; 8] = [
    || Fault::ResetBefore,
    || Fault::ResetAfter,
    || Fault::Truncate(3),
    || Fault::EmptyBefore,
    || Fault::EmptyAfter,
    || status(500),
    || status(503),
    || status(429),
];

fn at(sandbox: &Sandbox, request: u64, fault: Fault) -> usize {
    let rule = Rule::any(When::Nth(request..=request), fault);
    sandbox.faults().add(rule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_survives_each_fault_at_each_of_its_requests() {
    backup_survives(Bench::with_everything().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_over_grpc_survives_each_fault_at_each_of_its_requests() {
    backup_survives(Bench::with_everything().await.over_grpc()).await;
}

async fn backup_survives(mut bench: Bench) {
    bench.batch_size = 5;
    let clean = objects_in(&bench.archive().await);
    let mut failed = Vec::new();
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let mut request = 1;
        loop {
            bench.sandbox.faults().clear();
            let what = format!("{:?} at request {request}", fault());
            let rule = at(&bench.sandbox, request, fault());
            let mut asked = bench.backup_request();
            let job = format!("backup-{number}-{request}");
            asked.destination = bench.path().join(&job).join("out");
            let saved = backup(&bench.session(&job), &asked).await;
            if bench.struck(rule) == 0 {
                break;
            }
            request += 1;
            let saved = match saved {
                Ok(saved) => saved,
                Err(error) => {
                    failed.push(format!("{what}: {}", shown(&error)));
                    continue;
                }
            };
            let kept = (saved.exit_code, saved.tally.accepted);
            assert_eq!(kept, (0, 24), "{what}: {saved:?}");
            let path = saved.archive.unwrap();
            verify(&path).unwrap();
            assert!(objects_in(&path) == clean, "{what}: other objects");
            let archive = Archive::open(&path).unwrap();
            assert_eq!(archive.aliases(), ["News"], "{what}");
            assert_eq!(archive.tenants().len(), 3, "{what}");
        }
        assert!(request > 20, "only {request} requests were struck");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    bench.sandbox.stop().await;
}

/// The objects of an uncompressed document in the order of tenant and id.
fn objects_in(archive: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(archive).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let objects = document["objects"].as_array().unwrap();
    let mut objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
    objects.sort();
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_survives_each_fault_at_each_of_its_requests() {
    restore_survives(Bench::with_everything().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_over_grpc_survives_each_fault_at_each_of_its_requests() {
    restore_survives(Bench::with_everything().await.over_grpc()).await;
}

async fn restore_survives(mut bench: Bench) {
    bench.batch_size = 5;
    let archive = bench.archive().await;
    let store = bench.sandbox.store().clone();
    let source = store.dump("Article");
    let nothing = Store::new().snapshot();
    let mut failed = Vec::new();
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let mut request = 1;
        loop {
            // The archive goes back under its own name, with its alias, into a server that has lost everything.
            store.restore(&nothing);
            bench.sandbox.faults().clear();
            let what = format!("{:?} at request {request}", fault());
            let rule = at(&bench.sandbox, request, fault());
            let mut asked = bench.restore_request(&archive, "Article");
            asked.name = None;
            let job = format!("restore-{number}-{request}");
            let back = restore(&bench.session(&job), &asked).await;
            if bench.struck(rule) == 0 {
                break;
            }
            request += 1;
            let back = match back {
                Ok(back) => back,
                Err(error) => {
                    failed.push(format!("{what}: {}", shown(&error)));
                    continue;
                }
            };
            let kept = (back.exit_code, back.tally.accepted);
            assert_eq!(kept, (0, 24), "{what}: {back:?}");
            assert!(store.dump("Article") == source, "{what}: other objects");
            let now = store.definition("Article").unwrap();
            let flag = &now["multiTenancyConfig"]["autoTenantActivation"];
            assert_eq!(*flag, true, "{what}");
            assert_eq!(store.aliases()["News"], "Article", "{what}");
        }
        assert!(request > 10, "only {request} requests were struck");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    bench.sandbox.stop().await;
}
