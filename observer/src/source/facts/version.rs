//! Which version a runtime is, and with which features it was built: `RUNTIME --version`, once a binary.
//!
//! Only files of the node itself are run: the path is resolved inside the node's root, never inside a
//! container's, the file must belong to root (or to whoever runs the observer) and be writable by no other,
//! and what is run is the very file that was looked at. In a container with the node's root elsewhere the
//! child changes its root there first, as the file's libraries are there; the child is given no environment,
//! no input, 2 s and 64 KiB.

use std::{
    collections::BTreeMap, ffi::CString, fs, io, os::unix::fs::MetadataExt, path::Path, process::Stdio,
};

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat, fstat};
use tokio::{
    io::AsyncReadExt,
    process::Command,
    time::{Duration, timeout},
};

use super::{
    HostRoot, failed,
    files::{self, Last},
    procfs,
};
use crate::input::{LookupError, RuntimeVersion};

const PATIENCE: Duration = Duration::from_secs(2);
const MAX_OUTPUT: u64 = 64 << 10;
const MAX_FEATURES: usize = 64;
/// More binaries than a node has; the cache is emptied rather than grown past it.
const MAX_BINARIES: usize = 256;

/// A file in one state.
type Identity = (u64, u64, i64, i64);

/// Versions by binary.
#[derive(Debug, Default)]
pub struct Versions {
    known: BTreeMap<Identity, Result<RuntimeVersion, LookupError>>,
}

impl Versions {
    /// The version of the runtime at `exe`, a path as process `tgid` sees it.
    ///
    /// # Errors
    /// Says why it was not asked, or how it failed.
    pub async fn lookup(
        &mut self,
        host: &HostRoot,
        tgid: Option<u32>,
        exe: &str,
    ) -> Result<RuntimeVersion, LookupError> {
        let refuse = |why: String| failed(exe, format!("not asked: {why}"));
        if tgid.is_some_and(|tgid| has_other_root(host, tgid)) {
            return Err(refuse("it was executed inside another root than the node's".to_owned()));
        }
        // A relative name means something only to the process that was executed by it.
        let absolute =
            if exe.starts_with('/') { None } else { tgid.and_then(|tgid| procfs::exe(host, tgid)) };
        let exe = absolute.as_deref().unwrap_or(exe);
        let (file, stat) = locate(host, exe).map_err(|why| refuse(why.to_string()))?;
        let identity = (stat.st_dev, stat.st_ino, stat.st_mtime, stat.st_mtime_nsec as i64);
        if let Some(known) = self.known.get(&identity) {
            return known.clone();
        }
        let result = match trusted(&file, &stat) {
            Ok(()) => ask(host, &file, exe).await,
            Err(why) => Err(refuse(why.to_owned())),
        };
        if self.known.len() >= MAX_BINARIES {
            self.known.clear();
        }
        self.known.insert(identity, result.clone());
        result
    }
}

/// Whether a process that is still there sees other files than the node's.
fn has_other_root(host: &HostRoot, tgid: u32) -> bool {
    let place = |path: &Path| fs::metadata(path).ok().map(|of| (of.dev(), of.ino()));
    let own = place(&host.proc(format!("{tgid}/root")));
    own.is_some() && own != place(&host.path("/"))
}

fn locate(host: &HostRoot, exe: &str) -> io::Result<(OwnedFd, Stat)> {
    if !exe.starts_with('/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its path is not known"));
    }
    let file = files::locate(host.open_root()?, Path::new(exe), Last::Follow)?;
    let stat = fstat(&file)?;
    Ok((file, stat))
}

fn trusted(file: &OwnedFd, stat: &Stat) -> Result<(), &'static str> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_mode & 0o111 == 0 {
        Err("it is not an executable file")
    } else if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        Err("it belongs to another user, and would be run with this one's rights")
    } else if stat.st_mode & 0o022 != 0 {
        Err("others than its owner may write to it")
    } else if is_script(file) {
        Err("it is a script around another program")
    } else {
        Ok(())
    }
}

/// A script cannot be run by its handle, and says nothing of the program it stands for.
fn is_script(file: &OwnedFd) -> bool {
    let mut start = [0; 2];
    let read = fs::File::open(files::own_link(file))
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start == *b"#!"
}

async fn ask(host: &HostRoot, file: &OwnedFd, exe: &str) -> Result<RuntimeVersion, LookupError> {
    let error = |why: String| failed(format!("{exe} --version"), why);
    // By the handle: what was looked at is what is run, and no probe takes it for a runtime at work.
    let mut command = Command::new(files::own_link(file));
    command.arg0(exe).arg("--version").env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    if !host.is_slash() {
        let root = CString::new(host.path("/").into_os_string().into_encoded_bytes())
            .map_err(|why| error(why.to_string()))?;
        let enter = move || {
            rustix::process::chroot(root.as_c_str())?;
            rustix::process::chdir(c"/")?;
            Ok(())
        };
        // SAFETY: between fork and exec it makes two system calls and allocates nothing.
        unsafe { command.pre_exec(enter) };
    }
    let mut child = command.spawn().map_err(|why| error(format!("cannot be run as a program: {why}")))?;
    let stdout = child.stdout.take().ok_or_else(|| error("its output was not captured".to_owned()))?;
    let mut output = Vec::new();
    let exchange = async {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        child.wait().await
    };
    let status = timeout(PATIENCE, exchange)
        .await
        .map_err(|_| error(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|why| error(why.to_string()))?;
    if !status.success() {
        return Err(error(format!("ended with {status}")));
    }
    parse(&String::from_utf8_lossy(&output)).ok_or_else(|| error("its answer names no version".to_owned()))
}

/// `NAME version V` (crun, runc, runsc), `NAME version: V` (youki) or `NAME : V` (kata), then lines about the
/// build, where crun lists its features as `+NAME`.
pub fn parse(output: &str) -> Option<RuntimeVersion> {
    let first = output.lines().find(|line| !line.trim().is_empty())?;
    let version = match first.split_once("version") {
        Some((_, version)) => version.trim_start_matches(':'),
        None => first.split_once(':')?.1,
    };
    let version = version.split_whitespace().next()?.to_owned();
    let words = output.lines().skip(1).flat_map(str::split_whitespace);
    let features = words.filter(|word| word.starts_with('+') && word.len() <= 64).take(MAX_FEATURES);
    Some(RuntimeVersion { version, features: features.map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn answers_of_real_runtimes() {
        let crun = parse(
            "crun version 1.8.4\ncommit: 5a8fa99a5e41\nrundir: /run/crun\nspec: 1.0.0\n\
             +SYSTEMD +CAP +WASM:wasmedge +YAJL\n",
        )
        .unwrap();
        assert_eq!(crun.version, "1.8.4");
        assert_eq!(crun.features, ["+SYSTEMD", "+CAP", "+WASM:wasmedge", "+YAJL"]);
        let version = |output| parse(output).map(|parsed| parsed.version);
        let runc = "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\n";
        assert_eq!(version(runc).as_deref(), Some("1.1.5+ds1"));
        assert_eq!(version("youki version: 0.7.0\ncommit: 0.7.0-x\n").as_deref(), Some("0.7.0"));
        assert_eq!(version("kata-runtime  : 3.2.0\n   commit   : x\n").as_deref(), Some("3.2.0"));
        for nonsense in ["", "\n\n", "no", "runc version", "x:"] {
            assert_eq!(version(nonsense), None, "{nonsense:?}");
        }
    }

    #[tokio::test]
    async fn files_that_others_may_change_are_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::at(dir.path());
        let file = dir.path().join("crun");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let ask = async |mode| {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            Versions::default().lookup(&host, None, "/crun").await.unwrap_err().why
        };
        assert!(ask(0o777).await.contains("others than its owner may write"));
        assert!(ask(0o644).await.contains("not an executable file"));
        let absent = Versions::default().lookup(&host, None, "/runc").await.unwrap_err();
        assert!(absent.why.starts_with("not asked: No such file"), "{absent}");
    }

    #[tokio::test]
    async fn a_file_seen_from_inside_a_container_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/1")).unwrap();
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::create_dir_all(dir.path().join("container")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("container"), dir.path().join("proc/7/root")).unwrap();
        let host = HostRoot::at(dir.path());
        let error = Versions::default().lookup(&host, Some(7), "/crun").await.unwrap_err();
        assert!(error.why.contains("another root"), "{error}");
    }

    #[tokio::test]
    async fn a_script_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("crun"), "#!/bin/sh\ntouch ran\n").unwrap();
        fs::set_permissions(dir.path().join("crun"), Permissions::from_mode(0o755)).unwrap();
        let error = Versions::default().lookup(&HostRoot::at(dir.path()), None, "/crun").await.unwrap_err();
        assert!(error.why.contains("a script"), "{error}");
    }

    /// The machine's own crun, on the node itself and with the node's root elsewhere.
    #[tokio::test]
    async fn a_real_runtime_answers_from_either_side() {
        if !Path::new("/usr/bin/crun").exists() || !rustix::process::geteuid().is_root() {
            return crate::skips::skip(
                "a_real_runtime_answers_from_either_side",
                "needs root and /usr/bin/crun",
            );
        }
        let elsewhere = HostRoot::at("/..");
        assert!(!elsewhere.is_slash(), "it must take the way through a change of root");
        let mut versions = Versions::default();
        let there = versions.lookup(&elsewhere, None, "/usr/bin/crun").await.unwrap();
        assert!(there.version.starts_with(|first: char| first.is_ascii_digit()), "{there:?}");
        assert!(there.features.iter().any(|feature| feature == "+SECCOMP"), "{there:?}");
        let here = Versions::default().lookup(&HostRoot::at("/"), None, "/usr/bin/crun").await.unwrap();
        assert_eq!(here, there);
        let again = versions.lookup(&HostRoot::at("/"), None, "/usr/bin/crun").await.unwrap();
        assert_eq!((again, versions.known.len()), (there, 1), "one file is one entry, whatever its path");
    }
}
