//! Child processes: explicit arguments, never a shell.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::Error;

/// Runs a command to its end and returns what it printed.
pub(crate) async fn run(mut command: Command) -> Result<Vec<u8>, Error> {
    command.env("PATH", crate::containerd::search_path()).stdin(Stdio::null()).kill_on_drop(true);
    let program = command.as_std().get_program().to_owned();
    let output = command.output().await.map_err(|error| spawn_error(Path::new(&program), &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let arguments = command.as_std().get_args().map(|word| word.to_string_lossy());
    let words: Vec<_> = std::iter::once(program.to_string_lossy()).chain(arguments).collect();
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command { command: words.join(" "), reason: format!("{}: {reason}", output.status) })
}

/// The error of a program that could not be started.
pub(crate) fn spawn_error(program: &Path, error: &std::io::Error) -> Error {
    let program = program.display().to_string();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::NotInstalled { program };
    }
    Error::Command { command: program, reason: error.to_string() }
}
