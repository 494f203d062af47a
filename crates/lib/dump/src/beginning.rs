//! What a file that is no SQL text is instead, told by how it begins.

/// Bytes of a file that are looked at: tar has its mark at 257.
pub(crate) const HEAD: usize = 512;

/// The mark of a byte order that some editors put before UTF-8.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes among which text has no control characters.
const EARLY: usize = 16;

/// What another kind of server's dumps look like, and what to say of them.
pub(crate) struct Stranger {
    /// Said of an archive of pg_dump.
    pub(crate) archive: &'static str,
    /// How a dump as text begins.
    pub(crate) heads: &'static [&'static str],
    /// Said of one.
    pub(crate) text: &'static str,
}

/// What it is and what to do about it; `None` where it may be SQL. `head` is [`HEAD`] bytes, fewer if the file is
/// shorter; `values` says whether the head is no more than a list of them.
pub(crate) fn no_sql(head: &[u8], stranger: &Stranger, values: bool) -> Option<&'static str> {
    let text = head.trim_ascii_start();
    let heads = stranger.heads.iter();
    let is_strangers = heads
        .map(|head| head.as_bytes())
        .any(|head| text.starts_with(head));
    Some(match head {
        // With the mark of its byte order, or without.
        [0xff, 0xfe, ..]
        | [0xfe, 0xff, ..]
        | [_, 0, 1..=127, 0, ..]
        | [0, 1..=127, 0, 1..=127, ..] => {
            "this is UTF-16 text: dump again with --result-file instead of the shell's redirection"
        }
        [b'P', b'K', 3, 4, ..] => "this is a zip archive: unpack it first, fetch does",
        [b'P', b'G', b'D', b'M', b'P', ..] => stranger.archive,
        _ if is_tar(head) => "this is a tar archive: unpack it first, fetch does",
        _ if head
            .iter()
            .take(EARLY)
            .any(|byte| matches!(byte, 0..=8 | 14..=31)) =>
        {
            "this is a binary file: give a dump as SQL text, as dump programs write it"
        }
        _ if text.starts_with(b"<") => {
            "this is a web page or XML, no SQL dump: look at what the address gives"
        }
        _ if text.starts_with(b"{") || text.starts_with(b"[") => "this is JSON, no SQL dump",
        _ if is_strangers => stranger.text,
        _ if values => "this is a list of values (CSV), no SQL dump",
        _ => return None,
    })
}

/// The names of a header are filled up with zeros; text has none.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && head[..257].contains(&0)
}
