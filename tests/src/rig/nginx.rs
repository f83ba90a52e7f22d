//! nginx, as a real server that answers what it is told to.

use std::{fs, net::SocketAddr, path::PathBuf};

use super::Stage;

/// The configuration of one process that keeps all that it has on the stage. `words` are what a server consists of.
///
/// # Panics
/// It cannot be written.
pub fn configured(stage: &Stage, at: SocketAddr, words: &str) -> PathBuf {
    let folder = stage.path(format!("nginx-{}", at.port()));
    fs::create_dir_all(&folder).expect("a folder");
    let own = folder.display();
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {own}/{what}; "))
        .concat();
    let config = folder.join("nginx.conf");
    let text = format!(
        "user root; daemon off; master_process off; error_log stderr; pid {own}/pid; events {{}}\n\
         http {{ access_log off; {kept} server {{ listen {at}; {words} }} }}\n"
    );
    fs::write(&config, text).expect("a configuration");
    config
}
