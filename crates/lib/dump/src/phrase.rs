//! Reading a statement word by word, whichever the dialect.

/// What a word of a statement can be asked.
pub(crate) trait Word {
    /// It is this keyword, in whatever case.
    fn is(&self, keyword: &str) -> bool;

    fn is_punctuation(&self, byte: u8) -> bool;

    /// The name that it spells, where it spells one.
    fn name(&self) -> Option<String>;
}

/// A statement's tokens without its comments, and how far they were understood. How names are put together is each
/// dialect's own.
#[derive(Debug, Clone)]
pub(crate) struct Phrase<'a, T> {
    tokens: &'a [T],
}

impl<'a, T> Phrase<'a, T> {
    pub(crate) const fn new(tokens: &'a [T]) -> Self {
        Self { tokens }
    }

    /// What is not understood yet.
    pub(crate) const fn rest(&self) -> &'a [T] {
        self.tokens
    }

    pub(crate) fn next(&mut self) -> Option<&'a T> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }
}

impl<T: Word> Phrase<'_, T> {
    pub(crate) fn at_word(&self, keyword: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(keyword))
    }

    fn take(&mut self, here: bool) -> bool {
        if here {
            self.tokens = &self.tokens[1..];
        }
        here
    }

    /// Takes the next word if it is this one.
    pub(crate) fn word(&mut self, keyword: &str) -> bool {
        self.take(self.at_word(keyword))
    }

    /// Takes these words if all of them come next.
    pub(crate) fn words(&mut self, keywords: &str) -> bool {
        let before = self.tokens;
        let all = keywords.split(' ').all(|keyword| self.word(keyword));
        if !all {
            self.tokens = before;
        }
        all
    }

    /// Takes the first of these that comes next.
    pub(crate) fn any(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|words| self.words(words))
    }

    pub(crate) fn punctuation(&mut self, byte: u8) -> bool {
        let first = self.tokens.first();
        self.take(first.is_some_and(|token| token.is_punctuation(byte)))
    }

    /// `IF EXISTS`, `IF NOT EXISTS`.
    pub(crate) fn if_exists(&mut self) {
        let _ = self.any(&["IF NOT EXISTS", "IF EXISTS"]);
    }

    /// One part of a name.
    pub(crate) fn identifier(&mut self) -> Option<String> {
        let name = self.tokens.first()?.name()?;
        self.tokens = &self.tokens[1..];
        Some(name)
    }

    /// `name, name, ..`, each as `name` reads it.
    pub(crate) fn list<N>(&mut self, name: impl Fn(&mut Self) -> Option<N>) -> Option<Vec<N>> {
        let mut names = vec![name(self)?];
        while self.punctuation(b',') {
            names.push(name(self)?);
        }
        Some(names)
    }
}

/// Cuts tokens at commas outside parentheses.
pub(crate) fn at_commas<T: Word>(tokens: &[T]) -> Vec<&[T]> {
    let mut depth = 0_i32;
    tokens
        .split(|token| {
            depth += i32::from(token.is_punctuation(b'(')) - i32::from(token.is_punctuation(b')'));
            depth == 0 && token.is_punctuation(b',')
        })
        .collect()
}
