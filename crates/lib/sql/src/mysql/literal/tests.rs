use super::blocks::{Found, end_of_plain};
use super::plain::pass_literals;
use super::*;

fn rows(text: &str) -> Vec<Vec<Literal<'_>>> {
    let mut rows = Vec::new();
    Tuples::new(false)
        .for_each::<()>(text.as_bytes(), |literals, _| {
            rows.push(literals.to_vec());
            Ok(())
        })
        .unwrap();
    rows
}

fn string<'a>(raw: &'a str, introducer: Option<&'static str>, escaped: bool) -> Literal<'a> {
    let introducer = introducer.map(str::as_bytes);
    Literal::String {
        raw: raw.as_bytes(),
        quote: b'\'',
        introducer,
        escaped,
    }
}

#[test]
fn every_literal() {
    use Literal::{Bits, Decimal, Default, Expression, False, Float, Hex, Integer, Null, True};
    let text = r"(NULL,default, 1 ,-2,+3,1.50,-.5,7.,1e+30,-1.5E3,'a',_binary 'b\0',_utf8mb4'c',N'd','e''f',
        0x00aF,X'41',b'01',0b10,TRUE,false,NOW(),@x,1+1,'a' 'b',DEFAULT(c),-x,_utf8mb4 0x41,'x' COLLATE y,0x,'')";
    let expected = vec![
        Null,
        Default,
        Integer(b"1"),
        Integer(b"-2"),
        Integer(b"+3"),
        Decimal(b"1.50"),
        Decimal(b"-.5"),
        Decimal(b"7."),
        Float(b"1e+30"),
        Float(b"-1.5E3"),
        string("a", None, false),
        string(r"b\0", Some("_binary"), true),
        string("c", Some("_utf8mb4"), false),
        string("d", Some("N"), false),
        string("e''f", None, true),
        Hex(b"00aF"),
        Hex(b"41"),
        Bits(b"01"),
        Bits(b"10"),
        True,
        False,
        Expression(b"NOW()"),
        Expression(b"@x"),
        Expression(b"1+1"),
        Expression(b"'a' 'b'"),
        Expression(b"DEFAULT(c)"),
        Expression(b"-x"),
        Expression(b"_utf8mb4 0x41"),
        Expression(b"'x' COLLATE y"),
        Expression(b"0x"),
        string("", None, false),
    ];
    assert_eq!(rows(text), [expected]);
}

#[test]
fn lists_of_tuples() {
    assert_eq!(rows("(1),\n(2) , ()").len(), 3);
    assert_eq!(rows("").len(), 0);
    assert_eq!(rows("(f(1,')'),/* ) */ 2)")[0].len(), 2);
    let bad = |text: &str| {
        Tuples::new(false)
            .for_each::<()>(text.as_bytes(), |_, _| Ok(()))
            .unwrap_err()
    };
    assert_eq!(bad("(1) (2)"), TupleError::Malformed(4));
    assert_eq!(bad("(1"), TupleError::Malformed(2));
    assert_eq!(bad("(1,)"), TupleError::Malformed(3));
    assert_eq!(bad("(a;b)"), TupleError::Malformed(2));
    assert_eq!(
        Tuples::new(false)
            .for_each(b"(1)", |_, _| Err("stop"))
            .unwrap_err(),
        TupleError::Row("stop")
    );
}

#[test]
fn any_prefix_is_incomplete() {
    let tuple = br"(1,-2.5e-3,'a\'b''c',_binary 'x',x'00',0x1,b'1',NULL,NOW('),'),N'x',-1)";
    let count = |text| {
        let mut count = 0;
        (scan_tuple(text, 0, false, |_| count += 1), count)
    };
    assert_eq!(count(tuple), (Scan::Complete(tuple.len()), 11));
    for end in 0..tuple.len() {
        assert_eq!(count(&tuple[..end]).0, Scan::Incomplete, "cut at {end}");
    }
}

#[test]
fn escapes() {
    let value = |raw: &str, plain| {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), b'\'', plain, &mut out);
        out
    };
    assert_eq!(
        value(r"a\0\b\n\r\t\Z\\\'\%\_\qz", false),
        b"a\0\x08\n\r\t\x1a\\'\\%\\_qz"
    );
    assert_eq!(value("it''s", false), b"it's");
    assert_eq!(value(r"a\n''", true), b"a\\n'");
    assert_eq!(value(r#"say "x""#, false), b"say \"x\"");
}

fn is_plain(piece: &str) -> bool {
    let text = format!("({piece})");
    pass_literals(text.as_bytes(), 1, true) == Some(text.len())
}

proptest::proptest! {
    /// Blocks of bytes say what a walk from literal to literal does.
    #[test]
    fn blocks_find_what_a_walk_does(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "1", "-2", "12345678901234567890", "3.25", "0.1234567890123456", "7.", "NULL", "NULL", "-1", "'a'", "''", "'it''s'",
                r"'\\\\'", r"'\''", r"'),(\\\''", "'1996-03-13'", "'a text of some length, as comments are: not much of it, though'",
                "1.2.3", "N", "NUL", "NULLL", "-", "--1", ".5", "1.", "'a'1", "1'a'", "\\", "'", "(", "1)", " ", "\u{fc}", "x'00'", "/",
            ]),
            0..40,
        ),
        odd in 0..41_usize,
        separator in proptest::sample::select(vec![",", ",", ",", ",,", ""]),
        no_backslash_escapes in proptest::bool::ANY,
    ) {
        // Up to there only what is plain.
        let pieces = pieces.iter().enumerate();
        let pieces = pieces.map(|(at, piece)| if at < odd && !is_plain(piece) { "9" } else { *piece });
        let list: Vec<&str> = pieces.collect();
        let (plain, rest) = list.split_at(odd.min(list.len()));
        let text = format!("({},{})", plain.join(","), rest.join(separator)).replace(",)", ")");
        let text = format!("{text},(1,'behind it')").repeat(3) + &",(2)".repeat(20);
        let walked = pass_literals(text.as_bytes(), 1, !no_backslash_escapes);
        match end_of_plain(text.as_bytes(), 1, !no_backslash_escapes) {
            Found::End(end) => proptest::prop_assert_eq!(walked, Some(end)),
            Found::Odd => proptest::prop_assert_eq!(walked, None),
            Found::Short => proptest::prop_assert!(walked.is_none_or(|end| end + 64 > text.len())),
        }
    }

    /// What is passed over in haste is what a close look finds.
    #[test]
    fn haste_finds_what_a_close_look_does(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "1", "-2", "12345678901234567890", "3.25", ".", "-", "+", "NULL", "N", "DEFAULT", "'a'", "'it''s'", r"'\\'",
                r"'\''", "'", "\\", "'),('", "''", "x", "_binary '", " ", "\n", ",", ",", ",", ")", "(", "e5", "0x41", "/", "\u{fc}",
            ]),
            0..14,
        ),
        plain in proptest::bool::ANY,
    ) {
        let text = match plain {
            true => format!("({})", pieces.join(",")),
            false => format!("({})", pieces.concat()),
        };
        for no_backslash_escapes in [false, true] {
            for shown in 0..4 {
                let mut seen = Vec::new();
                let hasty = scan_plain_tuple(text.as_bytes(), 0, no_backslash_escapes, shown, |literal| seen.push(literal));
                let Some(end) = hasty else { continue };
                let mut all = Vec::new();
                let close = scan_tuple(text.as_bytes(), 0, no_backslash_escapes, |literal| all.push(literal));
                proptest::prop_assert_eq!(close, Scan::Complete(end));
                proptest::prop_assert_eq!(&seen[..], &all[..all.len().min(shown)]);
                let odd = all.iter().find(|literal| !matches!(
                    literal,
                    Literal::Null | Literal::Integer(_) | Literal::Decimal(_)
                        | Literal::String { quote: b'\'', introducer: None, .. }
                ));
                proptest::prop_assert_eq!(odd, None);
            }
        }
    }
}
