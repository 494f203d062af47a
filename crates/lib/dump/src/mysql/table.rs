//! What a table's definition says about its rows, and its text without what changes by itself.

use pilotfish_sql::mysql::{Name, Token, TokenKind};

use crate::marks::KeyPlaces;
use crate::mysql::phrase::{Phrase, at_commas};

/// The columns of a table as an INSERT without a column list sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    visible: Vec<String>,
    /// The AUTO_INCREMENT column.
    auto_increment: Option<String>,
    /// Columns whose default draws from a sequence (MariaDB).
    drawn: Vec<String>,
    /// The sequences they draw from.
    pub(crate) sequences: Vec<Name>,
    /// Columns came, went or changed since, one of them maybe into the place of another.
    changed: bool,
    /// What `AUTO_INCREMENT=n` said last.
    pub(crate) counter: Option<u64>,
    /// The columns of its primary key.
    primary: Vec<String>,
}

/// How an INSERT meets the AUTO_INCREMENT column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// No such column is known.
    None,
    /// The rows leave it out.
    Omitted,
    /// It is the literal at this place of each tuple.
    At(usize),
    /// It is any of them, or left out.
    Unknown,
}

/// Which rows of an INSERT draw from a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draws {
    Never,
    /// Those that say DEFAULT.
    ByDefault,
    Always,
}

/// Words that begin an element of a CREATE TABLE list which is no column, unless quoted.
const NO_COLUMN: [&str; 10] = [
    "PRIMARY",
    "KEY",
    "INDEX",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
    "VECTOR",
    "CONSTRAINT",
    "FOREIGN",
    "CHECK",
];

impl Layout {
    /// Reads the tokens of a CREATE TABLE.
    pub(crate) fn of_create(tokens: &[Token<'_>]) -> Self {
        let mut layout = Self {
            counter: counter(tokens),
            ..Self::default()
        };
        for element in at_commas(list(tokens)) {
            let mut phrase = Phrase::new(element);
            if !is_column(element) {
                layout.primary.extend(primary_key(element));
                continue;
            }
            if let Some(name) = phrase.identifier() {
                layout.add(name, phrase.rest());
            }
        }
        layout
    }

    fn add(&mut self, name: String, definition: &[Token<'_>]) {
        if definition.iter().any(|token| token.is("PRIMARY")) {
            self.primary.push(name.clone());
        }
        if definition.iter().any(|token| token.is("AUTO_INCREMENT")) {
            self.auto_increment = Some(name.clone());
        }
        let sequences = drawn_from(definition);
        if !sequences.is_empty() {
            self.drawn.push(name.clone());
            self.sequences.extend(sequences);
        }
        if !definition.iter().any(|token| token.is("INVISIBLE")) {
            self.visible.push(name);
        }
    }

    /// Follows `ALTER TABLE .. ADD | MODIFY | CHANGE column .. AUTO_INCREMENT`.
    pub(crate) fn alter(&mut self, tokens: &[Token<'_>]) {
        self.counter = counter(tokens).or(self.counter);
        self.changed |= at_commas(tokens).into_iter().any(changes_columns);
        if tokens.iter().any(|token| token.is("PRIMARY")) {
            self.primary.clear();
        }
        let sequences = drawn_from(tokens);
        if !sequences.is_empty() {
            self.changed = true;
            self.sequences.extend(sequences);
        }
        for element in at_commas(tokens) {
            let Some(at) = element.iter().position(|token| token.is("AUTO_INCREMENT")) else {
                continue;
            };
            let option = element
                .get(at + 1)
                .is_some_and(|next| next.is_punctuation(b'=') || next.kind == TokenKind::Number);
            let verb = element
                .iter()
                .position(|token| token.is("ADD") || token.is("MODIFY") || token.is("CHANGE"));
            let Some(verb) = verb.filter(|_| !option) else {
                continue;
            };
            let mut phrase = Phrase::new(&element[verb..]);
            let change = phrase.next().is_some_and(|token| token.is("CHANGE"));
            phrase.word("COLUMN");
            phrase.if_exists();
            let name = phrase.identifier();
            self.auto_increment = if change { phrase.identifier() } else { name };
        }
    }

    /// How an INSERT with these columns is numbered.
    pub(crate) fn numbering(&self, columns: Option<&[String]>) -> Numbering {
        let Some(name) = &self.auto_increment else {
            return Numbering::None;
        };
        // A list says where the column is, as long as it has not got another name.
        let place = match columns {
            None if self.changed => None,
            columns => self.place(name, columns),
        };
        match place {
            Some(place) => Numbering::At(place),
            None if self.changed => Numbering::Unknown,
            None => Numbering::Omitted,
        }
    }

    /// Which rows of an INSERT with these columns draw from a sequence.
    pub(crate) fn draws(&self, columns: Option<&[String]>) -> Draws {
        let left_out = |name: &String| self.place(name, columns).is_none();
        if self.sequences.is_empty() {
            Draws::Never
        } else if self.changed || self.drawn.iter().any(left_out) {
            Draws::Always
        } else {
            Draws::ByDefault
        }
    }

    /// The columns of the primary key; none where it is not known for sure.
    pub(crate) fn primary_key(&self) -> Vec<String> {
        match self.changed {
            true => Vec::new(),
            false => self.primary.clone(),
        }
    }

    /// Where an INSERT with these columns has the primary key.
    pub(crate) fn key_places(&self, columns: Option<&[String]>) -> KeyPlaces {
        if self.changed {
            return KeyPlaces::default();
        }
        KeyPlaces::of(&self.primary, |name| self.place(name, columns))
    }

    fn place(&self, name: &str, columns: Option<&[String]>) -> Option<usize> {
        let mut columns = columns.unwrap_or(&self.visible).iter();
        columns.position(|column| column.eq_ignore_ascii_case(name))
    }
}

/// Whether an element of an ALTER TABLE adds, drops, moves or renames columns.
fn changes_columns(element: &[Token<'_>]) -> bool {
    const OTHERS: [&str; 3] = ["PARTITION", "SYSTEM", "PERIOD"];
    let verb = element.iter().position(|token| {
        ["ADD", "DROP", "CHANGE", "MODIFY", "RENAME"]
            .iter()
            .any(|verb| token.is(verb))
    });
    let Some(verb) = verb else {
        return false;
    };
    let Some(next) = element.get(verb + 1) else {
        return false;
    };
    let column = !OTHERS.iter().chain(&NO_COLUMN).any(|word| next.is(word));
    next.is("COLUMN") || column && !element[verb].is("RENAME")
}

/// The sequences that an expression draws from: `NEXTVAL(s)`, `NEXT VALUE FOR s`, Oracle's `s.NEXTVAL`.
fn drawn_from(tokens: &[Token<'_>]) -> Vec<Name> {
    let named = |at: usize| {
        let (token, rest) = (tokens.get(at)?, tokens.get(at + 1..)?);
        let next = |place: usize, word: &str| rest.get(place).is_some_and(|token| token.is(word));
        if token.is("NEXTVAL") && rest.first().is_some_and(|next| next.is_punctuation(b'(')) {
            Phrase::new(&rest[1..]).name()
        } else if token.is("NEXT") && next(0, "VALUE") && next(1, "FOR") {
            Phrase::new(&rest[2..]).name()
        } else if token.is("NEXTVAL") && at >= 2 && tokens[at - 1].is_punctuation(b'.') {
            tokens[at - 2].name().map(Name::bare)
        } else {
            None
        }
    };
    (0..tokens.len()).filter_map(named).collect()
}

/// Servers quote a column that is named as one of these words; `period` is no reserved word.
fn is_column(element: &[Token<'_>]) -> bool {
    let is = |at: usize, word: &str| element.get(at).is_some_and(|token| token.is(word));
    let key = NO_COLUMN.iter().any(|word| is(0, word));
    let period = is(0, "PERIOD") && is(1, "FOR");
    !key && !period
}

/// The columns of `PRIMARY KEY (a, b)`, where that is what the element says; none where it takes a part of a column or
/// another order, in which no dump's rows come.
fn primary_key(element: &[Token<'_>]) -> Vec<String> {
    let begins = matches!(element, [first, second, ..] if first.is("PRIMARY") && second.is("KEY"));
    if !begins {
        return Vec::new();
    }
    let columns = at_commas(list(element)).into_iter();
    let columns: Option<Vec<String>> = columns
        .map(|column| match column {
            [name] => name.name(),
            _ => None,
        })
        .collect();
    columns.unwrap_or_default()
}

/// The tokens between the first parenthesis and the one that closes it.
fn list<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let Some(open) = tokens.iter().position(|token| token.is_punctuation(b'(')) else {
        return &[];
    };
    let mut depth = 0_u32;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is_punctuation(b'(') {
            depth += 1;
        } else if token.is_punctuation(b')') {
            depth -= 1;
            if depth == 0 {
                return &tokens[open + 1..at];
            }
        }
    }
    &tokens[open + 1..]
}

/// A statement's tokens as bytes that whitespace, comments and the `AUTO_INCREMENT=n` option do not
/// change.
pub(crate) fn canonical(tokens: &[Token<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let counter = counter_length(&tokens[at..]);
        if counter > 0 {
            at += counter;
            continue;
        }
        out.extend_from_slice(token.text);
        out.push(0x1f);
        at += 1;
    }
    out
}

/// What the last `AUTO_INCREMENT [=] n` among these tokens says.
pub(crate) fn counter(tokens: &[Token<'_>]) -> Option<u64> {
    let counters = (0..tokens.len()).rev();
    let last = counters.map(|at| (at, counter_length(&tokens[at..])));
    let (at, length) = last.into_iter().find(|(_, length)| *length > 0)?;
    let number = tokens.get(at + length - 1)?;
    std::str::from_utf8(number.text).ok()?.parse().ok()
}

/// Number of tokens of an `AUTO_INCREMENT [=] n` here.
fn counter_length(tokens: &[Token<'_>]) -> usize {
    match tokens {
        [word, number, ..] if word.is("AUTO_INCREMENT") && number.kind == TokenKind::Number => 2,
        [word, equals, number, ..]
            if word.is("AUTO_INCREMENT")
                && equals.is_punctuation(b'=')
                && number.kind == TokenKind::Number =>
        {
            3
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;
    use crate::mysql::phrase::running;

    const MYSQL: Mode = Mode::new(Flavour {
        mariadb: false,
        version: 90_700,
    });

    fn layout(text: &str) -> Layout {
        Layout::of_create(&running(text.as_bytes(), MYSQL))
    }

    #[test]
    fn numbered_columns() {
        let table = layout(
            "CREATE TABLE `t` (`a` enum('x,)','y') DEFAULT 'x', `id` int NOT NULL AUTO_INCREMENT, `c` decimal(10,2),
             PRIMARY KEY (`id`), KEY `k` (`a`,`c`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`b`)) AUTO_INCREMENT=7",
        );
        assert_eq!(table.visible, ["a", "id", "c"]);
        assert_eq!(table.numbering(None), Numbering::At(1));
        assert_eq!(
            table.numbering(Some(&["ID".into(), "a".into()])),
            Numbering::At(0)
        );
        assert_eq!(table.numbering(Some(&["a".into()])), Numbering::Omitted);
        let hidden =
            layout("CREATE TABLE t (my_row_id bigint AUTO_INCREMENT /*!80023 INVISIBLE */, a int)");
        assert_eq!(hidden.numbering(None), Numbering::Omitted);
        assert_eq!(
            layout("CREATE TABLE t (a int) AUTO_INCREMENT=5").numbering(None),
            Numbering::None
        );
        let drawn = layout("CREATE TABLE t (a int DEFAULT nextval(`d`.`s`), b int)");
        assert_eq!(drawn.numbering(None), Numbering::None);
        assert_eq!(drawn.draws(None), Draws::ByDefault);
        assert_eq!(drawn.draws(Some(&["b".into()])), Draws::Always);
        assert_eq!(drawn.sequences.len(), 1);
        for other in ["NEXT VALUE FOR s", "s.nextval"] {
            let drawn = layout(&format!("CREATE TABLE t (a int DEFAULT ({other}), b int)"));
            assert_eq!(drawn.sequences, [Name::bare("s")], "{other}");
        }
    }

    #[test]
    fn keys_that_can_be_read() {
        let places = |text: &str, columns: Option<&[String]>| {
            let key = layout(text).key_places(columns);
            (key.width(), key.places().to_vec())
        };
        let two =
            "CREATE TABLE t (v text, a int, b int, PRIMARY KEY (`b`,a) USING BTREE, KEY (v(3)))";
        assert_eq!(places(two, None), (2, vec![2, 1]));
        let listed = ["a".to_owned(), "b".to_owned()];
        assert_eq!(places(two, Some(&listed)), (2, vec![1, 0]));
        assert_eq!(places(two, Some(&listed[..1])).0, 0);
        assert_eq!(
            places("CREATE TABLE t (v int, id int PRIMARY KEY)", None),
            (1, vec![1])
        );
        for none in [
            "CREATE TABLE t (a int)",
            "CREATE TABLE t (v text, PRIMARY KEY (v(10)))",
            "CREATE TABLE t (a int, PRIMARY KEY (a DESC))",
            "CREATE TABLE t (a int, b int, c int, d int, e int, PRIMARY KEY (a,b,c,d,e))",
        ] {
            assert_eq!(places(none, None).0, 0, "{none}");
        }
    }

    #[test]
    fn columns_that_move() {
        let altered = |text: &str| {
            let mut table = layout("CREATE TABLE t (a INT, id INT AUTO_INCREMENT KEY, v INT)");
            table.alter(&running(text.as_bytes(), MYSQL));
            (
                table.numbering(None),
                table.numbering(Some(&["v".into(), "id".into()])),
            )
        };
        for text in [
            "ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE t DROP a",
            "ALTER TABLE t ADD KEY k (v), ADD b INT FIRST",
            "ALTER TABLE t ADD (b INT, c INT)",
            "ALTER TABLE t CHANGE v w INT FIRST",
            "ALTER TABLE t MODIFY COLUMN v INT FIRST",
            "ALTER TABLE t RENAME COLUMN v TO w",
        ] {
            assert_eq!(
                altered(text),
                (Numbering::Unknown, Numbering::At(1)),
                "{text}"
            );
        }
        for text in [
            "ALTER TABLE t ADD UNIQUE KEY k (v), DROP FOREIGN KEY x",
            "ALTER TABLE t RENAME KEY x TO y, AUTO_INCREMENT=5",
            "ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (5))",
        ] {
            assert_eq!(
                altered(text),
                (Numbering::At(1), Numbering::At(1)),
                "{text}"
            );
        }
    }

    #[test]
    fn numbering_that_comes_later() {
        let mut table = layout("CREATE TABLE t (id int, a int)");
        table.alter(&running(
            b"ALTER TABLE `t` MODIFY `id` int NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=5",
            MYSQL,
        ));
        let listed = ["id".to_owned(), "a".to_owned()];
        assert_eq!(table.numbering(None), Numbering::Unknown);
        assert_eq!(table.numbering(Some(&listed)), Numbering::At(0));
        table.alter(&running(
            b"ALTER TABLE t CHANGE COLUMN id a int AUTO_INCREMENT",
            MYSQL,
        ));
        assert_eq!(table.numbering(Some(&listed)), Numbering::At(1));
        assert_eq!(table.numbering(Some(&listed[..1])), Numbering::Unknown);
    }

    #[test]
    fn counters_are_no_definition() {
        let text = |text: &str| canonical(&running(text.as_bytes(), MYSQL));
        let base = text("CREATE TABLE t (a int AUTO_INCREMENT) ENGINE=InnoDB DEFAULT CHARSET=x");
        assert_eq!(
            text(
                "CREATE TABLE t (a  int AUTO_INCREMENT)\n ENGINE=InnoDB AUTO_INCREMENT=12 -- x\n DEFAULT CHARSET=x"
            ),
            base
        );
        assert_ne!(
            text("CREATE TABLE t (a int) ENGINE=InnoDB DEFAULT CHARSET=x"),
            base
        );
    }
}
