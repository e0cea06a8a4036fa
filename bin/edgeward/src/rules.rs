//! placeholder
use edgeward_service::Tasks;
use std::net::SocketAddr;
use std::path::Path;
pub(crate) async fn serve(_o: crate::cli::StreamOptions, _t: Tasks) -> anyhow::Result<()> {
    Ok(())
}
pub(crate) fn hosts_of(_h: &edgeward_agent::Handle) {}
pub(crate) async fn start(_d: &Path, _a: SocketAddr, _h: (), _t: &Tasks) -> anyhow::Result<()> {
    Ok(())
}
