//! Embeds the kernel programs, if `cargo xtask build` has made them from today's sources; otherwise an empty
//! object and a warning. So check, clippy and unit tests need no BPF toolchain, and a stale object is never
//! shipped. Use: `aya::include_bytes_aligned!(env!("OBSERVER_BPF_OBJECT"))`.

#[path = "../xtask/src/bpf_object.rs"]
mod bpf_object;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EDGES").is_none() {
        return Ok(());
    }
    let repo =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("observer lies in the repository's root");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let embedded = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("observer-ebpf");

    // A path that does not exist would make cargo run this, and rebuild the crate, every time.
    fs::create_dir_all(bpf_object::dir(repo, &arch))?;
    println!("cargo::rerun-if-changed={}", bpf_object::dir(repo, &arch).display());
    for source in bpf_object::sources(repo)? {
        println!("cargo::rerun-if-changed={}", source.display());
    }

    match fresh_object(repo, &arch)? {
        Ok(object) => fs::write(&embedded, object)?,
        Err(why) => {
            println!(
                "cargo::warning=no kernel programs inside ({why}): to run observer, use `cargo xtask build`"
            );
            fs::write(&embedded, [])?;
        }
    }
    println!("cargo::rustc-env=OBSERVER_BPF_OBJECT={}", embedded.display());
    embed_catalogue()
}

/// The problem matrix goes into the binary as it is written: name and text of each file.
fn embed_catalogue() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|item| item.map(|item| item.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.retain(|path| path.file_stem().is_some_and(|stem| stem != "keywords"));
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path.file_name().unwrap_or_default();
        list.push_str(&format!("    ({name:?}, include_str!({path:?})),\n"));
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("catalogue.rs"), list)
}

/// The object, or why there is none to embed.
fn fresh_object(repo: &Path, arch: &str) -> io::Result<Result<Vec<u8>, &'static str>> {
    let Ok(made_of) = fs::read_to_string(bpf_object::hash_file(repo, arch)) else {
        return Ok(Err("not built yet"));
    };
    if made_of.trim() != bpf_object::hash(repo)? {
        return Ok(Err("their sources have changed"));
    }
    Ok(fs::read(bpf_object::object(repo, arch)).map_err(|_| "the object cannot be read"))
}
