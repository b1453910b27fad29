//! What copies of files cannot show: everything that a commit counts on is synced before it, and closed after the run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use elysiactl::archive::Format;
use elysiactl::commands::{backup_into, restore};
use elysiactl::error::Result;
use elysiactl::event::{Event, Reporter, Silent};
use elysiactl::format::Codec;
use elysiactl::job::{LaneId, Step};
use elysiactl::journal::{Entry, Store, StoreKind};
use elysiactl::storage::{Call, Hooked, Local};
use elysiactl::weaviate::Transport;

use crate::common::sandbox_with;
use crate::pictures::archive_of;
use crate::scene::{COLLECTION, Deed, Scene, empty_server};

type Watch = dyn Fn(&[Entry]) + Send + Sync;

/// A journal that shows every commit before it is made, and tells when it was closed.
struct Watched {
    inner: Option<Box<dyn Store>>,
    watch: Arc<Watch>,
    is_closed: Arc<AtomicBool>,
}

impl Store for Watched {
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        (self.watch)(entries);
        self.inner.as_mut().unwrap().append(entries)
    }

    fn last_number(&self) -> u64 {
        self.inner.as_ref().unwrap().last_number()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A disk that is slow to close: whoever does not wait for it is found out.
        std::thread::sleep(Duration::from_millis(20));
        self.inner = None;
        self.is_closed.store(true, Ordering::SeqCst);
    }
}

fn watching(
    scene: &Scene,
    reporter: Arc<dyn Reporter>,
    watch: impl Fn(&[Entry]) + Send + Sync + 'static,
) -> (elysiactl::commands::Session, Arc<AtomicBool>) {
    let mut session = scene.session(reporter);
    let (is_closed, watch): (_, Arc<Watch>) = (Arc::new(AtomicBool::new(false)), Arc::new(watch));
    let closed = is_closed.clone();
    session.state = session.state.wrapping(move |inner| {
        Box::new(Watched {
            inner: Some(inner),
            watch: watch.clone(),
            is_closed: closed.clone(),
        })
    });
    (session, is_closed)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_before_the_archive_is_synced() {
    for deed in [
        Deed::Backup(Format::Json, Codec::Gzip),
        Deed::Backup(Format::Jsonl, Codec::Zstd),
    ] {
        let scene = Scene::new(deed, StoreKind::File, 1);
        let sandbox = sandbox_with(COLLECTION, 200).await;
        let dirty: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let written = dirty.clone();
        let storage = Hooked::new(Arc::new(Local::at(scene.backups())), move |call| {
            let mut dirty = written.lock().unwrap();
            match call {
                Call::Write { key, .. } | Call::Truncate { key, .. } => {
                    dirty.insert(key.clone());
                }
                Call::Sync(key) => {
                    dirty.remove(key);
                }
                _ => {}
            }
            Ok(())
        });
        let commits = Arc::new(Mutex::new(0));
        let counted = commits.clone();
        let (session, _) = watching(&scene, Arc::new(Silent), move |entries| {
            if entries.iter().any(counts_on_the_archive) {
                *counted.lock().unwrap() += 1;
                let dirty = dirty.lock().unwrap();
                assert!(dirty.is_empty(), "not synced: {dirty:?}");
            }
        });
        let request = scene.backup_request(&sandbox.connection());
        backup_into(&session, &request, Arc::new(storage))
            .await
            .unwrap();
        assert!(*commits.lock().unwrap() > 8);
    }
}

fn counts_on_the_archive(entry: &Entry) -> bool {
    matches!(entry.step, Step::Committed(..) | Step::Staged { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_sent_after_its_intent_and_committed_after_its_reply() {
    for transport in [Transport::Grpc, Transport::Rest] {
        each_batch_is_sent_between_intent_and_commit(transport).await;
    }
}

async fn each_batch_is_sent_between_intent_and_commit(transport: Transport) {
    let (_folder, archive, _) = archive_of(200, Format::Json, 25).await;
    let scene = Scene::new(Deed::Restore(archive), StoreKind::Sled, 1).over(transport);
    let sandbox = empty_server().await;
    let (store, seen) = (sandbox.store().clone(), Arc::new(Mutex::new((0, 0, 0))));
    let steps = seen.clone();
    let (session, _) = watching(&scene, Arc::new(Silent), move |entries| {
        let (intended, committed, batches) = &mut *steps.lock().unwrap();
        let there = store.count(COLLECTION) as u32;
        for entry in entries {
            match &entry.step {
                Step::Intended(_, intent) => {
                    assert_eq!(there, *committed, "sent before its intent is durable");
                    *intended += intent.count;
                }
                Step::Committed(_, receipt, _) => {
                    *committed += receipt.count;
                    *batches += 1;
                    assert_eq!(there, *committed, "committed before it is stored");
                    assert_eq!(intended, committed);
                }
                _ => {}
            }
        }
    });
    let request = scene.restore_request(&sandbox.connection());
    restore(&session, &request).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), (200, 200, 8));
}

/// Notes what is told as committed, and whether everything was closed when the job is told to be over.
struct Listener {
    told: Mutex<Vec<(LaneId, u64)>>,
    is_closed: Mutex<Option<Arc<AtomicBool>>>,
    was_closed: AtomicBool,
}

impl Reporter for Listener {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Committed { lane, seq, .. } => self.told.lock().unwrap().push((*lane, *seq)),
            Event::Finished { .. } => {
                let is_closed = self.is_closed.lock().unwrap();
                let is_closed = is_closed.as_ref().unwrap().load(Ordering::SeqCst);
                self.was_closed.store(is_closed, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_closed_before_it_is_deleted() {
    let scene = Scene::backup(StoreKind::Sled);
    let sandbox = sandbox_with(COLLECTION, 100).await;
    let listener = Arc::new(Listener {
        told: Mutex::default(),
        is_closed: Mutex::default(),
        was_closed: AtomicBool::new(false),
    });
    let (session, is_closed) = watching(&scene, listener.clone(), |_| {});
    *listener.is_closed.lock().unwrap() = Some(is_closed);
    let request = scene.backup_request(&sandbox.connection());
    let storage = Arc::new(Local::at(scene.backups()));
    backup_into(&session, &request, storage).await.unwrap();
    assert!(listener.was_closed.load(Ordering::SeqCst));
    assert_eq!(listener.told.lock().unwrap().len(), 4);
}

/// Holds one batch back between its place in the file and its commit, until a later one was committed. That never
/// comes, so after a moment it is let go.
#[derive(Default)]
struct HoldsBack {
    story: Mutex<Story>,
    changed: Condvar,
}

#[derive(Default)]
struct Story {
    is_cut: bool,
    held: Option<LaneId>,
    later: BTreeSet<(LaneId, u64)>,
    is_overtaken: bool,
}

impl Reporter for HoldsBack {
    fn event(&self, event: &Event<'_>) {
        let mut story = self.story.lock().unwrap();
        match event {
            Event::Split { .. } => story.is_cut = true,
            Event::Applied { lane, .. } if story.is_cut && story.held.is_none() => {
                story.held = Some(*lane);
                let moment = Duration::from_millis(300);
                tokio::task::block_in_place(|| {
                    drop(
                        self.changed
                            .wait_timeout_while(story, moment, |it| !it.is_overtaken),
                    );
                });
            }
            Event::Applied { lane, seq } if story.held.is_some() => {
                story.later.insert((*lane, *seq));
            }
            Event::Committed { lane, seq, .. } if story.later.contains(&(*lane, *seq)) => {
                story.is_overtaken = true;
                self.changed.notify_all();
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_a_document_are_committed_in_the_order_of_their_places() {
    let mut scene = Scene::new(Deed::Backup(Format::Json, Codec::None), StoreKind::File, 4);
    scene.batch = 10;
    let sandbox = sandbox_with(COLLECTION, 800).await;
    let end = Arc::new(Mutex::new((None, BTreeSet::new())));
    let places = end.clone();
    let (session, _) = watching(&scene, Arc::new(HoldsBack::default()), move |entries| {
        for entry in entries {
            if let Step::Committed(lane, receipt, _) = &entry.step {
                let place = receipt.place.unwrap();
                let (end, lanes) = &mut *places.lock().unwrap();
                assert!(
                    end.is_none_or(|end| end == place.offset),
                    "a gap or an overlap"
                );
                *end = Some(place.offset + place.length);
                lanes.insert(*lane);
            }
        }
    });
    let request = scene.backup_request(&sandbox.connection());
    let storage = Arc::new(Local::at(scene.backups()));
    backup_into(&session, &request, storage).await.unwrap();
    assert!(end.lock().unwrap().1.len() > 1, "one lane cannot show it");
}
