//! Files in YAML that hold secrets: what is wrong with them is said without a word of theirs.

use serde::de::DeserializeOwned;

/// # Errors
/// The place, and what was expected there; never a value or a line of the file.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        let place = place.map(|place| format!("line {}, column {}", place.line(), place.column()));
        let place = place.unwrap_or_else(|| "somewhere".to_owned());
        let words = error.to_string();
        // Names of fields are no secrets; a value of the wrong kind, which `invalid` is about, may be one.
        let of_fields = ["unknown field", "missing field", "duplicate"];
        let tells_no_value =
            of_fields.iter().any(|kind| words.contains(kind)) && !words.contains("invalid");
        match tells_no_value {
            true => words,
            false => format!("it is not what is expected at {place}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Account {
        #[expect(dead_code, reason = "only read")]
        password: BTreeMap<String, String>,
    }

    #[test]
    fn no_mistake_tells_a_secret() {
        for text in [
            "pasword: hunter2",
            "password: hunter2",
            "password: a duplicate hunter2",
            "password: [hunter2",
            "password: {a: hunter2",
            "hunter2",
        ] {
            let why = read::<Account>(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{text}: {why}");
        }
        let why = read::<Account>("pasword: hunter2").unwrap_err();
        assert!(why.contains("pasword"), "{why}");
    }
}
