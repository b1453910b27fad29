//! A Rust source as tokens, as far as it takes to see which rooms it names.

/// A word or a sign, with its line.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// One file without comments, literals and test modules.
pub struct Source {
    /// The module that the file is, such as `["engine", "worker"]`.
    module: Vec<String>,
    tokens: Vec<Token>,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Source {
        let mut module: Vec<String> = path
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        module.pop_if(|last| last == "mod");
        let tokens = without_tests(tokens(text));
        Source { module, tokens }
    }

    /// The room that the file belongs to.
    pub fn room(&self) -> &str {
        &self.module[0]
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// True for `x` in `self.x` and `fn x`.
    pub fn is_member(&self, at: usize) -> bool {
        at > 0 && matches!(self.tokens[at - 1].text.as_str(), "." | "fn")
    }

    pub fn is_macro(&self, at: usize) -> bool {
        self.is(at + 1, "!")
    }

    /// Every room that is named, with the line.
    pub fn rooms(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        // Where inline modules end: they put the file's own module one `super` further away.
        let (mut depth, mut inline) = (0, Vec::new());
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => {
                    if at >= 2 && self.is(at - 2, "mod") {
                        inline.push((depth, self.tokens[at - 1].text.clone()));
                    }
                    depth += 1;
                }
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(begun, _)| *begun == depth);
                }
                "crate" | "self" | "super" | "elysiactl" if !self.goes_on(at) => {
                    let mut module = match self.room() {
                        "lib" | "main" => Vec::new(),
                        _ => self.module.clone(),
                    };
                    module.extend(inline.iter().map(|(_, name)| name.clone()));
                    self.follow(at, module, &mut found);
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a path or a group began before this word.
    fn goes_on(&self, at: usize) -> bool {
        if at > 0 && self.is(at - 1, "::") {
            return true;
        }
        let mut depth = 0;
        for before in (0..at).rev() {
            match self.tokens[before].text.as_str() {
                "}" => depth += 1,
                "{" if depth == 0 => return before > 0 && self.is(before - 1, "::"),
                "{" => depth -= 1,
                ";" => return false,
                _ => {}
            }
        }
        false
    }

    /// Follows a path from a word in `module` and notes the room when it comes by the root; returns where it ends.
    fn follow(
        &self,
        at: usize,
        mut module: Vec<String>,
        found: &mut Vec<(usize, String)>,
    ) -> usize {
        let Some(token) = self.tokens.get(at) else {
            return at;
        };
        match token.text.as_str() {
            "crate" | "elysiactl" => module.clear(),
            "super" => {
                module.pop();
            }
            "self" => {}
            "{" => return self.follow_group(at, &module, found),
            name => {
                if module.is_empty() {
                    found.push((token.line, name.to_owned()));
                }
                module.push(name.to_owned());
            }
        }
        if self.is(at + 1, "::") {
            self.follow(at + 2, module, found)
        } else {
            at + 1
        }
    }

    fn follow_group(
        &self,
        at: usize,
        module: &[String],
        found: &mut Vec<(usize, String)>,
    ) -> usize {
        let mut at = at + 1;
        while at < self.tokens.len() && !self.is(at, "}") {
            at = if self.is(at, ",") {
                at + 1
            } else {
                self.follow(at, module.to_vec(), found)
            };
        }
        at + 1
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == text)
    }
}

/// The files and folders of modules that exist for tests alone, as beginnings of paths.
pub fn test_modules(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let tokens = tokens(text);
        for at in (0..tokens.len()).filter(|at| is_for_tests(&tokens, *at)) {
            if let [first, name, end, ..] = &tokens[at + TEST_MARK.len()..]
                && (first.text.as_str(), end.text.as_str()) == ("mod", ";")
            {
                let folder = folder_of_modules(path);
                found.push(format!("{folder}/{}.rs", name.text));
                found.push(format!("{folder}/{}/", name.text));
            }
        }
    }
    found
}

/// Where the modules lie that a file declares: beside `mod.rs`, else in the folder of its name.
fn folder_of_modules(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    stem.strip_suffix("/mod").unwrap_or(stem)
}

const TEST_MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_for_tests(tokens: &[Token], at: usize) -> bool {
    let mark = tokens.iter().skip(at).take(TEST_MARK.len());
    mark.map(|token| token.text.as_str()).eq(TEST_MARK)
}

/// Leaves out what stands behind `#[cfg(test)]`, up to its closing brace or semicolon.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !is_for_tests(&tokens, at) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        for token in &tokens[at..] {
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

/// The words and signs of a source, `::` as one, without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < letters.len() {
        let rest = &letters[at..];
        let length = match rest {
            ['/', '/', ..] => line_comment(rest),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => text_literal(rest, 1),
            ['\'', ..] => character(rest),
            _ => raw_literal(rest).unwrap_or(0),
        };
        let length = match rest[0] {
            _ if length > 0 => length,
            letter if is_word(letter) => rest.iter().take_while(|letter| is_word(**letter)).count(),
            ':' if rest.get(1) == Some(&':') => 2,
            _ => 1,
        };
        let piece: String = rest[..length].iter().collect();
        let is_code = is_word(rest[0]) && !piece.contains('"')
            || piece == "::"
            || length == 1 && !rest[0].is_whitespace();
        if is_code {
            let text = piece.clone();
            tokens.push(Token { text, line });
        }
        line += piece.matches('\n').count();
        at += length;
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn line_comment(rest: &[char]) -> usize {
    rest.iter().take_while(|letter| **letter != '\n').count()
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a literal with escapes whose opening sign has `skip` letters.
fn text_literal(rest: &[char], skip: usize) -> usize {
    let mut at = skip;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `'x'` and `'\n'`; a lifetime is its mark alone.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => {
            3 + tail
                .iter()
                .position(|letter| *letter == '\'')
                .map_or(0, |end| end + 1)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// `b".."`, `r".."`, `r#".."#` and their kind.
fn raw_literal(rest: &[char]) -> Option<usize> {
    let prefix = rest
        .iter()
        .take_while(|letter| matches!(letter, 'b' | 'r' | 'c'))
        .count();
    if prefix == 0 || prefix > 2 {
        return None;
    }
    let is_raw = rest[..prefix].contains(&'r');
    let hashes = rest[prefix..]
        .iter()
        .take_while(|letter| **letter == '#')
        .count();
    let begin = prefix + hashes;
    if rest.get(begin) != Some(&'"') || (hashes > 0 && !is_raw) {
        return None;
    }
    if !is_raw {
        return Some(text_literal(rest, begin + 1));
    }
    let closing: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let end = (begin + 1..rest.len()).find(|at| rest[*at..].starts_with(&closing))?;
    Some(end + closing.len())
}
