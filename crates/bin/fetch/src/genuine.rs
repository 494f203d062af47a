//! What is no dump at all, whatever it is called: empty objects, and the pages with which proxies,
//! portals and servers under maintenance answer in an object's place, with status 200.
//!
//! Only what no dump can begin with is judged. All else is for whoever loads it.

use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::Address;

/// Signs of a page, in lower case. SQL does not begin with `<`, and XML dumps have none of these.
const SIGNS: [&str; 6] = [
    "<!doctype html",
    "<html",
    "<head",
    "<body",
    "<title",
    "<error>",
];

/// Longest title of a page that is repeated to a person, in characters.
const TITLE: usize = 80;

/// Refuses what cannot be a dump. `head` is its beginning, a few hundred bytes; empty if it is empty.
///
/// # Errors
/// For a page from a web server: that the source is away, since the object itself is behind it.
/// For what is stored: bad data.
pub(crate) fn check(head: &[u8], address: &Address, object: &str) -> Result<(), Failure> {
    if head.is_empty() {
        let message = format!("take {object}: it is empty");
        return Err(Failure::new(Kind::BadData, message)
            .with_hint("whatever wrote it has failed, or is not done: store it again"));
    }
    let Some(page) = page(head) else {
        return Ok(());
    };
    if matches!(address, Address::Http { .. }) {
        let message = format!("read {object}: the answer is {page}, not the object");
        return Err(Failure::new(Kind::Unreachable, message).with_hint(
            "look at the URL and the credentials: a login, a proxy or a server under maintenance \
             answers in its place",
        ));
    }
    let message = format!("take {object}: it is {page}, no dump");
    Err(Failure::new(Kind::BadData, message)
        .with_hint("whatever wrote it was answered with a page instead of a dump: store it again"))
}

/// A page in words, if this is the beginning of one.
fn page(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let text =
        text.trim_start_matches(|letter: char| letter == '\u{feff}' || letter.is_whitespace());
    // ASCII only, so that places are the same in both.
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with('<') || !SIGNS.iter().any(|sign| lower.contains(sign)) {
        return None;
    }
    let title = lower.find("<title>").and_then(|at| {
        let title = &text[at + "<title>".len()..];
        let title = title.split('<').next()?.split_whitespace();
        let title: String = title
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(TITLE)
            .collect();
        (!title.is_empty()).then_some(title)
    });
    Some(match title {
        Some(title) => format!("a web page ({title:?})"),
        None if lower.contains("<error>") => "an error message in XML".to_owned(),
        None => "a web page".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_known_by_their_beginning_and_dumps_are_not_taken_for_one() {
        for (head, words) in [
            ("<!DOCTYPE html>\n<html lang=en>", "a web page"),
            (
                "\u{feff}  <HTML><HEAD><Title>Log\n in</Title>",
                "a web page (\"Log in\")",
            ),
            ("<!-- generated --><html>", "a web page"),
            (
                "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>",
                "an error message in XML",
            ),
        ] {
            assert_eq!(page(head.as_bytes()).as_deref(), Some(words), "{head}");
        }
        for head in [
            "-- MariaDB dump 10.19\nINSERT INTO t VALUES ('<html>');",
            "<?xml version=\"1.0\"?>\n<mysqldump xmlns:xsi=\"x\">",
            "/*M!999999\\- enable the sandbox mode */",
            "PGDMP",
            "Service unavailable",
        ] {
            assert_eq!(page(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn a_web_server_that_answers_with_a_page_is_away_and_a_stored_page_is_bad() {
        let kind = |address: &str, head: &[u8]| {
            let address = Address::parse(address).unwrap();
            check(head, &address, "it").unwrap_err().kind()
        };
        assert_eq!(kind("https://h/d.sql", b"<html>"), Kind::Unreachable);
        assert_eq!(kind("s3://b/d.sql", b"<html>"), Kind::BadData);
        assert_eq!(kind("https://h/d.sql", b""), Kind::BadData);
    }
}
