//! The page, as a browser understands it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use observer::{
    output::Output,
    sink::{GroupBy, HtmlSink, Identity, Sink},
};
use observer_tests::starts;

fn write_page(folder: &Path, outputs: &[Output]) -> PathBuf {
    let path = folder.join("starts.html");
    let identity = Identity { node: None, host: "host-<1>".into() };
    let mut sink = HtmlSink::create(&path, identity, GroupBy::Image).unwrap();
    outputs.iter().for_each(|output| sink.output(output).unwrap());
    sink.finish().unwrap();
    path
}

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH")?;
    let paths = std::env::split_paths(&folders);
    paths.flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

/// The document after a browser has loaded it.
fn dom(browser: &Path, page: &Path, folder: &Path) -> String {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let dumped = folder.join("dom.html");
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", &profile, "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&dumped).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{} ended with {status}", browser.display());
            return fs::read_to_string(&dumped).unwrap();
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{} did not come to an end", browser.display());
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

#[test]
fn a_browser_shows_every_start_and_hostile_text_as_text() {
    let Some(browser) = chromium() else {
        // Past the capture of test output: a skip has to be seen.
        writeln!(io::stderr(), "SKIPPED html: no chromium on PATH, the page was not opened in a browser")
            .unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dom = dom(&browser, &write_page(folder.path(), &starts::outputs()), folder.path());

    assert_eq!(between(&dom, "<title>", "</title>"), "Container cold starts on host-&lt;1&gt;");
    let table = between(&dom, "<table class=\"starts\">", "</table>");
    assert_eq!(between(table, "<tbody>", "</tbody>").matches("<tr").count(), 5);
    assert_eq!(dom.matches("<table class=\"waterfall\">").count(), 5);
    let nginx = between(&dom, "Phases of the start of shop/web-7d9f8b6c5-x2x4z/nginx", "</table>");
    assert_eq!(between(nginx, "<tbody>", "</tbody>").matches("<tr").count(), 17, "16 phases and a gap");
    assert!(nginx.contains(">unattributed<"));
    assert!(dom.contains("execve ENOEXEC, /app.wasm, by crun[7007]"));
    assert!(dom.contains("probe memory failed: Operation not permitted"));

    assert!(dom.contains(r"\x1b[2J\x1b]0;owned\x07&lt;script&gt;alert(1)&lt;/script&gt;"));
    for element in ["<script", "<img", "<link", "<iframe", " onerror=\"", " onmouseover=\"", " src=\""] {
        assert!(!dom.contains(element), "{element} came to life");
    }
}

#[test]
fn the_page_asks_for_nothing_and_is_its_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_page(folder.path(), &starts::outputs());
    let page = fs::read_to_string(&path).unwrap();
    for request in ["http://", "https://", "url(", "@import", "<script", "<link", "src="] {
        let harmless = page.matches("&lt;img src=x").count();
        let found = page.matches(request).count() - if request == "src=" { harmless } else { 0 };
        assert_eq!(found, 0, "{request}");
    }
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_page_about_nothing_says_what_was_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = [Output::Health(starts::health()), Output::Summary(starts::summary(0, 0))];
    let page = fs::read_to_string(write_page(folder.path(), &outputs)).unwrap();
    assert!(page.contains("No starts seen."));
    assert!(page.contains("probe memory failed: Operation not permitted"));
    assert!(page.contains("watched: all containers of this node"));
}

#[test]
fn a_page_that_cannot_be_written_is_known_before_the_run() {
    let create = |path: &str| HtmlSink::create(Path::new(path), Identity::default(), GroupBy::Image);
    let error = create("/nonexistent/starts.html").err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(create("/").err().unwrap().kind(), io::ErrorKind::IsADirectory);
}
