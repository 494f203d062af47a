//! `install DIR`.

use super::*;

#[test]
fn it_installs_itself() {
    let folder = temporary("install");
    let shared = folder.join("shared/bin");
    let output = specimen(&["install", shared.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let place = String::from_utf8(output.stdout).unwrap();
    let copy = Command::new(place.trim())
        .arg("--version")
        .output()
        .unwrap();
    assert!(copy.status.success(), "{}", stderr(&copy));
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 1, "leftovers");
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let output = specimen(&["install", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("install "), "{}", stderr(&output));
    fs::remove_dir_all(folder).unwrap();
}
