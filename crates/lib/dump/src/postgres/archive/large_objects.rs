//! Statements that fill large objects.

use std::io::Write as _;

/// The mode in which `lo_open` takes bytes, from libpq's `libpq-fs.h`.
const WRITING: u32 = 0x0002_0000;

pub(super) fn begin(text: &mut Vec<u8>) {
    text.extend_from_slice(b"BEGIN;\n\n");
}

pub(super) fn open(text: &mut Vec<u8>, oid: u32) {
    // Writing to memory cannot fail.
    let _ = writeln!(text, "SELECT pg_catalog.lo_open('{oid}', {WRITING});");
}

/// Writes a piece; `plain` says that a backslash is one.
pub(super) fn write(text: &mut Vec<u8>, piece: &[u8], plain: bool) {
    let backslash = if plain { "\\" } else { "\\\\" };
    let hex = hex::encode(piece);
    let _ = writeln!(text, "SELECT pg_catalog.lowrite(0, '{backslash}x{hex}');");
}

pub(super) fn close(text: &mut Vec<u8>) {
    text.extend_from_slice(b"SELECT pg_catalog.lo_close(0);\n\n");
}

pub(super) fn end(text: &mut Vec<u8>) {
    text.extend_from_slice(b"COMMIT;\n\n");
}

/// Numbers of the large objects that an entry of many lists, one a line.
pub(super) fn listed(definition: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    definition
        .split(|byte| *byte == b'\n')
        .filter(|number| !number.is_empty())
}

/// The commands of an ACL that was written for one large object of many, for each of `numbers`.
pub(super) fn for_each<'a>(
    text: &mut Vec<u8>,
    commands: &[u8],
    numbers: &(impl Iterator<Item = &'a [u8]> + Clone),
) {
    const BEFORE: &[u8] = b"LARGE OBJECT ";
    for command in split(commands) {
        let place = memchr::memmem::find(command, BEFORE).map(|at| at + BEFORE.len());
        let Some(place) = place else {
            text.extend_from_slice(command);
            text.extend_from_slice(b";\n");
            continue;
        };
        let digits = command[place..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let behind = place + digits.count();
        for number in numbers.clone() {
            for part in [&command[..place], number, &command[behind..], b";\n"] {
                text.extend_from_slice(part);
            }
        }
        text.push(b'\n');
    }
}

/// Commands at their `;`, but not in quoted names.
fn split(commands: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in commands.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(commands[start..at].trim_ascii_start());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_given_for_each() {
        let mut text = Vec::new();
        let commands =
            b"GRANT SELECT ON LARGE OBJECT 7 TO \"a;b\";\nREVOKE ALL ON LARGE OBJECT 7 FROM c;\n";
        for_each(&mut text, commands, &listed(b"7\n8\n"));
        let expected = "GRANT SELECT ON LARGE OBJECT 7 TO \"a;b\";\nGRANT SELECT ON LARGE OBJECT 8 TO \"a;b\";\n\n\
             REVOKE ALL ON LARGE OBJECT 7 FROM c;\nREVOKE ALL ON LARGE OBJECT 8 FROM c;\n\n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }

    #[test]
    fn pieces_are_hex() {
        let mut text = Vec::new();
        open(&mut text, 16_400);
        write(&mut text, &[0, 0xff], true);
        write(&mut text, &[1], false);
        assert_eq!(
            String::from_utf8_lossy(&text),
            "SELECT pg_catalog.lo_open('16400', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00ff');\n\
             SELECT pg_catalog.lowrite(0, '\\\\x01');\n"
        );
    }
}
