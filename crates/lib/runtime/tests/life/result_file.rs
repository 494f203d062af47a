//! Where the result goes, and where it cannot.

use super::*;

#[test]
fn a_result_that_has_nowhere_to_go_is_said_before_the_work() {
    let folder = temporary("nowhere");
    for path in [folder.clone(), folder.join("absent/return.json")] {
        let output = specimen(&["succeed"])
            .arg(format!("--result-file={}", path.display()))
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(0));
        let log = stderr(&output);
        assert_eq!(log.matches("ERROR").count(), 1, "{log}");
        assert!(log.contains("--result-file"), "{log}");
        assert!(output.stdout.is_empty(), "it worked");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_result_file_that_cannot_be_replaced_is_written_in_place() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = temporary("in-place");
    let pipe = folder.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    let output = specimen(&["succeed"])
        .arg(format!("--result-file={}", pipe.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(reader.join().unwrap().contains("\"rows\":3"));
    assert!(!fs::metadata(&pipe).unwrap().is_file());
    let plain = folder.join("return.json");
    let output = specimen(&["succeed"])
        .arg(format!("--result-file={}", plain.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mode = fs::metadata(&plain).unwrap().permissions().mode();
    assert_ne!(mode & 0o044, 0, "others cannot read it: {mode:o}");
    fs::remove_dir_all(folder).unwrap();
}
