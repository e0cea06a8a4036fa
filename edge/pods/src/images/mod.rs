//! Images: archives made here, archives imported at start, and the rules of pulling.

mod assemble;
mod pause;
mod pull;
mod reference;
mod tar;

use std::path::PathBuf;

pub use assemble::{ImageEntry, ImageSpec, assemble};
pub(crate) use pause::PAUSE_IMAGE;
pub(crate) use pull::{ImageError, Images};

use crate::containerd::Containerd;
use crate::cri::Cri;
use crate::{Error, Options, files};

/// Puts the pause image in place and imports the archives of the images folder. An archive that cannot be read is
/// reported and left out: it must not keep the other pods of a node from running.
pub(crate) async fn import_all(options: &Options, containerd: &Containerd, cri: &Cri) -> Result<(), Error> {
    if options.containerd.socket.is_none() && cri.image(PAUSE_IMAGE).await?.is_none() {
        let archive = options.run_dir.join("pause.tar");
        files::write_atomic(&archive, &assemble(&pause::pause_spec()?)?, 0o644)?;
        containerd.import(&archive).await?;
    }
    for archive in archives(options)? {
        match containerd.import(&archive).await {
            Ok(()) => tracing::info!(archive = %archive.display(), "imported image archive"),
            Err(error) => tracing::error!(archive = %archive.display(), %error, "cannot import image archive"),
        }
    }
    Ok(())
}

fn archives(options: &Options) -> Result<Vec<PathBuf>, Error> {
    let Some(folder) = &options.images_dir else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("read", folder)(error)),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    paths.sort();
    Ok(paths)
}
