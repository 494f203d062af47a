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
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("is no folder"),
        "{}",
        stderr(&output)
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn install_without_a_folder_is_a_question() {
    let folder = temporary("install-words");
    let run = |words: &[&str]| {
        let mut command = specimen(&["install"]);
        command.args(words).current_dir(&folder).output().unwrap()
    };
    for help in ["--help", "-h"] {
        let output = run(&[help]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("install DIR"), "{help}");
    }
    for words in [
        &[][..],
        &["--force"],
        &["--force", "bin"],
        &["bin", "bin2"],
        &[""],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(64), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(
            stderr(&output).contains("install DIR"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "something was made"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sigterm_ends_an_installation_and_leaves_nothing() {
    let folder = temporary("install-slow");
    let shared = folder.join("bin");
    // A program whose copy takes a while.
    let program = folder.join("large");
    fs::copy(specimen(&[]).get_program(), &program).unwrap();
    let grown = fs::OpenOptions::new().write(true).open(&program).unwrap();
    grown.set_len(2 << 30).unwrap();
    drop(grown);
    let child = Command::new(&program)
        .arg("install")
        .arg(&shared)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let child = Running(Some(child));
    let started = Instant::now();
    while fs::read_dir(&shared).map_or(0, Iterator::count) == 0 {
        assert!(started.elapsed() < PATIENCE, "no draft");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.signal(Signal::TERM);
    let output = child.end();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    assert!(stderr(&output).contains("install "), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0, "leftovers");
    fs::remove_dir_all(folder).unwrap();
}
