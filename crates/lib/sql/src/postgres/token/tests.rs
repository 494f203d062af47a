use proptest::prelude::{any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

fn cut(text: &str) -> Vec<(TokenKind, String)> {
    cut_in(text, Mode::default())
}

fn cut_in(text: &str, mode: Mode) -> Vec<(TokenKind, String)> {
    tokens(text.as_bytes(), mode)
        .map(|token| (token.kind, String::from_utf8_lossy(token.text).into_owned()))
        .collect()
}

fn spaced(text: &str) -> String {
    let cut = cut(text).into_iter();
    cut.map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[test]
fn kinds() {
    use TokenKind::{
        BitString, DollarString, EscapeString, Number, Operator, Parameter, Punctuation,
        QuotedName, String, UnicodeString, Word,
    };
    let expected = [
        (Word, "a$1é"),
        (QuotedName, "\"b\"\"c\""),
        (QuotedName, "U&\"d\\0061\""),
        (String, "'it''s \\'"),
        (EscapeString, "E'it\\'s'"),
        (UnicodeString, "u&'\\0041'"),
        (BitString, "B'01'"),
        (BitString, "x'AF'"),
        (DollarString, "$$ ' $x$ $$"),
        (DollarString, "$_$ $$ $_$"),
        (Number, "1.5e-3"),
        (Number, ".5"),
        (Number, "0xAF"),
        (Number, "1_000"),
        (Parameter, "$1"),
        (Operator, "<@"),
        (Operator, ":="),
        (Punctuation, "::"),
        (Punctuation, ":"),
        (Punctuation, "["),
    ];
    let text = expected.map(|(_, text)| text).join(" ");
    let got = cut(&text);
    let got: Vec<_> = got
        .iter()
        .map(|(kind, text)| (*kind, text.as_str()))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn comments_nest_and_lines_end_at_a_carriage_return() {
    assert_eq!(spaced("a /* b /* c */ d */ e -- f\rg --\nh"), "a e g h");
    assert_eq!(spaced("a /* b /* c */"), "a");
}

#[test]
fn operators() {
    for (text, expected) in [
        ("a+-b", "a + - b"),
        ("a@-b", "a @- b"),
        ("a=--b\n-1", "a = - 1"),
        ("a*/*b*/c", "a * c"),
        ("1..2", "1 .. 2"),
        ("a.b::c[1:2]", "a . b :: c [ 1 : 2 ]"),
        ("app.+", "app . +"),
        ("f(a=>1)", "f ( a => 1 )"),
    ] {
        assert_eq!(spaced(text), expected, "{text}");
    }
}

#[test]
fn strings_go_on_behind_a_line() {
    assert_eq!(cut("'a'\n  'b'").len(), 1);
    assert_eq!(cut("'a' 'b'").len(), 2);
    // The second part is an escape string too.
    assert_eq!(cut("E'a' -- x\n 'b\\'c'").len(), 1);
    let text = b"E'a\\n'\n'\\x41\\101\\u00e9\\'' ";
    let token = tokens(text, Mode::default()).next().unwrap();
    assert_eq!(token.string().unwrap(), "a\nAAé'".as_bytes());
}

#[test]
fn a_dollar_in_a_name_opens_nothing() {
    assert_eq!(spaced("a$b$ ; b$ $ "), "a$b$ ; b$ $");
    assert_eq!(spaced("$1$$x$$"), "$1 $$x$$");
    assert_eq!(spaced("$a;$"), "$ a ; $");
}

#[test]
fn backslashes_without_conforming_strings() {
    let old = Mode {
        standard_conforming_strings: false,
    };
    assert_eq!(
        cut_in("'a\\' b'", old),
        [(TokenKind::EscapeString, "'a\\' b'".to_owned())]
    );
    assert_eq!(cut("'a\\' b").len(), 2);
}

#[test]
fn names_and_contents() {
    let first = |text: &str| {
        let mode = Mode::default();
        let token = tokens(text.as_bytes(), mode).next().unwrap();
        (token.name(), token.string())
    };
    assert_eq!(first("AbÉ").0.as_deref(), Some("abÉ"));
    assert_eq!(first("\"A\"\"b\"").0.as_deref(), Some("A\"b"));
    assert_eq!(first("U&\"d\\0061t\\+000061\"").0.as_deref(), Some("data"));
    assert_eq!(first(&"é".repeat(40)).0.unwrap(), "é".repeat(31));
    assert_eq!(first("$x$it's$x$").1.unwrap(), b"it's");
    assert_eq!(first("'it''s'").1.unwrap(), b"it's");
    assert_eq!(first("'open").1, None);
    assert_eq!(first("\"open").0, None);
    assert_eq!(first("1").0, None);
    let mode = Mode::default();
    let token = tokens(b"SeLect", mode).next().unwrap();
    assert!(token.is("SELECT"));
    assert!(!tokens(b"\"select\"", mode).next().unwrap().is("SELECT"));
}

proptest! {
    #[test]
    fn tokens_tile_the_text(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "'", "\"", "$", "$a$", "\\", "\n", " ", "--", "/*", "*/", "E'", "U&\"", "a", "1", ".", ":", "é", "-", "+", "(",
        ]), 0..24),
        noise in prop::collection::vec(any::<u8>(), 0..8),
        conforming: bool,
    ) {
        let mut text = pieces.concat().into_bytes();
        text.extend(noise);
        let mode = Mode { standard_conforming_strings: conforming };
        let mut at = 0;
        for token in tokens(&text, mode) {
            prop_assert!(token.at >= at && !token.text.is_empty());
            prop_assert_eq!(&text[token.at..token.end()], token.text);
            // Between tokens there are only blanks and comments.
            prop_assert_eq!(tokens(&text[at..token.at], mode).count(), 0);
            at = token.end();
            let _ = (token.name(), token.string());
        }
        prop_assert_eq!(tokens(&text[at..], mode).count(), 0);
    }
}
