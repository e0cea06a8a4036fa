//! `edgeward token`: tokens with which nodes join.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use edgeward_pki::Authority;

use crate::cli::TokenCommand;
use crate::output;
use crate::server::pki_folder;

pub(crate) async fn run(command: TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create { data_dir, ttl } => {
            output::line(authority(&data_dir)?.create_token(ttl));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The CA of a server that has been started once. A token command never makes one: nodes would not trust it.
fn authority(data_dir: &Path) -> anyhow::Result<Authority> {
    let folder = pki_folder(data_dir);
    if !folder.join("ca.crt").exists() {
        bail!("no CA in {}; start `edgeward server` there once, or name its --data-dir", folder.display());
    }
    Authority::open(&folder).with_context(|| format!("open the CA in {}", folder.display()))
}
