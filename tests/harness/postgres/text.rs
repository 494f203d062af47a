//! Two dumps of one database, compared.

/// A plain dump without what every new dump has anew: the key of its first and last line. Rows are in an order
/// of their own: a table has none, and a load by several connections keeps none.
#[must_use]
pub fn canonical_dump(dump: &[u8]) -> String {
    let text = String::from_utf8_lossy(dump);
    let mut lines = Vec::new();
    let mut rows = None;
    for line in text.split_inclusive('\n') {
        match rows {
            None if line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ") => {
                continue;
            }
            None if line.starts_with("COPY ") => rows = Some(lines.len() + 1),
            Some(first) if line == "\\.\n" => {
                lines[first..].sort_unstable();
                rows = None;
            }
            _ => {}
        }
        lines.push(line);
    }
    lines.concat()
}
