//! The part of the GraphQL language that counting and plain reading need: fields with arguments, nested.

use serde_json::{Map, Value};

/// A field with its arguments and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    /// Its name in the answer: an alias, or its own.
    pub(super) shown: String,
    pub(super) column: usize,
    pub(super) arguments: Vec<Argument>,
    pub(super) fields: Vec<Field>,
}

/// A named argument; words without quotes are texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) column: usize,
    pub(super) value: Value,
}

impl Field {
    pub(super) fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments
            .iter()
            .find(|argument| argument.name == name)
            .map(|argument| &argument.value)
    }
}

/// Where and why a query is broken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Broken {
    pub(super) column: usize,
    pub(super) message: String,
}

/// Reads a query; line ends count as blanks.
pub(super) fn parse(query: &str) -> Result<Vec<Field>, Broken> {
    let mut parser = Parser {
        query,
        letters: query.chars().collect(),
        at: 0,
        depth: 0,
    };
    if parser.peek() == Some('q') {
        parser.name()?;
        if parser.peek().is_some_and(is_letter) {
            parser.name()?;
        }
        if parser.peek() == Some('(') {
            parser.arguments()?;
        }
    }
    parser.fields()
}

struct Parser<'q> {
    query: &'q str,
    letters: Vec<char>,
    at: usize,
    depth: usize,
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        while self
            .letters
            .get(self.at)
            .is_some_and(|letter| letter.is_whitespace() || *letter == ',')
        {
            self.at += 1;
        }
        self.letters.get(self.at).copied()
    }

    fn broken(&mut self, wanted: &str) -> Broken {
        let found = self
            .peek()
            .map_or("EOF".to_owned(), |letter| letter.to_string());
        let column = self.at + 1;
        let line = self.query.lines().next().unwrap_or_default();
        let caret = " ".repeat(self.at + 3);
        let place = format!("Syntax Error GraphQL request (1:{column})");
        Broken {
            column,
            message: format!("{place} Expected {wanted}, found {found}\n\n1: {line}\n{caret}^\n"),
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), Broken> {
        match self.peek() {
            Some(found) if found == wanted => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.broken(&wanted.to_string())),
        }
    }

    fn name(&mut self) -> Result<String, Broken> {
        self.peek();
        let start = self.at;
        while self
            .letters
            .get(self.at)
            .is_some_and(|letter| is_letter(*letter))
        {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(self.letters[start..self.at].iter().collect()),
            false => Err(self.broken("Name")),
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, Broken> {
        self.depth += 1;
        if self.depth > 32 {
            return Err(self.broken("less depth"));
        }
        self.expect('{')?;
        let mut fields = Vec::new();
        while self.peek() != Some('}') {
            self.peek();
            let column = self.at + 1;
            let shown = self.name()?;
            let name = match self.peek() {
                Some(':') => {
                    self.at += 1;
                    self.name()?
                }
                _ => shown.clone(),
            };
            let arguments = if self.peek() == Some('(') {
                self.arguments()?
            } else {
                Vec::new()
            };
            let nested = if self.peek() == Some('{') {
                self.fields()?
            } else {
                Vec::new()
            };
            fields.push(Field {
                name,
                shown,
                column,
                arguments,
                fields: nested,
            });
        }
        self.at += 1;
        self.depth -= 1;
        Ok(fields)
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, Broken> {
        self.expect('(')?;
        let mut arguments = Vec::new();
        while self.peek() != Some(')') {
            self.peek();
            let column = self.at + 1;
            let name = self.name()?;
            self.expect(':')?;
            arguments.push(Argument {
                name,
                column,
                value: self.value(0)?,
            });
        }
        self.at += 1;
        Ok(arguments)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Broken> {
        match self.peek() {
            _ if depth > 32 => Err(self.broken("less depth")),
            Some('"') => self.text(),
            Some('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while self.peek() != Some(']') {
                    items.push(self.value(depth + 1)?);
                }
                self.at += 1;
                Ok(Value::Array(items))
            }
            Some('{') => {
                self.at += 1;
                let mut members = Map::new();
                while self.peek() != Some('}') {
                    let name = self.name()?;
                    self.expect(':')?;
                    members.insert(name, self.value(depth + 1)?);
                }
                self.at += 1;
                Ok(Value::Object(members))
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, Broken> {
        let start = self.at;
        let is_part = |letter: &char| is_letter(*letter) || matches!(letter, '-' | '+' | '.' | '$');
        while self.letters.get(self.at).is_some_and(is_part) {
            self.at += 1;
        }
        let word: String = self.letters[start..self.at].iter().collect();
        match word.is_empty() {
            true => Err(self.broken("Value")),
            false => Ok(serde_json::from_str(&word).unwrap_or(Value::String(word))),
        }
    }

    fn text(&mut self) -> Result<Value, Broken> {
        let start = self.at;
        self.at += 1;
        while let Some(letter) = self.letters.get(self.at) {
            self.at += if *letter == '\\' { 2 } else { 1 };
            if *letter == '"' {
                let quoted: String = self.letters[start..self.at].iter().collect();
                return Ok(serde_json::from_str(&quoted).unwrap_or_default());
            }
        }
        self.at = self.letters.len();
        Err(self.broken("String"))
    }
}
