//! What the server says about a staged table's columns, and how a literal may travel into each.
//!
//! The allow-matrix: INSERT and LOAD DATA disagree on some pairs of literal and column type without
//! a warning (`1` into ENUM, `0` into YEAR, `0x41` into INT). Only pairs that agree may go by LOAD
//! DATA; everything else goes by INSERT.

use mysql_async::Conn;
use pilotfish_sql::mysql::Literal;

use super::names::literal;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// Families of column types that take literals alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Integer,
    Decimal,
    Float,
    Text,
    /// ENUM and SET.
    Choice,
    Temporal,
    Year,
    Json,
    /// BINARY, VARBINARY and the BLOBs.
    Binary,
    /// BIT, spatial types, UUID, INET, vectors: INSERT only.
    Other,
}

impl Family {
    /// Its values are read as texts, in some character set.
    pub(super) const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Choice | Self::Temporal | Self::Json
        )
    }
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) family: Family,
    pub(super) nullable: bool,
    /// GENERATED: the server refuses or ignores values.
    pub(super) generated: bool,
    /// Left out where an INSERT names no columns.
    pub(super) invisible: bool,
    /// Neither NULL nor a default: left out, a strict INSERT is refused, LOAD DATA on MySQL is not.
    pub(super) needs_value: bool,
    /// Its values vary in length, and CHECKSUM TABLE joins them (see [`super::proof`]).
    pub(super) joined: bool,
}

/// Types of columns whose values vary in length.
const JOINED: [&str; 22] = [
    "bit",
    "blob",
    "geomcollection",
    "geometry",
    "geometrycollection",
    "json",
    "linestring",
    "longblob",
    "longtext",
    "mediumblob",
    "mediumtext",
    "multilinestring",
    "multipoint",
    "multipolygon",
    "point",
    "polygon",
    "text",
    "tinyblob",
    "tinytext",
    "varbinary",
    "varchar",
    "vector",
];

impl Column {
    /// Whether this literal means the same in a LOAD DATA field as in an INSERT.
    ///
    /// `charset` is the session's character_set_client, lower case.
    pub(super) fn takes(&self, value: &Literal<'_>, charset: &str) -> bool {
        use Family as F;
        match value {
            Literal::Null => self.nullable,
            Literal::Integer(digits) => match self.family {
                F::Integer | F::Decimal | F::Float => true,
                F::Year => digits.len() == 4 && !digits.starts_with(b"0"),
                _ => false,
            },
            Literal::Decimal(_) => matches!(self.family, F::Decimal | F::Float),
            Literal::Float(_) => self.family == F::Float,
            Literal::True | Literal::False => self.family == F::Integer,
            Literal::Hex(digits) => self.family == F::Binary && digits.len() % 2 == 0,
            Literal::String {
                raw, introducer, ..
            } => self.takes_string(raw.is_empty(), *introducer, charset),
            Literal::Default | Literal::Bits(_) | Literal::Expression(_) => false,
        }
    }

    fn takes_string(&self, empty: bool, introducer: Option<&[u8]>, charset: &str) -> bool {
        let same_charset = introducer.is_none_or(|name| {
            name.get(1..)
                .is_some_and(|name| name.eq_ignore_ascii_case(charset.as_bytes()))
        });
        match self.family {
            Family::Text => same_charset,
            Family::Json => same_charset && charset == "utf8mb4",
            // An empty field is a default of its own in LOAD DATA.
            Family::Choice | Family::Temporal => same_charset && !empty,
            Family::Binary => {
                same_charset || introducer.is_some_and(|name| name.eq_ignore_ascii_case(b"_binary"))
            }
            _ => false,
        }
    }
}

/// Reads a table's columns, in order.
pub(super) async fn read(conn: &mut Conn, schema: &str, table: &str) -> Result<Vec<Column>, Error> {
    let rows: Vec<Described> = conn
        .query(format!(
            "SELECT column_name, data_type, is_nullable, extra, column_default IS NOT NULL FROM information_schema.columns \
             WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position",
            literal(schema),
            literal(table)
        ))
        .await?;
    Ok(rows.into_iter().map(column).collect())
}

/// Name, type, whether it may be NULL, extra, whether it has a default.
type Described = (String, String, String, String, bool);

fn column((name, data_type, nullable, extra, has_default): Described) -> Column {
    let (extra, data_type) = (extra.to_ascii_uppercase(), data_type.to_ascii_lowercase());
    let nullable = nullable.eq_ignore_ascii_case("YES");
    // "DEFAULT_GENERATED" is MySQL's word for an expression default.
    let generated = extra.replace("DEFAULT_GENERATED", "").contains("GENERATED")
        || extra.contains("PERSISTENT");
    let filled = nullable || generated || has_default || extra.contains("DEFAULT_GENERATED");
    Column {
        name,
        family: family(&data_type),
        joined: JOINED.contains(&data_type.as_str()),
        nullable,
        needs_value: !filled && !extra.contains("AUTO_INCREMENT"),
        generated,
        invisible: extra.contains("INVISIBLE"),
    }
}

fn family(data_type: &str) -> Family {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Family::Integer,
        "decimal" => Family::Decimal,
        "float" | "double" => Family::Float,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Family::Text,
        "enum" | "set" => Family::Choice,
        "date" | "datetime" | "timestamp" | "time" => Family::Temporal,
        "year" => Family::Year,
        "json" => Family::Json,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Family::Binary,
        _ => Family::Other,
    }
}
