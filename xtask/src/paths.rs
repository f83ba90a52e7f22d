//! Where things lie: the repository, its target directory, and the tools kept outside of it.

use std::{
    env,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The repository's root: of the checkout that cargo was called in, or that this was built in.
pub fn repo() -> &'static Path {
    static REPO: LazyLock<PathBuf> = LazyLock::new(|| {
        let built_in = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from);
        package.parent().map(Path::to_owned).unwrap_or(package)
    });
    &REPO
}

/// The target directory, as cargo sees it.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo().join("target"), |dir| repo().join(dir))
}

/// Tools that `setup` installs: outside the repository, so that a fresh clone finds them again.
pub fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    base.unwrap_or_else(home).join("observer")
}

/// `PATH` with the tools of [`cache`] first.
pub fn search_path() -> std::ffi::OsString {
    let own = [cache().join("bin"), cache().join("venv/bin")];
    let given = env::var_os("PATH").unwrap_or_default();
    // A bare root shell may lack sbin, where runtimes and network tools live.
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::join_paths(own.into_iter().chain(env::split_paths(&given)).chain(system)).unwrap_or(given)
}

/// The program of this name that a [`crate::cmd::Cmd`] would run.
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
