//! Questions before something is destroyed or costs money, and who may answer them.
//!
//! The plan is shown first. The answer to a destructive question is the collection's name typed in full;
//! anything else, the end of input, or no terminal on standard input means no: [`Kind::Declined`], nothing
//! touched. `--force` answers in advance; `--no-input` makes every question a no. Neither lifts the protection
//! of [`refuse_protected`], which is asked first.

use std::io::{BufRead, IsTerminal, Read};
use std::sync::Mutex;

use super::output::Out;
use super::protect::refuse_protected;
use super::render::render_plan;
use crate::error::{Error, Kind, Result};
use crate::event::Plan;

/// An answer longer than this is no name.
const LONGEST_ANSWER: u64 = 4096;

/// How questions are answered in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `--force`: yes to every question of this command.
    pub force: bool,
    /// `--no-input`: no question is asked.
    pub no_input: bool,
    /// The profile's `protect` list.
    pub protect: Vec<String>,
}

/// Where answers come from.
pub struct Input {
    reader: Mutex<Box<dyn BufRead + Send>>,
    is_terminal: bool,
}

impl Input {
    /// Standard input.
    pub fn stdin() -> Self {
        let stdin = std::io::stdin();
        let is_terminal = stdin.is_terminal();
        Input::new(std::io::BufReader::new(stdin), is_terminal)
    }

    /// Answers from `reader`, which counts as a terminal or not.
    pub fn new(reader: impl BufRead + Send + 'static, is_terminal: bool) -> Self {
        Input {
            reader: Mutex::new(Box::new(reader)),
            is_terminal,
        }
    }

    // `None` is the end of input; a failed read is no answer either.
    fn line(&self) -> Option<String> {
        let mut reader = self.reader.lock().ok()?;
        let mut line = String::new();
        let read = reader
            .by_ref()
            .take(LONGEST_ANSWER)
            .read_line(&mut line)
            .ok()?;
        (read > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// Asks, on stderr. Blocks while it waits: call it from a thread that may.
pub struct Confirmer {
    policy: Policy,
    input: Input,
    out: Out,
}

impl Confirmer {
    /// Asks on `out`, listens to `input`.
    pub fn new(policy: Policy, input: Input, out: Out) -> Self {
        Confirmer { policy, input, out }
    }

    /// Refuses a protected `collection`; otherwise shows the plan and waits for the name typed in full.
    pub fn destroy(&self, plan: &Plan, collection: &str) -> Result<()> {
        refuse_protected(collection, &self.policy.protect)?;
        if self.policy.force {
            return Ok(());
        }
        self.may_ask("--force")?;
        self.show(
            plan,
            &format!("Type the collection's name, {collection}, to go on: "),
        );
        match self.input.line() {
            Some(answer) if answer == collection => Ok(()),
            Some(_) => Err(declined(&format!("the answer was not `{collection}`"))
                .with_hint("type the collection's name in full, or pass --force")),
            None => Err(declined("the input ended without an answer")
                .with_hint("pass --force to answer in advance")),
        }
    }

    /// Shows the plan and asks for a plain `yes`; `flag` is the one that would answer in advance.
    pub fn agree(&self, plan: &Plan, question: &str, flag: &str) -> Result<()> {
        self.may_ask(flag)?;
        self.show(plan, &format!("{question} Type yes to go on: "));
        match self.input.line() {
            Some(answer) if answer.eq_ignore_ascii_case("yes") => Ok(()),
            _ => Err(declined("the answer was not yes")
                .with_hint(format!("pass {flag} to answer in advance"))),
        }
    }

    fn may_ask(&self, flag: &str) -> Result<()> {
        let hint = format!("pass {flag} to answer in advance");
        if self.policy.no_input {
            return Err(declined("--no-input forbids the question").with_hint(hint));
        }
        if !self.input.is_terminal {
            return Err(declined("standard input is not a terminal").with_hint(hint));
        }
        Ok(())
    }

    fn show(&self, plan: &Plan, question: &str) {
        self.out.line(&render_plan(plan, self.out.paint()));
        self.out.text(question);
    }
}

fn declined(why: &str) -> Error {
    Error::new(Kind::Declined, format!("not confirmed: {why}")).with_kept("nothing was touched")
}

#[cfg(test)]
mod tests {
    use super::super::output::{Paint, testing::Captured};
    use super::super::render::render_error;
    use super::*;

    fn plan() -> Plan {
        let mut plan = Plan::new("clear `Article`");
        plan.field("server", "http://localhost:8080 (WEAVIATE_URL)")
            .field("objects", "120,000");
        plan
    }

    fn asked(policy: Policy, typed: &'static str, is_terminal: bool) -> (Result<()>, String) {
        let captured = Captured::default();
        let confirmer = Confirmer::new(
            policy,
            Input::new(typed.as_bytes(), is_terminal),
            captured.out(),
        );
        (confirmer.destroy(&plan(), "Article"), captured.text())
    }

    #[test]
    fn the_plan_is_shown_and_the_full_name_is_a_yes() {
        for typed in ["Article\n", "Article\r\n", "Article"] {
            let (answer, shown) = asked(Policy::default(), typed, true);
            assert!(answer.is_ok());
            assert_eq!(
                shown,
                "clear `Article`\n  server   http://localhost:8080 (WEAVIATE_URL)\n  objects  120,000\n\
                 Type the collection's name, Article, to go on: "
            );
        }
    }

    #[test]
    fn anything_else_is_a_no() {
        for typed in [
            "article\n",
            "y\n",
            "yes\n",
            "\n",
            " Article\n",
            "Article \n",
            "Articles\n",
        ] {
            let (answer, _) = asked(Policy::default(), typed, true);
            assert_eq!(
                render_error(&answer.unwrap_err(), Paint::OFF),
                "error: not confirmed: the answer was not `Article`\n  kept: nothing was touched\n  \
                 hint: type the collection's name in full, or pass --force"
            );
        }
    }

    #[test]
    fn the_end_of_input_is_a_no() {
        let error = asked(Policy::default(), "", true).0.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (
                Kind::Declined,
                "not confirmed: the input ended without an answer"
            )
        );
    }

    #[test]
    fn without_a_terminal_or_with_no_input_nothing_is_asked() {
        let piped = asked(Policy::default(), "Article\n", false);
        let no_input = Policy {
            no_input: true,
            ..Policy::default()
        };
        for (answer, shown) in [piped, asked(no_input, "Article\n", true)] {
            assert_eq!(answer.unwrap_err().kind(), Kind::Declined);
            assert_eq!(shown, "");
        }
    }

    #[test]
    fn force_skips_the_question_but_never_the_protection() {
        let force = Policy {
            force: true,
            ..Policy::default()
        };
        let (answer, shown) = asked(force.clone(), "", false);
        assert!(answer.is_ok() && shown.is_empty());
        let protecting = Policy {
            protect: vec!["Art*".into()],
            ..force
        };
        let refused = asked(protecting, "Article\n", true).0.unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
    }

    #[test]
    fn a_plain_question_wants_a_yes_and_names_its_flag() {
        let ask = |typed: &'static str| {
            let out = Captured::default();
            Confirmer::new(
                Policy::default(),
                Input::new(typed.as_bytes(), true),
                out.out(),
            )
            .agree(
                &plan(),
                "text2vec-openai will compute 120,000 vectors.",
                "--revectorize",
            )
        };
        assert!(ask("yes\n").is_ok());
        assert_eq!(
            ask("y\n").unwrap_err().hint(),
            Some("pass --revectorize to answer in advance")
        );
    }
}
