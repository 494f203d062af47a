//! Names with wildcards: `*` and `?` within one folder, `**` over any number of folders.

/// A pattern for the part of a key below the folder.
#[derive(Debug, Clone)]
pub(crate) struct Glob(String);

/// As it was typed.
impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Whether all of `name` is like the pattern. Takes time of the order of both lengths multiplied,
    /// whatever the pattern: listings are long and names are not ours.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let pattern = self.pattern();
        // reached[i]: the first i tokens match the name up to here.
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        skip_stars(&pattern, &mut reached);
        for letter in name.chars() {
            let mut next = vec![false; pattern.len() + 1];
            for (at, token) in pattern.iter().enumerate() {
                if !reached[at] {
                    continue;
                }
                match token {
                    Token::Letter(wanted) if *wanted == letter => next[at + 1] = true,
                    Token::One if letter != '/' => next[at + 1] = true,
                    Token::Star if letter != '/' => next[at] = true,
                    Token::Deep => next[at] = true,
                    _ => {}
                }
            }
            skip_stars(&pattern, &mut next);
            reached = next;
        }
        reached[pattern.len()]
    }

    fn pattern(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut letters = self.0.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '?' => tokens.push(Token::One),
                '*' if letters.peek() == Some(&'*') => {
                    letters.next();
                    // `a/**/b` matches a/b too: the slash belongs to the folders in between.
                    if letters.peek() == Some(&'/') {
                        letters.next();
                    }
                    tokens.push(Token::Deep);
                }
                '*' => tokens.push(Token::Star),
                letter => tokens.push(Token::Letter(letter)),
            }
        }
        tokens
    }
}

#[derive(Debug)]
enum Token {
    Letter(char),
    One,
    Star,
    Deep,
}

/// Stars match nothing, too.
fn skip_stars(pattern: &[Token], reached: &mut [bool]) {
    for (at, token) in pattern.iter().enumerate() {
        if reached[at] && matches!(token, Token::Star | Token::Deep) {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_in_their_folder_unless_doubled() {
        for (pattern, name, expected) in [
            ("*", "dump.sql", true),
            ("*", "old/dump.sql", false),
            ("*.sql.zst", "a.sql.zst", true),
            ("*.sql.zst", "a.sql.zst.sha256", false),
            ("dump-????.sql", "dump-2026.sql", true),
            ("**/*.sql", "a/b/c.sql", true),
            ("**/*.sql", "c.sql", true),
            ("2026*/dump.*", "2026-11-21/dump.sql", true),
            ("a*a*a*a*a*b", &"a".repeat(500), false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
