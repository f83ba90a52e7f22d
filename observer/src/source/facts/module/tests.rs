use std::{fs, io::Cursor, os::unix::fs::symlink};

use super::*;

/// A section with its number and length.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short one");
    assert!(length < 0x80, "one byte of length");
    [&[id, length], content].concat()
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [&CORE[..], &sections.concat()].concat()
}

/// One memory of 1 to 4 pages.
fn one_to_four() -> Vec<u8> {
    section(MEMORIES, &[1, 1, 1, 4])
}

fn compiled(os: u8, machine: u8) -> Vec<u8> {
    section(CUSTOM, &[b"\x08wasmedge\x03", &[os, machine][..], &[0; 24]].concat())
}

fn imported() -> Vec<u8> {
    let function = b"\x03env\x05print\x00\x00";
    let memory = b"\x03env\x06memory\x02\x03\x01\x02";
    section(IMPORTS, &[b"\x02", &function[..], memory].concat())
}

fn parsed(bytes: &[u8]) -> Result<Module, String> {
    parse(&mut Cursor::new(bytes)).map_err(|error| error.to_string())
}

fn memory(min_pages: u64, max_pages: Option<u64>) -> LinearMemory {
    LinearMemory { min_pages, max_pages, page_bytes: 65_536, ..LinearMemory::default() }
}

#[test]
fn what_a_memory_may_grow_to() {
    assert_eq!(parsed(&module(&[one_to_four()])).unwrap().memories, [memory(1, Some(4))]);
    let without = module(&[section(MEMORIES, &[1, 0, 1])]);
    assert_eq!(parsed(&without).unwrap().memories, [memory(1, None)]);
    assert_eq!(parsed(&module(&[])).unwrap(), Module::default());
}

#[test]
fn imports_and_what_is_imported_as_memory() {
    let read = parsed(&module(&[imported()])).unwrap();
    assert_eq!(read.imports, ["env.print", "env.memory"]);
    let shared =
        LinearMemory { imported_as: Some("env.memory".to_owned()), is_shared: true, ..memory(1, Some(2)) };
    assert_eq!((read.memories, read.imports_left_out), (vec![shared], 0));
}

#[test]
fn imports_are_bounded_in_number_and_length() {
    let long = [&[0x00, 0x81, 0x01][..], &[b'x'; 129], &[0x00, 0x00]].concat();
    let many = b"\x00\x01y\x00\x00".repeat(MAX_IMPORTS + 1);
    let content = [&[u8::try_from(MAX_IMPORTS + 2).unwrap()][..], &long, &many].concat();
    let length = content.len();
    let bytes =
        module(&[[&[IMPORTS, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8], &content[..]].concat()]);
    let read = parsed(&bytes).unwrap();
    assert_eq!((read.imports.len(), read.imports_left_out), (MAX_IMPORTS, 2));
    assert!(read.imports.iter().all(|name| name == ".y"), "{:?}", read.imports);
}

#[test]
fn for_which_machine_code_was_compiled() {
    let of = |os, machine| {
        let code = parsed(&module(&[one_to_four(), compiled(os, machine)])).unwrap().ahead_of_time.unwrap();
        (code.form, code.version, code.os.unwrap(), code.machine)
    };
    let expected = |os: &str, machine: &str| (AotForm::WasmEdge, Some(3), os.to_owned(), machine.to_owned());
    assert_eq!(of(1, 1), expected("linux", "x86_64"));
    assert_eq!(of(2, 2), expected("macos", "aarch64"));
    assert_eq!(of(9, 9), expected("system 9", "machine 9"));
    let other = section(CUSTOM, b"\x04name\x03");
    assert_eq!(parsed(&module(&[other, one_to_four()])).unwrap().ahead_of_time, None);
}

#[test]
fn files_that_are_nothing_but_code() {
    let of = |data: u8, machine: [u8; 2]| {
        let head = [&ELF[..], &[2, data, 1], &[0; 11], &machine].concat();
        let read = parsed(&head).unwrap();
        (read.format, read.ahead_of_time.unwrap().machine)
    };
    assert_eq!(of(1, [183, 0]), (ModuleFormat::Elf, "aarch64".to_owned()));
    assert_eq!(of(1, [62, 0]), (ModuleFormat::Elf, "x86_64".to_owned()));
    assert_eq!(of(2, [0, 22]), (ModuleFormat::Elf, "s390x".to_owned()));
    assert_eq!(parsed(b"\x7fELF\x02").unwrap_err(), "it ends within a section");
}

#[test]
fn what_is_no_module_says_why() {
    for (bytes, why) in [
        (&b""[..], "neither a Wasm module in binary form nor compiled code"),
        (b"(module)", "neither a Wasm module in binary form nor compiled code"),
        (b"\0asm\x02\0\0\0", "neither a Wasm module in binary form nor compiled code"),
        (&module(&[vec![10, 0x7f]]), "it ends within a section"),
        (&module(&[section(MEMORIES, &[17]).iter().copied().chain([]).collect()]), "malformed"),
        (
            &module(&[section(MEMORIES, &[[17].as_slice(), &[0, 1].repeat(17)].concat())]),
            "it has more than 16",
        ),
        (&module(&[section(CUSTOM, b"\x01x").repeat(MAX_SECTIONS + 1)]), "it has more than 1024 sections"),
    ] {
        let said = parsed(bytes).unwrap_err();
        assert!(said.starts_with(why), "{bytes:?}: {said}");
    }
    let component = parsed(&COMPONENT).unwrap();
    assert_eq!(component, Module { format: ModuleFormat::Component, ..Module::default() });
}

/// Code is not read, however long: a file may be sparse.
#[test]
fn what_is_not_needed_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.wasm");
    // 1 GiB of code behind the memory, and what is compiled behind that.
    const CODE: [u8; 6] = [10, 0x80, 0x80, 0x80, 0x80, 0x04];
    let before = [module(&[one_to_four()]), CODE.to_vec()].concat();
    fs::write(&path, &before).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let end = before.len() as u64 + (1 << 30);
    std::os::unix::fs::FileExt::write_all_at(&file, &compiled(1, 2), end).unwrap();
    let read = parse(&mut File::open(&path).unwrap()).unwrap();
    assert_eq!(read.memories, [memory(1, Some(4))]);
    assert_eq!(read.ahead_of_time.unwrap().machine, "aarch64");
}

#[test]
fn whatever_is_in_a_file_it_is_read_to_an_end() {
    let whole = module(&[imported(), one_to_four(), compiled(1, 1)]);
    let read = parsed(&whole).unwrap();
    let (mut understood, mut refused) = (0, 0);
    let mut try_one = |bytes: &[u8]| match parsed(bytes) {
        Ok(_) => understood += 1,
        Err(_) => refused += 1,
    };
    for at in 0..whole.len() {
        try_one(&whole[..at]);
        for value in 0..=u8::MAX {
            let mut changed = whole.clone();
            changed[at] = value;
            try_one(&changed);
        }
    }
    assert!(understood > whole.len() && refused > whole.len(), "{understood} {refused}");
    assert_eq!(read.memories.len(), 2);
}

/// A node whose process 7 has its root in `/own`, and whose container's bundle is in `/run/b`.
fn node() -> (tempfile::TempDir, HostRoot) {
    let dir = tempfile::tempdir().unwrap();
    for path in ["proc/1", "proc/7", "own", "run/b/rootfs/data"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    symlink(dir.path().join("own"), dir.path().join("proc/7/root")).unwrap();
    symlink("/", dir.path().join("proc/7/cwd")).unwrap();
    let config = r#"{"root":{"path":"rootfs"},"process":{"cwd":"/"},"mounts":[{"destination":"/data"}]}"#;
    fs::write(dir.path().join("run/b/config.json"), config).unwrap();
    for path in ["run/b/rootfs/app.wasm", "run/b/rootfs/data/app.wasm"] {
        fs::write(dir.path().join(path), module(&[section(MEMORIES, &[1, 0, 9])])).unwrap();
    }
    let host = HostRoot::at(dir.path());
    (dir, host)
}

#[test]
fn a_module_is_read_as_its_process_sees_it() {
    let (dir, host) = node();
    let inside = |path: &str| dir.path().join("own").join(path);
    fs::write(inside("app.wasm"), module(&[one_to_four()])).unwrap();
    symlink("/app.wasm", inside("link.wasm")).unwrap();
    for path in ["/app.wasm", "app.wasm", "/link.wasm", "/../../app.wasm"] {
        assert_eq!(read(&host, 7, path, Some("/run/b")).unwrap().memories, [memory(1, Some(4))], "{path}");
    }
}

#[test]
fn a_module_of_a_process_that_is_gone_is_that_of_its_bundle() {
    let (_dir, host) = node();
    for path in ["/app.wasm", "app.wasm"] {
        assert_eq!(read(&host, 8, path, Some("/run/b")).unwrap().memories, [memory(9, None)], "{path}");
    }
    let why = |path, bundle| read(&host, 8, path, bundle).unwrap_err().to_string();
    assert!(why("/app.wasm", None).starts_with("Wasm module /app.wasm: No such file"));
    assert!(why("/data/app.wasm", Some("/run/b")).contains("what was mounted at /data"));
    assert!(why("/none.wasm", Some("/run/b")).contains("No such file"));
}
