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

#[test]
fn a_pipe_that_nobody_reads_is_not_waited_for() {
    let folder = temporary("unread");
    let pipe = folder.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let run = |reader: Option<&str>| {
        let mut command = specimen(&["succeed"]);
        command.arg(format!("--result-file={}", pipe.display()));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let reader = reader.map(|script| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(&pipe);
            shell.stdout(Stdio::piped()).spawn().unwrap()
        });
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let read = reader.map(|reader| reader.wait_with_output().unwrap().stdout);
        (child.wait_with_output().unwrap(), read)
    };
    let (output, _) = run(None);
    assert_eq!(output.status.code(), Some(73), "{}", stderr(&output));
    let log = stderr(&output);
    assert!(log.contains("nobody reads this pipe"), "{log}");
    // Who comes a moment later is in time.
    let (output, read) = run(Some("sleep 1; cat \"$1\""));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        String::from_utf8(read.unwrap())
            .unwrap()
            .contains("\"rows\":3")
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_disk_that_is_full_leaves_the_last_result() {
    let folder = temporary("full");
    let file = folder.join("return.json");
    fs::write(&file, "{\"before\":1}").unwrap();
    let flag = format!("--result-file={}", file.display());
    let program = specimen(&[]).get_program().to_owned();
    // No file may grow: the next best thing to a full disk.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(program)
        .args(["succeed", &flag])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"before\":1}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "leftovers");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_result_of_another_user_is_replaced_where_the_folder_allows_it() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    let folder = temporary("another-user");
    let file = folder.join("return.json");
    fs::write(&file, "{}").unwrap();
    let mode = |path: &PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&file, 0o444);
    // A program of its own, which everybody may run.
    let program = folder.join("specimen");
    fs::copy(specimen(&[]).get_program(), &program).unwrap();
    let is_root = fs::metadata(&file).unwrap().uid() == 0;
    let run = || {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(65534).gid(65534);
        }
        command
            .arg("succeed")
            .arg(format!("--result-file={}", file.display()))
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    mode(&folder, 0o777);
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(fs::read_to_string(&file).unwrap().contains("\"rows\":3"));
    // Where only the owner may replace it, that is known before the work.
    if is_root {
        fs::write(&file, "{}").unwrap();
        std::os::unix::fs::chown(&file, Some(0), Some(0)).unwrap();
        mode(&file, 0o444);
        mode(&folder, 0o1777);
        let output = run();
        assert_ne!(output.status.code(), Some(0));
        assert!(output.stdout.is_empty(), "it worked");
        assert!(
            stderr(&output).contains("--result-file"),
            "{}",
            stderr(&output)
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    }
    fs::remove_dir_all(folder).unwrap();
}
