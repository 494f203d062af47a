//! What every tool's help must be.

use crate::Tool;

/// Lines and columns of a screen that people have.
const SCREEN: (usize, usize) = (50, 100);

/// What a flag shows that sets nothing.
const OF_NO_SETTING: [&str; 1] = ["help-all"];

/// The tool's `--help`, after a look at its size; each flag names its variable, and `--help-all` knows
/// more flags. Returns both.
///
/// # Panics
/// When it does not fit, or a flag keeps its variable to itself.
#[must_use]
pub fn help_on_a_screen(tool: impl Fn() -> Tool) -> (String, String) {
    let help = tool().arg("--help").run().success().stdout;
    let all = tool().arg("--help-all").run().success().stdout;
    let (lines, columns) = SCREEN;
    let widest = help.lines().map(|line| line.chars().count()).max();
    assert!(
        help.lines().count() <= lines && widest <= Some(columns),
        "{} lines, {widest:?} columns:\n{help}",
        help.lines().count()
    );
    assert!(flags(&all).len() > flags(&help).len(), "{all}");
    for text in [&help, &all] {
        for flag in flags(text) {
            let name = flag.split([' ', '\n', '[']).next().unwrap_or_default();
            let variable = name.replace('-', "_").to_uppercase();
            // clap breaks long lines between any two words.
            let words = flag.split_whitespace().collect::<Vec<_>>().join(" ");
            let told = words.contains(&format!("[env: PILOTFISH_{variable}]"));
            assert!(told || OF_NO_SETTING.contains(&name), "--{flag}");
        }
    }
    assert!(help.contains("[default: "), "no defaults in:\n{help}");
    (help, all)
}

/// Each flag with its text, from its name on.
fn flags(help: &str) -> Vec<&str> {
    let options = help.split("\n\n").filter(|part| part.contains("      --"));
    options
        .flat_map(|part| part.split("\n      --").skip(1))
        .map(|flag| flag.split("\n  -").next().unwrap_or_default())
        .collect()
}
