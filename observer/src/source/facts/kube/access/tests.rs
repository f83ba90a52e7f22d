use std::fs;

use super::*;

const PLANTED: &str = "planted-where-nobody-may-find-it";

fn access(text: &str) -> Result<Access, NoAccess> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, text).unwrap();
    Access::of_file(&path)
}

fn config(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: c, user: u, namespace: n}}\n\
         clusters:\n- name: other\n  cluster: {{server: 'https://other'}}\n- name: c\n  cluster: {{{cluster}}}\n\
         users:\n- name: u\n  user: {{{user}}}\n"
    )
}

#[test]
fn a_token_goes_nowhere_that_is_not_encrypted() {
    let found = access(&config("server: 'http://127.0.0.1:8001'", &format!("token: {PLANTED}"))).unwrap();
    assert_eq!((found.host.as_str(), found.port, found.tls.is_none()), ("127.0.0.1", 8001, true));
    assert_eq!(found.authorization(), Ok(None));
    assert!(!format!("{found:?}").contains(PLANTED));
}

#[test]
fn what_cannot_be_used_is_said_and_holds_no_secret() {
    let server = "server: 'https://127.0.0.1:6443'";
    let user = format!("token: {PLANTED}");
    for (text, says) in [
        (format!("{PLANTED}: ["), "no kubeconfig"),
        (config(server, &user).replace("current-context: a", "current-context: b"), "none of its contexts"),
        (config(&format!("{server}, insecure-skip-tls-verify: true"), &user), "insecure-skip-tls-verify"),
        (config(&format!("{server}, proxy-url: 'http://{PLANTED}'"), &user), "proxy-url"),
        (config(&format!("{server}, certificate-authority-data: '{PLANTED}'"), &user), "no base64"),
        (config(&format!("{server}, certificate-authority-data: aGVsbG8="), &user), "holds no certificate"),
        (config(&format!("{server}, certificate-authority: /no/such/file"), &user), "cannot read"),
        (config(&format!("server: 'https://me:{PLANTED}@host'"), &user), "a name or a password"),
        (config("server: 'ftp://host'", &user), "neither https nor http"),
        (config("server: 'https://host/k8s/clusters/c-1'", &user), "has a path"),
    ] {
        let error = access(&text).expect_err(&text).to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains(PLANTED), "{error}");
    }
}

#[test]
fn nothing_is_asked_where_nothing_is_named() {
    let root = tempfile::tempdir().unwrap();
    let host = HostRoot::at(root.path());
    assert!(Access::find(&Which::Off, &host).unwrap().is_none());
    assert!(Access::find(&Which::File("/no/such/file".into()), &host).is_err());
    let path = root.path().join("etc/rancher/k3s");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("k3s.yaml"), config("server: 'http://127.0.0.1:6443'", "")).unwrap();
    // What this process is given comes first.
    if env::var_os("KUBECONFIG").is_none() && env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        let found = Access::find(&Which::Auto, &host).unwrap().expect("K3s's own");
        assert_eq!(found.port, 6443);
    }
}
