//! Whether an answer is true.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

/// Texts that are true beside numbers: how PostgreSQL reads a boolean.
const YES: &[&str] = &["t", "true", "y", "yes", "on"];

/// A value of any type, as the server sends it: in the binary form of its type.
pub(super) struct Truth {
    pub(super) is_true: bool,
    /// The value for people, as far as that is easy.
    pub(super) shown: String,
}

impl<'a> FromSql<'a> for Truth {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            is_true: is_true(kind, raw),
            shown: shown(kind, raw),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            is_true: false,
            shown: "NULL".to_owned(),
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn shown(kind: &Type, raw: &[u8]) -> String {
    let number = match *kind {
        Type::INT2 => i16::from_sql(kind, raw).map(|number| number.to_string()),
        Type::INT4 => i32::from_sql(kind, raw).map(|number| number.to_string()),
        Type::INT8 => i64::from_sql(kind, raw).map(|number| number.to_string()),
        Type::FLOAT4 => f32::from_sql(kind, raw).map(|number| number.to_string()),
        Type::FLOAT8 => f64::from_sql(kind, raw).map(|number| number.to_string()),
        Type::BOOL => bool::from_sql(kind, raw).map(|truth| truth.to_string()),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            Ok(format!("'{}'", String::from_utf8_lossy(raw)))
        }
        _ => Ok(format!("a {kind} that is not true")),
    };
    number.unwrap_or_else(|_| kind.to_string())
}

fn is_true(kind: &Type, raw: &[u8]) -> bool {
    match *kind {
        Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::XID => {
            raw.iter().any(|byte| *byte != 0)
        }
        Type::FLOAT4 => f32::from_sql(kind, raw).is_ok_and(|number| number != 0.0),
        Type::FLOAT8 => f64::from_sql(kind, raw).is_ok_and(|number| number != 0.0),
        // Digits, weight, sign, scale and then the digits: zero has none, and neither has NaN.
        Type::NUMERIC => raw.iter().take(2).any(|byte| *byte != 0),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::UNKNOWN => {
            says_yes(&String::from_utf8_lossy(raw))
        }
        _ => !raw.is_empty(),
    }
}

fn says_yes(text: &str) -> bool {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) => number.is_finite() && number != 0.0,
        Err(_) => YES.iter().any(|yes| text.eq_ignore_ascii_case(yes)),
    }
}
