//! Errors, plans, tables and last lines as text; nothing here writes.
//!
//! An error is one line, then what is kept, the hint, and the causes, each on a line of its own. Words of a
//! server are shown without control characters: they must not move a cursor or hide a line.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::numbers;
use super::output::{Out, Paint};
use crate::error::{Error, Result};
use crate::event::Plan;
use crate::job::{Identity, JobKind, Summary, Tally};

/// An error as the user reads it, without a line end at its end.
///
/// ```text
/// error: cannot reach Weaviate at http://localhost:8080 after 9 tries in 2m 05s: connection refused
///   kept: 41,300 of 120,000 objects of `Article` are in the archive
///   hint: start the server, then run `elysiactl jobs resume 7f3c9a1b`
///   caused by: tcp connect error
/// ```
pub fn render_error(error: &Error, paint: Paint) -> String {
    let mut lines = vec![format!(
        "{} {}",
        paint.bad("error:"),
        clean(error.message())
    )];
    if let Some(kept) = error.kept() {
        lines.push(format!("  {} {}", paint.good("kept:"), clean(kept)));
    }
    if let Some(hint) = error.hint() {
        lines.push(format!("  {} {}", paint.helpful("hint:"), clean(hint)));
    }
    lines.extend(
        causes(error)
            .iter()
            .map(|cause| format!("  caused by: {cause}")),
    );
    lines.join("\n")
}

/// The causes of an error, outermost first, without those that repeat what is said already.
pub fn causes(error: &Error) -> Vec<String> {
    let mut said = error.message().to_lowercase();
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = clean(&cause.to_string());
        let words = text
            .split(" (os error")
            .next()
            .unwrap_or(&text)
            .to_lowercase();
        if !words.is_empty() && !said.contains(&words) {
            said.push_str(&words);
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

/// Text of others on one line: control characters become spaces, and runs of them one.
pub fn clean(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.trim().to_owned();
    }
    let spaced: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A plan: its title, then names and values in two columns.
pub fn render_plan(plan: &Plan, paint: Paint) -> String {
    let mut lines = vec![paint.strong(&clean(&plan.title))];
    lines.extend(
        render_fields(&plan.fields)
            .lines()
            .map(|line| format!("  {line}")),
    );
    lines.join("\n")
}

/// Names and values, the values aligned.
pub fn render_fields(fields: &[(String, String)]) -> String {
    let width = fields
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(name, value): &(String, String)| {
        format!("{name:width$}  {}", clean(value))
            .trim_end()
            .to_owned()
    };
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What `asked` and the unfinished job differ in: one row a field, what is asked beside what the job has.
pub fn render_differences(asked: &Identity, unfinished: &Identity) -> String {
    let rows = asked
        .differences(unfinished)
        .into_iter()
        .map(|(name, ours, theirs)| vec![name, shown(&ours), shown(&theirs)]);
    render_table(&["", "this run", "unfinished job"], rows, &[])
}

fn shown(value: &str) -> String {
    if value.is_empty() {
        "-".to_owned()
    } else {
        clean(value)
    }
}

/// A table without lines: a heading, then rows; the columns of `numbers` are right-aligned.
pub fn render_table(
    heading: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    numbers: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading);
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for number in numbers {
        if let Some(column) = table.column_mut(*number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The last line of a job that is done, with its notes on lines below.
pub fn render_summary(
    kind: JobKind,
    subject: &str,
    kept: &Tally,
    summary: &Summary,
    took: Duration,
    paint: Paint,
) -> String {
    let word = match summary.exit_code {
        0 => paint.good("done:"),
        3 => paint.doubtful("done, but not complete:"),
        13 => paint.bad("difference found:"),
        _ => paint.bad("ended:"),
    };
    let mut parts = vec![numbers::counted(summary.tally.accepted, "object")];
    if kept.accepted > 0 {
        parts[0].push_str(&format!(
            " ({} in earlier runs)",
            numbers::count(kept.accepted)
        ));
    }
    if summary.tally.rejected > 0 {
        parts.push(format!(
            "{} rejected",
            numbers::count(summary.tally.rejected)
        ));
    }
    if summary.tally.bytes > 0 {
        parts.push(numbers::bytes(summary.tally.bytes));
    }
    parts.push(numbers::duration(took));
    let mut lines = vec![format!(
        "{word} {kind} of `{}`: {}",
        clean(subject),
        parts.join(", ")
    )];
    lines.extend(
        summary
            .notes
            .iter()
            .map(|note| format!("  note: {}", clean(note))),
    );
    lines.join("\n")
}

/// Prints the address of an archive alone on its line: the last act of a backup, on standard output.
pub fn print_archive(out: &Out, archive: &str) -> Result<()> {
    out.data(archive)
}

#[cfg(test)]
mod tests {
    use super::super::output::testing::{Captured, failing};
    use super::*;
    use crate::error::{IoContext, Kind};

    #[test]
    fn an_error_says_what_failed_what_is_kept_and_what_to_do() {
        let error = Error::new(
            Kind::Exhausted,
            "cannot reach Weaviate at http://localhost:8080 after 9 tries in 2m 05s: connection refused",
        )
        .with_kept("41,300 of 120,000 objects of `Article` are in the archive")
        .with_hint("start the server, then run `elysiactl jobs resume 7f3c9a1b`");
        assert_eq!(
            render_error(&error, Paint::OFF),
            "error: cannot reach Weaviate at http://localhost:8080 after 9 tries in 2m 05s: connection refused\n  \
             kept: 41,300 of 120,000 objects of `Article` are in the archive\n  \
             hint: start the server, then run `elysiactl jobs resume 7f3c9a1b`"
        );
    }

    #[test]
    fn causes_come_last_each_on_its_line_and_are_not_said_twice() {
        let inner = Error::new(Kind::Failed, "the certificate is from an unknown issuer");
        let middle = Error::new(Kind::Failed, "the TLS handshake failed").with_cause(inner);
        let error = Error::new(Kind::Failed, "cannot connect")
            .with_hint("pass --ca-cert")
            .with_cause(middle);
        assert_eq!(
            render_error(&error, Paint::OFF),
            "error: cannot connect\n  hint: pass --ca-cert\n  caused by: the TLS handshake failed\n  \
             caused by: the certificate is from an unknown issuer"
        );
        let full: std::io::Result<()> = Err(std::io::Error::from_raw_os_error(28));
        let error = full.doing(|| "cannot write `x`".into()).unwrap_err();
        assert_eq!(
            render_error(&error, Paint::OFF),
            "error: cannot write `x`: no space left on device\n  \
             hint: make room on the file system, then resume"
        );
    }

    #[test]
    fn only_the_labels_are_coloured() {
        let error = Error::new(Kind::Failed, "x").with_kept("y").with_hint("z");
        assert_eq!(
            render_error(&error, Paint { is_on: true }),
            "\u{1b}[1;31merror:\u{1b}[0m x\n  \u{1b}[1;32mkept:\u{1b}[0m y\n  \u{1b}[1;36mhint:\u{1b}[0m z"
        );
    }

    #[test]
    fn words_of_a_server_cannot_move_the_cursor() {
        let error = Error::new(Kind::Failed, "server said: \u{1b}[2Jgone\r\nerror: fake");
        assert_eq!(
            render_error(&error, Paint::OFF),
            "error: server said: [2Jgone error: fake"
        );
    }

    #[test]
    fn a_plan_is_aligned() {
        let mut plan = Plan::new("back up `Article`");
        plan.field("server", "http://localhost:8080 (flag), 1.34.0")
            .field("objects", "120,000")
            .field("tenants", "");
        assert_eq!(
            render_plan(&plan, Paint::OFF),
            "back up `Article`\n  server   http://localhost:8080 (flag), 1.34.0\n  objects  120,000\n  tenants"
        );
    }

    #[test]
    fn a_mismatch_shows_both_values_side_by_side() {
        let asked = Identity::of(JobKind::Backup, "Article", "/backups");
        let mut unfinished = asked.clone();
        unfinished.compression = "gzip".into();
        unfinished.with_vectors = false;
        assert_eq!(
            render_differences(&asked, &unfinished),
            "             this run  unfinished job\n\
             vectors      yes       no\n\
             compression  -         gzip"
        );
    }

    #[test]
    fn numbers_in_a_table_are_right_aligned() {
        let rows = [
            vec!["Article".to_owned(), "120,000".to_owned()],
            vec!["B".to_owned(), "7".to_owned()],
        ];
        assert_eq!(
            render_table(&["collection", "objects"], rows, &[1]),
            "collection  objects\nArticle     120,000\nB                 7"
        );
    }

    #[test]
    fn the_last_line_says_how_it_ended() {
        let mut summary = Summary {
            exit_code: 0,
            tally: Tally {
                accepted: 120_000,
                rejected: 0,
                bytes: 1_200_000_000,
                batches: 120,
            },
            notes: vec![],
        };
        let took = Duration::from_secs(125);
        let text = |summary: &Summary, kept: u64| {
            let kept = Tally {
                accepted: kept,
                ..Tally::default()
            };
            render_summary(JobKind::Backup, "Article", &kept, summary, took, Paint::OFF)
        };
        assert_eq!(
            text(&summary, 0),
            "done: backup of `Article`: 120,000 objects, 1.2 GB, 2m 05s"
        );
        summary.exit_code = 3;
        summary.tally.rejected = 3;
        summary.notes.push("2 objects were added meanwhile".into());
        assert_eq!(
            text(&summary, 41_300),
            "done, but not complete: backup of `Article`: 120,000 objects (41,300 in earlier runs), 3 rejected, \
             1.2 GB, 2m 05s\n  note: 2 objects were added meanwhile"
        );
        summary.exit_code = 13;
        assert!(text(&summary, 0).starts_with("difference found: backup of `Article`:"));
    }

    #[test]
    fn the_archive_is_alone_on_its_line_and_a_closed_pipe_is_no_error() {
        let captured = Captured::default();
        print_archive(
            &captured.out(),
            "./backups/Article_full_20260201_103000.json",
        )
        .unwrap();
        assert_eq!(
            captured.text(),
            "./backups/Article_full_20260201_103000.json\n"
        );
        assert!(print_archive(&failing(std::io::ErrorKind::BrokenPipe), "x").is_ok());
    }
}
