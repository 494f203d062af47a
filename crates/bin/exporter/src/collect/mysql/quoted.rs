//! Text of users in statements.

/// A string that means the same with and without NO_BACKSLASH_ESCAPES, of which nothing is known.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        return format!("CONVERT(X'{hex}' USING utf8mb4)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_before_its_end() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), "CONVERT(X'5C27' USING utf8mb4)");
    }
}
