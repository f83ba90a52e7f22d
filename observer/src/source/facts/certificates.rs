//! Until when the certificates of the control plane and the kubelet are valid, from where distributions keep them.

use std::fs;

use super::{HostRoot, x509};
use crate::input::Certificate;

/// Where certificates of a cluster's components are: of kubeadm, K3s, RKE2, and the kubelet.
const FOLDERS: &[&str] = &[
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/etcd",
    "/var/lib/rancher/k3s/server/tls",
    "/var/lib/rancher/k3s/server/tls/etcd",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/k3s/agent/tls",
    "/var/lib/rancher/rke2/server/tls",
    "/var/lib/rancher/rke2/server/tls/etcd",
    "/var/lib/rancher/rke2/agent",
    "/var/lib/kubelet/pki",
];

/// Certificates read of a folder; none has nearly as many.
const MAX: usize = 64;

/// All that can be read and understood, by path. What is none is passed over.
pub fn read(host: &HostRoot) -> Vec<Certificate> {
    FOLDERS.iter().flat_map(|folder| of_folder(host, folder)).collect()
}

fn of_folder(host: &HostRoot, folder: &str) -> Vec<Certificate> {
    let Ok(listing) = fs::read_dir(host.path(folder)) else { return Vec::new() };
    let names = listing.filter_map(|item| item.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_in_use(name)).collect();
    names.sort();
    let paths = names.into_iter().take(MAX).map(|name| format!("{folder}/{name}"));
    paths
        .filter_map(|path| {
            let not_after = x509::not_after(&host.read(&path).ok()?)?;
            Some(Certificate { path, not_after })
        })
        .collect()
}

/// The kubelet keeps what it had before, each named by its date, beside a link to the one that it uses.
fn is_in_use(name: &str) -> bool {
    let is_former = ["kubelet-client-", "kubelet-server-"]
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    !is_former && (name.ends_with(".crt") || name.ends_with(".pem"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_in_use_is_read_and_what_is_no_certificate_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/lib/kubelet/pki");
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("kubelet-client-2026-11-22-03-02-40.pem", x509::tests::TEN_YEARS);
        write("kubelet-client-2020-11-22-03-02-40.pem", x509::tests::LONG);
        symlink("kubelet-client-2026-11-22-03-02-40.pem", folder.join("kubelet-client-current.pem")).unwrap();
        write("kubelet.key", x509::tests::LONG);
        write("kubelet.crt", "nothing of the kind");
        let read = read(&HostRoot::at(root.path()));
        let path = "/var/lib/kubelet/pki/kubelet-client-current.pem".to_owned();
        assert_eq!(read, [Certificate { path, not_after: 2_110_676_560 }]);
    }
}
