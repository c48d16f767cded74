use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Failure, failed, http_client};
use crate::settings::Settings;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/health/ready", reachable(settings.server.listen));
    // It asks this machine, by an address that no certificate names.
    let client = http_client("http", Duration::from_secs(4)).tls_danger_accept_invalid_certs(true);
    let client = client.no_proxy().build().map_err(failed)?;
    let status = client.get(&url).send().await.map_err(failed)?.status();
    if status.is_success() { Ok(()) } else { Err(Failure::Failed(format!("{url} answers {status}"))) }
}

/// A server that listens on every address is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
