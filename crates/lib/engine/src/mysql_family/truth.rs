//! Whether an answer is true.

use mysql_async::Value;

/// Texts that are true beside numbers: how PostgreSQL reads a boolean.
const YES: &[&str] = &["t", "true", "y", "yes", "on"];

/// As the server itself takes a value for a condition; but a text that is no number must say yes.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::NULL => false,
        Value::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            match text.parse::<f64>() {
                Ok(number) => number.is_finite() && number != 0.0,
                Err(_) => YES.iter().any(|yes| text.eq_ignore_ascii_case(yes)),
            }
        }
        Value::Int(number) => *number != 0,
        Value::UInt(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Double(number) => *number != 0.0,
        Value::Date(..) | Value::Time(..) => true,
    }
}

/// The value in words, for those who wonder why it is not true.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        value => value.as_sql(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_of_values() {
        for text in ["1", "0.5", "-1", " 2 ", "yes", "t", "TRUE"] {
            assert!(is_true(&Value::Bytes(text.into())), "{text}");
        }
        for text in ["0", "0.00", "", "-0", "no", "false", "bad", "ok", "NaN"] {
            assert!(!is_true(&Value::Bytes(text.into())), "{text}");
        }
        assert!(!is_true(&Value::NULL));
    }
}
