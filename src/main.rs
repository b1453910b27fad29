//! Args in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(elysiactl::cli::run().0)
}
