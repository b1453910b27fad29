//! Completion scripts and manual pages, made from the flags themselves.

use std::path::Path;

use clap_complete::Shell;

use crate::error::{Error, IoContext, Kind, Result};

/// The completion script of `shell`.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "elysiactl", &mut script);
    script
}

/// The manual page of a command, such as `["col", "backup"]`; the program's own if empty.
pub fn manual(path: &[String]) -> Result<Vec<u8>> {
    let mut command = named(super::command(), "elysiactl");
    for name in path {
        let below = command.find_subcommand(name).cloned().ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("there is no command `{}`", path.join(" ")),
            )
            .with_hint("`elysiactl --help` lists the commands")
        })?;
        let full = format!("{}-{}", command.get_name(), below.get_name());
        command = named(below, &full);
    }
    page(command)
}

/// Writes the pages of all commands into `folder`, which is created, and says how many.
pub fn write_manuals(folder: &Path) -> Result<usize> {
    std::fs::create_dir_all(folder).doing(|| format!("cannot create `{}`", folder.display()))?;
    write_below(named(super::command(), "elysiactl"), folder)
}

fn write_below(command: clap::Command, folder: &Path) -> Result<usize> {
    let path = folder.join(format!("{}.1", command.get_name()));
    let mut written = 1;
    for below in command.get_subcommands() {
        let full = format!("{}-{}", command.get_name(), below.get_name());
        written += write_below(named(below.clone(), &full), folder)?;
    }
    std::fs::write(&path, page(command)?).doing(|| format!("cannot write `{}`", path.display()))?;
    Ok(written)
}

// clap wants names for the life of the program; there are some twenty, made once, by a run that then ends.
fn named(command: clap::Command, name: &str) -> clap::Command {
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    command.name(name).disable_help_subcommand(true)
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .doing(|| "cannot make the manual page".to_owned())?;
    Ok(page)
}
