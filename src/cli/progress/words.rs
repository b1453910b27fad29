//! Events as lines for people: the same words on a terminal and in a pipe.

use std::time::Duration;

use super::super::numbers;
use super::super::output::Paint;
use super::super::render::{clean, render_error, render_plan, render_summary, render_table};
use super::{Ending, Story};
use crate::event::Event;

/// So many refused objects are shown; `rejects.jsonl` has them all.
pub const SHOWN_REJECTS: u64 = 10;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// 0, or the number of `-v`: 1 adds plans and splits, 2 every batch.
    pub verbosity: u8,
    /// Colours of the labels.
    pub paint: Paint,
}

impl Detail {
    /// The lines that an event is worth, whoever reads them. `story` has heard the event.
    pub(super) fn tell(self, event: &Event<'_>, story: &Story, now: Duration) -> Vec<String> {
        match event {
            Event::Planned(plan) if self.verbosity > 0 => vec![render_plan(plan, self.paint)],
            Event::Started { .. } if story.is_resumed => vec![self.resumed(story)],
            Event::Retry {
                doing,
                error,
                tries,
                delay,
            } => vec![format!(
                "{} {}; try {} to {} in {}",
                self.paint.doubtful("retry:"),
                clean(error.message()),
                tries + 1,
                clean(doing),
                numbers::duration(*delay)
            )],
            Event::Reject { key, reason } if story.rejects <= SHOWN_REJECTS => {
                vec![format!(
                    "{} {}: {}",
                    self.paint.bad("rejected:"),
                    clean(key),
                    clean(reason)
                )]
            }
            Event::Warning(text) => vec![format!(
                "{} {}",
                self.paint.doubtful("warning:"),
                clean(text)
            )],
            Event::Differences(differences) => vec![differing(differences)],
            Event::Note(text) => vec![format!("note: {}", clean(text))],
            Event::Stopping => {
                vec![
                    "stopping: no new work is taken, what is in flight is brought to an end"
                        .to_owned(),
                ]
            }
            Event::Finished { .. } => self.finished(story, now),
            event => self.batch(event).into_iter().collect(),
        }
    }

    fn batch(self, event: &Event<'_>) -> Option<String> {
        let is_shown = match event {
            Event::Split { .. } => self.verbosity > 0,
            _ => self.verbosity > 1,
        };
        let text = match event {
            Event::Split { parent, child } => {
                format!("lane {parent}: gave its tail to lane {child}")
            }
            Event::Fetched { lane, objects } => {
                format!(
                    "lane {lane}: read {}",
                    numbers::counted(*objects as u64, "object")
                )
            }
            Event::Intended { lane, seq } => format!("lane {lane}: batch {seq} intended"),
            Event::Applied { lane, seq } => format!("lane {lane}: batch {seq} applied"),
            Event::Committed { lane, seq, .. } => format!("lane {lane}: batch {seq} committed"),
            _ => return None,
        };
        is_shown.then_some(text)
    }

    fn resumed(self, story: &Story) -> String {
        let of_total = story
            .total
            .map(|total| format!(" of {}", numbers::count(total)));
        format!(
            "resumed: {} goes on after {}{} objects",
            story.heading(),
            numbers::count(story.done()),
            of_total.unwrap_or_default(),
        )
    }

    fn finished(self, story: &Story, now: Duration) -> Vec<String> {
        let mut lines: Vec<String> = more_rejects(story).into_iter().collect();
        if let (Some(kind), Some(summary)) = (story.kind, &story.summary) {
            let took = story.took(now);
            lines.push(render_summary(
                kind,
                &story.subject,
                &story.kept,
                summary,
                took,
                self.paint,
            ));
        }
        lines
    }

    /// The last words of a run: what was not said yet, and the error.
    pub(super) fn last_words(self, ending: &Ending<'_>, story: &Story) -> Vec<String> {
        let unsaid = if story.summary.is_none() {
            more_rejects(story)
        } else {
            None
        };
        let error = ending.error.map(|error| render_error(error, self.paint));
        unsaid.into_iter().chain(error).collect()
    }
}

fn differing(differences: &[(String, String, String)]) -> String {
    let or_dash = |text: &String| match text.is_empty() {
        true => "-".to_owned(),
        false => text.clone(),
    };
    let rows = differences
        .iter()
        .map(|(name, then, now)| vec![name.clone(), or_dash(then), or_dash(now)]);
    render_table(&["", "begun with", "asked for now"], rows, &[])
}

fn more_rejects(story: &Story) -> Option<String> {
    let more = story
        .rejects
        .checked_sub(SHOWN_REJECTS)
        .filter(|more| *more > 0)?;
    Some(format!(
        "… and {} more in rejects.jsonl",
        numbers::count(more)
    ))
}

/// Where the data stands: `34%  41,300/120,000  8,123/s  about 10s left`.
pub(super) fn standing(story: &Story, now: Duration) -> String {
    let mut parts = Vec::new();
    parts.extend(story.percent().map(|percent| format!("{percent}%")));
    parts.push(match story.total {
        Some(total) => format!("{}/{}", numbers::count(story.done()), numbers::count(total)),
        None => numbers::counted(story.done(), "object"),
    });
    parts.extend(story.rate(now).map(numbers::rate));
    parts.extend(
        story
            .left(now)
            .map(|left| format!("about {} left", numbers::duration(left))),
    );
    if story.is_stopping {
        parts.push("stopping".to_owned());
    }
    parts.join("  ")
}
