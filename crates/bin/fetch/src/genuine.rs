//! What is no dump at all, whatever it is called: empty objects, and the pages with which proxies,
//! portals and servers under maintenance answer in an object's place, with status 200.
//!
//! Only what no dump can begin with is judged. All else, other XML among it, is for whoever loads it.

use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::Address;

/// Longest title of a page that is repeated to a person, in characters.
const TITLE: usize = 80;

/// Refuses what cannot be a dump. `head` is its beginning, a few hundred bytes; empty if it is empty.
///
/// # Errors
/// For a page, or nothing, from a web server: that the source is away, since the object itself is
/// behind it.
/// For what is stored: bad data.
pub(crate) fn check(head: &[u8], address: &Address, object: &str) -> Result<(), Failure> {
    let from_web = matches!(address, Address::Http { .. });
    if head.is_empty() && from_web {
        let message = format!("read {object}: the answer is empty");
        return Err(Failure::new(Kind::Unreachable, message).with_hint(
            "look at the URL, and at what it names: a proxy or a cache answers in its place, or \
             whatever stores it is not done",
        ));
    }
    if head.is_empty() {
        let message = format!("take {object}: it is empty");
        return Err(Failure::new(Kind::BadData, message)
            .with_hint("whatever wrote it has failed, or is not done: store it again"));
    }
    let Some(page) = page(head) else {
        return Ok(());
    };
    if from_web {
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

/// A page in words, if this is the beginning of one: its doctype or its root element says so. What
/// elements are called further in is a dump's own affair.
fn page(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let root = after_prologue(&text)?;
    // S3 and those that speak its language answer so; XML minds the case.
    if root.starts_with("<Error>") {
        return Some("an error message in XML".to_owned());
    }
    // ASCII only, so that places are the same in both.
    let lower = root.to_ascii_lowercase();
    let rest = ["<!doctype html", "<html"]
        .iter()
        .find_map(|sign| lower.strip_prefix(sign))?;
    if !rest.starts_with(|letter: char| letter == '>' || letter.is_whitespace()) {
        return None;
    }
    Some(match title(root, &lower) {
        Some(title) => format!("a web page ({title:?})"),
        None => "a web page".to_owned(),
    })
}

/// What follows the XML declaration, instructions and comments; none if they do not end in this text.
fn after_prologue(mut text: &str) -> Option<&str> {
    loop {
        text =
            text.trim_start_matches(|letter: char| letter == '\u{feff}' || letter.is_whitespace());
        let end = if text.starts_with("<!--") {
            "-->"
        } else if text.starts_with("<?") {
            "?>"
        } else {
            return Some(text);
        };
        text = text.split_once(end)?.1;
    }
}

/// The page's title; `lower` is the page in lower case.
fn title(page: &str, lower: &str) -> Option<String> {
    let at = lower.find("<title>")? + "<title>".len();
    let words: Vec<_> = page[at..].split('<').next()?.split_whitespace().collect();
    let title: String = words.join(" ").chars().take(TITLE).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_known_by_their_beginning() {
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
            (
                "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\">",
                "a web page",
            ),
            ("<html><body>an <error> occurred", "a web page"),
        ] {
            assert_eq!(page(head.as_bytes()).as_deref(), Some(words), "{head}");
        }
    }

    #[test]
    fn dumps_and_other_xml_are_no_pages() {
        for head in [
            "-- MariaDB dump 10.19\nINSERT INTO t VALUES ('<html>');",
            "<?xml version=\"1.0\"?>\n<mysqldump xmlns:xsi=\"x\">",
            "/*M!999999\\- enable the sandbox mode */",
            "<?xml version=\"1.0\"?>\n<catalog><header><title>All books</title></header>",
            "<?xml version=\"1.0\"?><mail><head>Hello</head><body>you</body></mail>",
            "<!-- of <html> and <Error> --><mysqldump><table_data name=\"html\">",
            "<!DOCTYPE htmls><htmls>",
            "<htmls>",
            "<log>\n<Error>none</Error>",
            "PGDMP",
            "Service unavailable",
        ] {
            assert_eq!(page(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn a_web_server_that_answers_with_a_page_or_nothing_is_away_and_what_is_stored_so_is_bad() {
        let kind = |address: &str, head: &[u8]| {
            let address = Address::parse(address).unwrap();
            check(head, &address, "it").unwrap_err().kind()
        };
        assert_eq!(kind("https://h/d.sql", b"<html>"), Kind::Unreachable);
        assert_eq!(kind("s3://b/d.sql", b"<html>"), Kind::BadData);
        assert_eq!(kind("https://h/d.sql", b""), Kind::Unreachable);
        assert_eq!(kind("s3://b/d.sql", b""), Kind::BadData);
    }
}
