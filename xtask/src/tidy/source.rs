//! A Rust file as the checks see it: tokens with their lines, without comments, docs and tests. Owns no rule.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One token; the delimiters of a group are tokens of their own, and `::` is one.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub first_line: usize,
    pub last_line: usize,
}

#[derive(Debug)]
pub struct Source {
    /// Relative to the repository's root.
    pub path: PathBuf,
    pub text: String,
    /// Of everything but tests and docs.
    pub tokens: Vec<Token>,
    pub functions: Vec<Function>,
    /// Modules in files of their own that are built for tests only.
    test_modules: Vec<String>,
    /// Lines that hold any of `tokens`.
    pub code_lines: BTreeSet<usize>,
    /// Why it is not Rust, with the line.
    pub unreadable: Option<(usize, String)>,
}

impl Source {
    pub fn parse(path: &Path, text: String) -> Source {
        let mut source = Source {
            path: path.to_owned(),
            tokens: Vec::new(),
            functions: Vec::new(),
            test_modules: Vec::new(),
            code_lines: BTreeSet::new(),
            unreadable: None,
            text,
        };
        match source.text.parse::<TokenStream>() {
            Ok(stream) => source.flatten(stream),
            Err(error) => source.unreadable = Some((error.span().start().line, error.to_string())),
        }
        source
    }

    /// Whether the file's path begins with `folder`, or is the file of that module.
    pub fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder) || self.path == Path::new(&format!("{folder}.rs"))
    }

    fn flatten(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            match attribute(&trees[at..]) {
                Some(Attribute::Doc { length }) => at += length,
                Some(Attribute::Test) => {
                    let length = item_length(&trees[at..]);
                    self.test_modules.extend(module_in_its_own_file(&trees[at..at + length]));
                    at += length;
                }
                None => {
                    if let Some(function) = function(&trees[at..]) {
                        self.functions.push(function);
                    }
                    at += self.add(&trees[at..]);
                }
            }
        }
    }

    /// Where the files of its test modules lie: `<this>.rs`, or all below `<this>/`.
    fn test_files(&self) -> impl Iterator<Item = PathBuf> {
        let folder = match self.path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") => self.path.with_file_name(""),
            _ => self.path.with_extension(""),
        };
        self.test_modules.iter().map(move |module| folder.join(module))
    }

    /// Adds the first tree and returns how many it took.
    fn add(&mut self, trees: &[TokenTree]) -> usize {
        match trees {
            [TokenTree::Group(group), ..] => {
                self.push(&delimiter(group, true), group.span_open().start().line, 0);
                self.flatten(group.stream());
                self.push(&delimiter(group, false), group.span_close().end().line, 0);
            }
            [TokenTree::Punct(first), TokenTree::Punct(second), ..]
                if first.as_char() == ':' && second.as_char() == ':' =>
            {
                self.push("::", first.span().start().line, 0);
                return 2;
            }
            [tree, ..] => {
                let (start, end) = (tree.span().start().line, tree.span().end().line);
                self.push(&tree.to_string(), start, end - start);
            }
            [] => {}
        }
        1
    }

    fn push(&mut self, text: &str, line: usize, more_lines: usize) {
        self.code_lines.extend(line..=line + more_lines);
        self.tokens.push(Token { text: text.to_owned(), line });
    }
}

enum Attribute {
    Doc { length: usize },
    Test,
}

/// What to leave out, if these trees begin with an attribute that says so.
fn attribute(trees: &[TokenTree]) -> Option<Attribute> {
    let (group, length) = match trees {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => (group, 2),
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && bang.as_char() == '!' =>
        {
            (group, 3)
        }
        _ => return None,
    };
    let content: String = group.stream().to_string().split_whitespace().collect();
    if content.starts_with("doc=") {
        Some(Attribute::Doc { length })
    } else {
        (content == "cfg(test)" || content.starts_with("cfg(all(test,")).then_some(Attribute::Test)
    }
}

/// Trees up to the end of the item that begins here: its body, or its semicolon.
fn item_length(trees: &[TokenTree]) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    trees.iter().position(ends).map_or(trees.len(), |end| end + 1)
}

/// `mod NAME;` at the end of these trees.
fn module_in_its_own_file(item: &[TokenTree]) -> Option<String> {
    let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(_)] = item else {
        return None;
    };
    (keyword == "mod").then(|| name.to_string())
}

/// The function whose `fn` these trees begin with, if it has a body.
fn function(trees: &[TokenTree]) -> Option<Function> {
    let [TokenTree::Ident(keyword), TokenTree::Ident(name), ..] = trees else { return None };
    if keyword != "fn" {
        return None;
    }
    let TokenTree::Group(body) = &trees[item_length(trees) - 1] else { return None };
    Some(Function {
        name: name.to_string(),
        first_line: keyword.span().start().line,
        last_line: body.span_close().end().line,
    })
}

fn delimiter(group: &Group, open: bool) -> String {
    let (opening, closing) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    if open { opening } else { closing }.to_owned()
}

/// The workspace's Rust files, in order.
pub fn rust_files(root: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for package in ["observer", "observer-ebpf", "tests", "xtask"] {
        collect(root, &root.join(package), &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let tests: Vec<PathBuf> = found.iter().flat_map(Source::test_files).collect();
    for file in &mut found {
        if tests.iter().any(|test| file.path.starts_with(test) || file.path == test.with_extension("rs")) {
            *file = Source::parse(&file.path, String::new());
        }
    }
    Ok(found)
}

fn collect(root: &Path, dir: &Path, into: &mut Vec<Source>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            // A fuzz crate has a target directory of its own.
            if !path.ends_with("target") {
                collect(root, &path, into)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            into.push(Source::parse(path.strip_prefix(root)?, text));
        }
    }
    Ok(())
}
