//! `install DIR`: the program puts a copy of itself into a folder that the containers of a pod share, so that
//! `kubectl exec` finds it inside a stock image, whatever else that has or lacks.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pilotfish_failure::{Context as _, Failure, Kind};

/// Bytes between two looks at whether to go on.
const CHUNK: usize = 1024 * 1024;

/// What a command line that begins with `install` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A copy in this folder.
    Into(PathBuf),
    Help,
    /// Something else: a folder would be a guess.
    Unclear,
}

/// `None` where the command line does not begin with `install`.
pub(crate) fn wanted(words: &[OsString]) -> Option<Wanted> {
    let [_, verb, rest @ ..] = words else {
        return None;
    };
    if verb != "install" {
        return None;
    }
    Some(match rest {
        [help] if help == "--help" || help == "-h" => Wanted::Help,
        [folder] if !folder.is_empty() && !folder.as_encoded_bytes().starts_with(b"-") => {
            Wanted::Into(folder.into())
        }
        _ => Wanted::Unclear,
    })
}

/// What it does, in a line.
pub(crate) fn help(program: &str) -> String {
    format!(
        "{program} install DIR puts a copy of this program into DIR, for kubectl exec in another container"
    )
}

/// Puts a copy of the running program into `folder`, in one step; returns where it is.
pub(crate) fn into(
    folder: &Path,
    program: &str,
    goes_on: impl Fn() -> bool,
) -> Result<PathBuf, Failure> {
    let place = folder.join(program);
    let doing = format!("install {}", place.display());
    if folder.exists() && !folder.is_dir() {
        let message = format!("{} is no folder", folder.display());
        return Err(Failure::new(Kind::Config, message).context(doing));
    }
    match copy(folder, &place, goes_on).context(doing.clone())? {
        true => Ok(place),
        false => Err(
            Failure::new(Kind::Cancelled, "a signal came before the copy was whole").context(doing),
        ),
    }
}

/// Whether it went on to the end.
fn copy(folder: &Path, place: &Path, goes_on: impl Fn() -> bool) -> io::Result<bool> {
    fs::create_dir_all(folder)?;
    let mut own = File::open(std::env::current_exe()?)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".install-")
        .permissions(Permissions::from_mode(0o755))
        .tempfile_in(folder)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        // Not the kernel's copy of a whole file: nothing ends that half-way.
        let read = own.read(&mut buffer)?;
        if !goes_on() {
            return Ok(false);
        }
        if read == 0 {
            break;
        }
        draft.write_all(&buffer[..read])?;
    }
    draft.as_file().sync_all()?;
    // Whatever the umask took away: the other container has another user.
    draft
        .as_file()
        .set_permissions(Permissions::from_mode(0o755))?;
    if !goes_on() {
        return Ok(false);
    }
    draft
        .persist(place)
        .map(|_| true)
        .map_err(|error| error.error)
}
