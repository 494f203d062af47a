//! The variables that the runtime accepts in a shared environment are those of the tools' flags.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree::sources;

const LIST: &str = "crates/lib/runtime/src/variables.rs";
const PREFIX: &str = "PILOTFISH_";

#[test]
fn every_flag_has_its_variable_on_the_list() {
    let (mut listed, mut flags) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in sources() {
        if path.ends_with(LIST) {
            listed.extend(
                text.split('"')
                    .filter(|it| it.starts_with(PREFIX))
                    .map(str::to_owned),
            );
        } else if path.starts_with("crates") && path.components().any(|it| it.as_os_str() == "src")
        {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            flags.extend(code.split("#[arg(").skip(1).filter_map(variable));
        }
    }
    let missing = flags.difference(&listed).map(|name| format!("add {name}"));
    let idle = listed
        .difference(&flags)
        .map(|name| format!("remove {name}"));
    assert_none(LIST, &missing.chain(idle).collect::<Vec<_>>());
}

/// The variable of a flag, from the text after `#[arg(`; none for an argument without `long`.
fn variable(text: &str) -> Option<String> {
    let (attribute, after) = text.split_once(")]")?;
    let value = |key: &str| {
        let (_, value) = attribute.split_once(&format!("{key} = \""))?;
        Some(value.split_once('"')?.0)
    };
    let is_flag = attribute
        .split([',', '\n'])
        .any(|part| part.trim() == "long" || part.trim().starts_with("long ="));
    if let (true, Some(name)) = (is_flag, value("env")) {
        return Some(name.to_owned());
    }
    let field = after.split_once(':')?.0.rsplit([' ', '\n', '#']).next()?;
    let name = value("long")
        .unwrap_or(field)
        .to_uppercase()
        .replace('-', "_");
    // Names that other programs gave to flags; no variable can be called so.
    (is_flag && !name.contains('.')).then(|| format!("{PREFIX}{name}"))
}
