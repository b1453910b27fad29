//! The real program against a sandbox in this process: run as a user would, watched, signalled and killed on cue.
//!
//! A child sees no variable of the machine it runs on: its home, its state and its address are the world's own. It is
//! killed when its handle is dropped, and given up after a minute.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod pty;
pub mod words;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use elysiactl::journal::{State, StateDir};
use elysiactl::sandbox::{Fault, RequestInfo, Rule, Sandbox, Settings, Snapshot, Store, When};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

pub use pty::Pty;

/// Nothing here takes so long unless it is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// How a child ended, and what it said.
#[derive(Debug, Clone)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The same, if the exit code is this.
    #[track_caller]
    pub fn with(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The lines of standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parsed = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}: {self:#?}"))
        };
        self.stdout.lines().map(parsed).collect()
    }

    /// Standard output, which is one path and nothing else.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
        let path = self.stdout.strip_suffix('\n').unwrap_or_default();
        assert!(!path.is_empty() && !path.contains('\n'), "{self:#?}");
        PathBuf::from(path)
    }
}

/// What a child has said so far on one of its streams.
#[derive(Default)]
struct Said {
    text: String,
    is_closed: bool,
}

type Stream = Arc<(Mutex<Said>, Condvar)>;

/// A child at work.
pub struct Running {
    child: Arc<Mutex<Child>>,
    pid: Pid,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    /// The number of its process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits until it has said this on standard error.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let said = wait_for(&self.stderr, |said| {
            said.is_closed || said.text.contains(words)
        });
        assert!(said.contains(words), "never said `{words}`: {said}");
    }

    /// Waits until it has printed a line, and returns all that it has printed.
    pub fn prints(&self) -> String {
        wait_for(&self.stdout, |said| {
            said.is_closed || said.text.contains('\n')
        })
    }

    /// Its end.
    #[track_caller]
    pub fn wait(self) -> Ended {
        let [stdout, stderr] =
            [&self.stdout, &self.stderr].map(|stream| wait_for(stream, |said| said.is_closed));
        // Both streams are closed, so it is over, and nobody holds it any more for long.
        let status = self.child.lock().unwrap().wait().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
        }
    }
}

#[track_caller]
fn wait_for(stream: &Stream, is_enough: impl Fn(&Said) -> bool) -> String {
    let (said, changed) = &**stream;
    let waited = changed.wait_timeout_while(said.lock().unwrap(), STUCK, |said| !is_enough(said));
    let (said, timeout) = waited.unwrap();
    assert!(!timeout.timed_out(), "a child is stuck: {}", said.text);
    said.text.clone()
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// When a child is killed, seen from the request that it dies at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request never takes effect.
    Before,
    /// The request takes effect, and nobody hears of it.
    After,
}

type Deed = Box<dyn FnOnce() + Send>;

/// What happens when the sandbox has received so many requests of a kind.
struct Cue {
    method: String,
    path: String,
    left: u64,
    deed: Deed,
}

#[derive(Clone, Default)]
struct Cues(Arc<Mutex<Vec<Cue>>>);

impl Cues {
    fn hear(&self, request: &RequestInfo) {
        if request.status.is_some() {
            return;
        }
        let mut cues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for (at, cue) in cues.iter_mut().enumerate() {
            if request.method.starts_with(&cue.method) && request.path.starts_with(&cue.path) {
                cue.left -= 1;
                if cue.left == 0 {
                    due.push(at);
                }
            }
        }
        let deeds: Vec<Deed> = due
            .into_iter()
            .rev()
            .map(|at| cues.remove(at).deed)
            .collect();
        drop(cues);
        deeds.into_iter().for_each(|deed| deed());
    }
}

/// A server, a folder, and the program between them.
pub struct World {
    pub sandbox: Sandbox,
    cues: Cues,
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl World {
    pub fn new(settings: Settings) -> World {
        World::over(settings, Store::new())
    }

    /// One collection `Article` of so many objects.
    pub fn with(objects: usize) -> World {
        let world = World::new(Settings::default());
        world.store().fill("Article", objects, 4, 1);
        world
    }

    /// The same data as `snapshot`.
    pub fn like(snapshot: &Snapshot) -> World {
        let world = World::new(Settings::default());
        world.store().restore(snapshot);
        world
    }

    pub fn over(settings: Settings, store: Store) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime
            .block_on(Sandbox::start_with(settings, store))
            .unwrap();
        let cues = Cues::default();
        let heard = cues.clone();
        sandbox.on_request(move |request| heard.hear(request));
        World {
            sandbox,
            cues,
            folder: tempfile::tempdir().unwrap(),
            runtime,
        }
    }

    pub fn store(&self) -> &Store {
        self.sandbox.store()
    }

    /// The folder that the program runs in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file or folder in it, as text.
    pub fn at(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Where the program keeps its jobs.
    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state/elysiactl")
    }

    /// The jobs of this world, oldest first.
    pub fn jobs(&self) -> Vec<State> {
        if !self.state_dir().exists() {
            return Vec::new();
        }
        let jobs = StateDir::open(&self.state_dir()).unwrap().jobs().unwrap();
        jobs.into_iter().map(|job| job.state.unwrap()).collect()
    }

    /// The id of the only unfinished job, if there is one.
    pub fn unfinished(&self) -> Option<String> {
        let mut unfinished: Vec<State> = self.jobs();
        unfinished.retain(|job| !job.is_done);
        assert!(unfinished.len() < 2, "{unfinished:#?}");
        unfinished.pop().map(|job| job.job.to_string())
    }

    /// The names in a folder that are no hidden ones, sorted; none if it is not there.
    pub fn archives(&self, folder: &str) -> Vec<String> {
        self.names(folder, |name| !name.starts_with('.'))
    }

    /// The hidden names in a folder: what is unfinished, and caches.
    pub fn hidden(&self, folder: &str) -> Vec<String> {
        self.names(folder, |name| {
            name.starts_with('.') && !name.ends_with(".report.json")
        })
    }

    fn names(&self, folder: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path().join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| is_wanted(name))
            .collect();
        names.sort();
        names
    }

    /// The bytes of a file, or of all files in a folder.
    pub fn size(&self, path: &Path) -> u64 {
        let path = self.path().join(path);
        match std::fs::read_dir(&path) {
            Err(_) => std::fs::metadata(&path).unwrap().len(),
            Ok(entries) => entries.map(|entry| self.size(&entry.unwrap().path())).sum(),
        }
    }

    /// The program, not yet started; words are separated by spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elysiactl"));
        command
            .args(words.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("TMPDIR", self.path())
            // Where a coverage run wants to be told of what the child did.
            .envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"))
            .env("WEAVIATE_URL", self.sandbox.url())
            .env("WEAVIATE_GRPC_URL", self.sandbox.grpc_url())
            // Cues and faults are of REST requests; a test that wants gRPC says so.
            .env("ELYSIACTL_TRANSPORT", "rest")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program.
    pub fn start(&self, words: &str) -> Running {
        start(self.command(words))
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, words: &str) -> Ended {
        self.start(words).wait()
    }

    /// Does `deed` when the next but `number` - 1 request of that kind arrives, before it takes effect.
    pub fn at_request(
        &self,
        number: u64,
        (method, path): (&str, &str),
        deed: impl FnOnce() + Send + 'static,
    ) {
        self.cues.0.lock().unwrap().push(Cue {
            method: method.to_owned(),
            path: path.to_owned(),
            left: number,
            deed: Box::new(deed),
        });
    }

    /// Runs the program and kills it at that request.
    #[track_caller]
    pub fn run_killed(
        &self,
        words: &str,
        number: u64,
        kind: (&str, &str),
        moment: Moment,
    ) -> Ended {
        if moment == Moment::Before {
            self.sandbox.faults().add(Rule {
                method: Some(kind.0.to_owned()).filter(|method| !method.is_empty()),
                path: kind.1.to_owned(),
                when: When::Nth(number..=number),
                fault: Fault::ResetBefore,
            });
        }
        // Requests of the child wait at the lock until the cue holds its handle.
        let slot: Arc<Mutex<Option<Arc<Mutex<Child>>>>> = Arc::default();
        let mut holding = slot.lock().unwrap();
        let victim = slot.clone();
        self.at_request(number, kind, move || {
            if let Some(child) = &*victim.lock().unwrap() {
                let _ = child.lock().unwrap().kill();
            }
        });
        let running = self.start(words);
        *holding = Some(running.child.clone());
        drop(holding);
        let ended = running.wait();
        // The request that it died at is still being served: with its fault, and its effect.
        self.wait_until_idle();
        self.cues.0.lock().unwrap().clear();
        self.sandbox.faults().clear();
        ended
    }

    #[track_caller]
    fn wait_until_idle(&self) {
        let since = Instant::now();
        while !self.sandbox.is_idle() {
            assert!(since.elapsed() < STUCK, "a request is stuck");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Starts the program and waits until it has made that request, which is not answered until the faults are cleared.
    #[track_caller]
    pub fn start_held(&self, words: &str, number: u64, kind: (&str, &str)) -> Running {
        self.sandbox.faults().add(Rule::new(
            kind.0,
            kind.1,
            When::Nth(number..=number),
            Fault::Stall(None),
        ));
        let (arrived, arrival) = std::sync::mpsc::channel();
        self.at_request(number, kind, move || arrived.send(()).unwrap());
        let running = self.start(words);
        if arrival.recv_timeout(STUCK).is_err() {
            panic!("never came so far: {:#?}", running.wait());
        }
        running
    }

    /// The requests that were served so far and may have changed something.
    pub fn writes(&self) -> Vec<String> {
        let is_write =
            |request: &RequestInfo| request.method != "GET" && request.path != "/v1/graphql";
        let requests = self.sandbox.requests();
        let writes = requests.iter().filter(|request| is_write(request));
        writes
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// Requires the two collections to be equal in every object, every bit of every vector and every setting.
    #[track_caller]
    pub fn assert_equal(&self, one: &str, other: &str) {
        assert!(
            self.store().dump(one) == self.store().dump(other),
            "{one} holds {}, {other} holds {} objects",
            self.store().count(one),
            self.store().count(other)
        );
        let nameless = |name: &str| {
            let mut definition = self.store().definition(name).expect("there");
            definition["class"] = Value::Null;
            definition
        };
        assert_eq!(nameless(one), nameless(other));
    }
}

/// Starts a command.
pub fn start(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    Running {
        child: Arc::new(Mutex::new(child)),
        pid,
        stdout,
        stderr,
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> Stream {
    let told = Stream::default();
    let (shared, mut stream) = (told.clone(), stream.unwrap());
    std::thread::spawn(move || {
        let (said, changed) = &*shared;
        let mut buffer = [0; 4096];
        // What a killed child could not write any more is not needed.
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            said.lock().unwrap().text.push_str(&text);
            changed.notify_all();
        }
        said.lock().unwrap().is_closed = true;
        changed.notify_all();
    });
    told
}
