//! `demo`: a sandbox with data, and this very program run against it, killed, cut off and resumed.
//!
//! Every number in the report comes from a comparison of the two collections, or from the sandbox's own log.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::session::grouped;
use crate::error::{Error, IoContext, Kind, Result};
use crate::sandbox::{Fault, RequestInfo, Rule, Sandbox, Settings, When};

const COLLECTION: &str = "Article";
const COPY: &str = "ArticleRestored";
const DIMENSIONS: usize = 64;
const BATCH: usize = 500;

/// The call that reads a page.
const READ: &str = "/weaviate.v1.Weaviate/Search";
/// The call that stores a batch.
const STORE: &str = "/weaviate.v1.Weaviate/BatchObjects";

/// Runs the demonstration with so many objects below `folder`, telling each step to `say`.
pub async fn demo(objects: usize, folder: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let began = Instant::now();
    let sandbox = Sandbox::start(Settings::default())
        .await
        .doing(|| "cannot start the sandbox".to_owned())?;
    sandbox.store().fill(COLLECTION, objects, DIMENSIONS, 1);
    let stage = Stage {
        program: program()?,
        url: sandbox.url(),
        grpc_url: sandbox.grpc_url(),
        folder: folder.to_owned(),
        doomed: Arc::default(),
    };
    let doomed = stage.doomed.clone();
    sandbox.on_request(move |request| doomed.strike(request));
    say(&format!(
        "sandbox at {} with {} objects of {DIMENSIONS} dimensions in `{COLLECTION}`",
        sandbox.url(),
        grouped(objects as u64)
    ));

    let archive = backup_killed_and_resumed(&stage, &sandbox, objects, say).await?;
    verify(&stage, &archive, say).await?;
    restore_cut_off_killed_and_resumed(&stage, &sandbox, &archive, objects, say).await?;
    compare(&sandbox, COPY, say)?;
    clear_and_restore(&stage, &sandbox, &archive, say).await?;
    compare_with_copy(&sandbox, say)?;
    sandbox.stop().await;
    say(&format!(
        "nothing is missing; the demonstration took {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().doing(|| "cannot find this program".to_owned())
}

/// Where the child processes run.
struct Stage {
    program: PathBuf,
    url: String,
    grpc_url: String,
    folder: PathBuf,
    doomed: Arc<Doomed>,
}

/// A child that is killed by SIGKILL when the sandbox has seen so many requests of a kind.
#[derive(Default)]
struct Doomed(Mutex<Option<Doom>>);

struct Doom {
    child: Arc<Mutex<Child>>,
    method: &'static str,
    path: &'static str,
    left: usize,
}

impl Doomed {
    fn strike(&self, request: &RequestInfo) {
        let mut doom = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = doom.as_mut() else { return };
        let is_counted = request.status.is_none()
            && request.method == waiting.method
            && request.path.starts_with(waiting.path);
        if !is_counted {
            return;
        }
        waiting.left = waiting.left.saturating_sub(1);
        if waiting.left == 0 {
            // A child that has ended already is noticed by its exit code.
            let _ = waiting
                .child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .kill();
            *doom = None;
        }
    }
}

/// How a child ended, and what it printed as data.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Stage {
    /// Runs this program to its end, or until it is killed at a request.
    async fn run(
        &self,
        words: &[&str],
        kill_at: Option<(&'static str, &'static str, usize)>,
    ) -> Result<Ended> {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .arg("--url")
            .arg(&self.url)
            .arg("--grpc-url")
            .arg(&self.grpc_url)
            .arg("--state-dir")
            .arg(self.folder.join("state"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars()
            .filter(|(name, _)| name.starts_with("ELYSIACTL_") || name.starts_with("WEAVIATE_"))
        {
            command.env_remove(name);
        }
        let mut child = command
            .spawn()
            .doing(|| format!("cannot run `{}`", self.program.display()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        if let Some((method, path, left)) = kill_at {
            let doom = Doom {
                child: child.clone(),
                method,
                path,
                left,
            };
            *self.doomed.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(doom);
        }
        let ended = tokio::task::spawn_blocking(move || wait(&child, stdout, stderr)).await;
        ended.map_err(|cause| {
            Error::new(Kind::Failed, "waiting for a child failed").with_cause(cause)
        })?
    }

    /// Runs this program; it must succeed.
    async fn succeed(&self, words: &[&str]) -> Result<Ended> {
        let ended = self.run(words, None).await?;
        match ended.code {
            Some(0) => Ok(ended),
            code => Err(Error::new(
                Kind::Failed,
                format!(
                    "`elysiactl {}` ended with {code:?}: {}",
                    words.join(" "),
                    ended.stderr.trim()
                ),
            )),
        }
    }

    /// Runs this program; it must be killed underway.
    async fn be_killed(
        &self,
        words: &[&str],
        at: (&'static str, &'static str, usize),
    ) -> Result<()> {
        let ended = self.run(words, Some(at)).await?;
        match ended.code {
            None => Ok(()),
            Some(code) => Err(Error::new(
                Kind::Failed,
                format!(
                    "`elysiactl {}` was to be killed but ended with {code}: {}",
                    words.join(" "),
                    ended.stderr.trim()
                ),
            )),
        }
    }
}

fn wait(
    child: &Mutex<Child>,
    stdout: Option<impl std::io::Read>,
    stderr: Option<impl std::io::Read + Send + 'static>,
) -> Result<Ended> {
    let errors = std::thread::spawn(move || read_all(stderr));
    let stdout = read_all(stdout);
    let stderr = errors.join().unwrap_or_default();
    let status = child
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .wait()
        .doing(|| "cannot wait for a child".to_owned())?;
    Ok(Ended {
        code: status.code(),
        stdout,
        stderr,
    })
}

fn read_all(stream: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What a killed child could not write any more is not needed.
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn backup_killed_and_resumed(
    stage: &Stage,
    sandbox: &Sandbox,
    objects: usize,
    say: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf> {
    let output = stage.folder.join("backups").display().to_string();
    let batch = BATCH.to_string();
    let words = [
        "col",
        "backup",
        COLLECTION,
        "-o",
        &output,
        "--compression",
        "zstd",
        "--batch-size",
        &batch,
        "--resume",
    ];
    let pages = objects / BATCH;
    stage
        .be_killed(&words, ("POST", READ, (pages / 2).max(2)))
        .await?;
    let before = sandbox.count("POST", READ);
    say(&format!(
        "backup: killed (SIGKILL) after {before} of about {pages} pages"
    ));
    let ended = stage.succeed(&words).await?;
    let archive = PathBuf::from(ended.stdout.trim());
    let pages_read = sandbox.count("POST", READ);
    say(&format!(
        "backup: resumed and complete, {} pages read in the second run: {}",
        pages_read - before,
        archive.display()
    ));
    Ok(archive)
}

async fn verify(stage: &Stage, archive: &Path, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    stage
        .succeed(&["col", "verify", &archive.display().to_string()])
        .await?;
    say("verify: every byte of the archive is as it was written");
    Ok(())
}

async fn restore_cut_off_killed_and_resumed(
    stage: &Stage,
    sandbox: &Sandbox,
    archive: &Path,
    objects: usize,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let (file, batch) = (archive.display().to_string(), BATCH.to_string());
    let words = [
        "col",
        "restore",
        &file,
        "--name",
        COPY,
        "--batch-size",
        &batch,
        "--resume",
    ];
    let batches = objects / BATCH;
    let path = STORE;
    let lost = sandbox
        .faults()
        .add(Rule::new("POST", path, When::Nth(3..=3), Fault::ResetAfter));
    let away = sandbox.faults().add(Rule::new(
        "POST",
        path,
        When::Nth(7..=7),
        Fault::Restart(Duration::from_millis(300)),
    ));
    stage
        .be_killed(&words, ("POST", path, (batches / 2).max(9)))
        .await?;
    let before = sandbox.count("POST", path);
    if sandbox.faults().struck(lost) == 0 || sandbox.faults().struck(away) == 0 {
        return Err(Error::new(
            Kind::Failed,
            "the network was not cut as planned",
        ));
    }
    say(
        "restore: a reply was lost after its batch was stored, and the server was away for 0.3 s; both were ridden out",
    );
    say(&format!(
        "restore: killed (SIGKILL) after {before} of about {batches} batches"
    ));
    stage.succeed(&words).await?;
    let sent = sandbox.count("POST", path);
    let needed = objects.div_ceil(BATCH);
    say(&format!(
        "restore: resumed and complete; {sent} batches were sent in all, {} of them more than once or in smaller pieces",
        sent.saturating_sub(needed)
    ));
    Ok(())
}

fn compare(sandbox: &Sandbox, copy: &str, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let (original, restored) = (sandbox.store().dump(COLLECTION), sandbox.store().dump(copy));
    let differing = original
        .iter()
        .zip(&restored)
        .filter(|(one, two)| one != two)
        .count()
        + original.len().abs_diff(restored.len());
    if differing > 0 || original.is_empty() {
        return Err(Error::new(
            Kind::Difference,
            format!("{} objects of `{copy}` differ", grouped(differing as u64)),
        ));
    }
    say(&format!(
        "compared {} objects of `{COLLECTION}` and `{copy}`, every property and every bit of every vector: equal",
        grouped(original.len() as u64)
    ));
    Ok(())
}

async fn clear_and_restore(
    stage: &Stage,
    sandbox: &Sandbox,
    archive: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let began = Instant::now();
    stage
        .succeed(&["col", "clear", COLLECTION, "--force"])
        .await?;
    if sandbox.store().count(COLLECTION) != 0 {
        return Err(Error::new(
            Kind::Difference,
            "the cleared collection is not empty",
        ));
    }
    say(&format!(
        "clear: `{COLLECTION}` is empty, its definition is as before; {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    stage
        .succeed(&[
            "col",
            "restore",
            &archive.display().to_string(),
            "--merge",
            "--force",
        ])
        .await?;
    say(&format!("restore: back into `{COLLECTION}`"));
    Ok(())
}

fn compare_with_copy(sandbox: &Sandbox, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    compare(sandbox, COPY, say)
}
