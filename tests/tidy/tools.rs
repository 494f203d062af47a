//! Every tool is in every list of tools: a new one must not be left without an image or out of its checks.

use crate::root;

/// Where tools are listed, and how each list names them.
const LISTS: [(&str, &str); 7] = [
    ("images/build.sh", " TOOL"),
    ("images/Containerfile", "FROM base AS TOOL\n"),
    ("images/all/Cargo.toml", "pilotfish-TOOL"),
    ("images/all/src/main.rs", "Some(\"pilotfish-TOOL\")"),
    ("images/all/src/main.rs", "    \"pilotfish-TOOL\",\n"),
    ("tests/story/stage.sh", "pilotfish-TOOL:"),
    ("README.md", "TOOL"),
];

#[test]
fn every_tool_is_in_every_list() {
    let mut missing = Vec::new();
    let tools = std::fs::read_dir(root().join("crates/bin")).expect("read crates/bin");
    for tool in tools {
        let tool = tool.expect("read crates/bin").file_name();
        let tool = tool.to_str().expect("a name in UTF-8");
        for (file, spelling) in LISTS {
            let text = std::fs::read_to_string(root().join(file)).expect("read a list");
            let spelling = spelling.replace("TOOL", tool);
            // The first of a list has a quote before it.
            let first = spelling.replacen(' ', "\"", 1);
            if !text.contains(&spelling) && !text.contains(&first) {
                missing.push(format!("{file} has no {spelling:?}"));
            }
        }
    }
    crate::assert_none("tools that are not listed", &missing);
}
