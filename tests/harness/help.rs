//! What every tool's help must be.

use crate::Tool;

/// Lines and columns of a screen that people have.
const SCREEN: (usize, usize) = (50, 100);

/// The tool's `--help`, after a look at its size; `--help-all` must know more flags. Returns both.
///
/// # Panics
/// When it does not fit.
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
    let flags = |text: &str| text.matches("\n      --").count();
    assert!(flags(&all) > flags(&help), "{all}");
    assert!(
        help.contains("[env: PILOTFISH_"),
        "no variables in:\n{help}"
    );
    assert!(help.contains("[default: "), "no defaults in:\n{help}");
    (help, all)
}
