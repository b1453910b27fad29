//! One measurement is one process of its own: its time, its CPU seconds, its peak memory.

use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What a child found out about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_mb: f64,
    pub objects: u64,
}

impl Measured {
    pub fn rate(&self) -> f64 {
        self.objects as f64 / self.seconds
    }

    pub fn cpu_per_100k(&self) -> f64 {
        self.cpu_seconds * 100_000.0 / self.objects.max(1) as f64
    }
}

/// Runs `work` and says what it took, as a line of JSON. What was prepared before is in the peak, not in the times.
pub async fn report<E: std::fmt::Display>(work: impl Future<Output = Result<u64, E>>) {
    let (cpu_before, began) = (cpu_seconds(), Instant::now());
    let objects = work.await.unwrap_or_else(|error| panic!("{error}"));
    let measured = Measured {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - cpu_before,
        peak_mb: status("VmHWM:") / 1024.0,
        objects,
    };
    println!("{}", serde_json::json!(measured));
}

/// Runs this program with these words and reads what it reports.
pub fn child(words: &[String]) -> Measured {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .arg("child")
        .args(words)
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("this program can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or("");
    serde_json::from_str(line).unwrap_or_else(|_| panic!("`{}` reported nothing", words.join(" ")))
}

/// User and system time of this process; 0 where there is no `/proc`.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or("");
    let ticks = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// A line of `/proc/self/status`, in KiB; 0 where there is none.
fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

/// The middle of an odd number of values, the upper one of an even number.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
