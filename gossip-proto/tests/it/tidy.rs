//! Reads the source and says what no lint can: what the core must not name, and what every room's header must say.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What never appears in the core, and why.
const BANNED: &[(&str, &str)] = &[
    ("std::", "the core is no_std"),
    ("HashMap", "its order differs from run to run, and it allocates"),
    ("HashSet", "its order differs from run to run, and it allocates"),
    (".unwrap()", "the core panics on no input"),
    (".expect(", "the core panics on no input"),
    ("panic!", "the core panics on no input"),
    ("unreachable!", "the core panics on no input"),
    ("unsafe", "the core forbids it"),
    ("println!", "the core writes no log"),
    ("f32", "no floats: they round differently on different targets"),
    ("f64", "no floats: they round differently on different targets"),
];

/// Folders whose every file is a room: its header says what it knows and what it does not know.
const ROOMS: &[&str] = &["membership", "repair", "spread", "state", "wire"];

/// Files in those folders that are no rooms but data and formats: their headers show them.
const FORMATS: &[&str] =
    &["membership/tags.rs", "state/entry.rs", "state/slot.rs", "wire/datagram.rs", "wire/message.rs"];

/// Beyond these a file or a function is named in the list of the longest; neither fails the test.
const FILE_LINES: usize = 450;
const FUNCTION_LINES: usize = 60;

#[test]
fn the_core_names_nothing_that_it_must_not() {
    let mut found = String::new();
    for (path, text) in core_files() {
        for (line, code) in code_lines(&text) {
            for (word, why) in BANNED.iter().filter(|(word, _)| names(&code, word)) {
                writeln!(found, "{}:{line}: `{word}`: {why}", path.display()).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn every_room_says_what_it_knows() {
    let mut found = String::new();
    for (path, text) in core_files() {
        let header = text.lines().map_while(|line| line.strip_prefix("//!")).collect::<String>().to_lowercase();
        if header.is_empty() {
            writeln!(found, "{}: no header", path.display()).unwrap();
        }
        let within = path.strip_prefix(source()).unwrap();
        let room = ROOMS.iter().any(|room| within.components().any(|part| part.as_os_str() == *room));
        let format = FORMATS.iter().any(|format| path.ends_with(format));
        if room && !format && !(header.contains("knows:") && header.contains("does not know")) {
            writeln!(found, "{}: the header lacks `Knows: …` or `Does not know: …`", path.display()).unwrap();
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // In two parts, or this file would name them.
    let places = [("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/Us", "ers/"), ("C:\\", "Users")];
    let places = places.map(|(head, tail)| format!("{head}{tail}"));
    let mut found = String::new();
    for path in files_below(&repository(), &["rs", "toml", "md", "sh", "run", "py", "json", "yml", "lock", ""]) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, line) in text.lines().enumerate() {
            if places.iter().any(|place| names(line, place)) {
                writeln!(found, "{}:{}: {}", path.display(), at + 1, line.trim()).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn the_longest_are_listed() {
    let (mut files, mut functions) = (Vec::new(), Vec::new());
    for path in files_below(&source(), &["rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        let short = path.strip_prefix(source()).unwrap().display().to_string();
        functions.extend(function_lengths(&text).map(|(name, lines)| (lines, format!("{short} {name}"))));
        files.push((text.lines().count(), short));
    }
    for (what, mut list, limit) in [("file", files, FILE_LINES), ("function", functions, FUNCTION_LINES)] {
        list.sort_unstable_by(|a, b| b.cmp(a));
        for (lines, name) in list.iter().take_while(|(lines, _)| *lines > limit) {
            println!("warning: {lines} lines in {what} {name}; look for the second room inside it");
        }
        let (lines, name) = &list[0];
        println!("longest {what}: {name}, {lines} lines");
    }
}

/// The files of the core, without tests, the simulator and the fuzz bodies.
fn core_files() -> Vec<(PathBuf, String)> {
    let outside = |path: &PathBuf| {
        let path = path.strip_prefix(source()).unwrap().with_extension("");
        let part = |name: &str| path.components().any(|part| part.as_os_str() == name);
        part("sim") || part("fuzzing") || part("tests") || path.to_string_lossy().ends_with("_tests")
    };
    let paths = files_below(&source(), &["rs"]).into_iter().filter(|path| !outside(path));
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files with one of these extensions, in order; build output and foreign folders are left out.
fn files_below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !["target", ".git", "corpus", "artifacts", "coverage"].contains(&&*name) {
            files.extend(files_below(&path, extensions));
        } else if path.is_file() && name != ".git" {
            let extension = path.extension().unwrap_or_default();
            if extensions.iter().any(|wanted| extension == *wanted) {
                files.push(path);
            }
        }
    }
    files
}

/// Whether `line` holds `word` and not merely as part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part) && word.starts_with(|c| part(c) || c == '/');
        let after = line[at + word.len()..].starts_with(part) && word.ends_with(part);
        !before && !after
    })
}

/// The lines of code with their numbers: no comments, no strings, nothing from the first inline test module on.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut cfg_test = false;
    for (at, line) in text.lines().enumerate() {
        let code = code_of(line);
        if cfg_test && code.trim_end().ends_with('{') && code.contains("mod ") {
            break;
        }
        cfg_test = code.contains("#[cfg(test)]") || (cfg_test && code.trim_start().starts_with("#["));
        lines.push((at + 1, code));
    }
    lines
}

/// A line without its `//` comment and without what stands between quotes.
fn code_of(line: &str) -> String {
    let (mut code, mut quoted, mut escaped) = (String::new(), false, false);
    for (at, c) in line.char_indices() {
        if !quoted && line[at..].starts_with("//") {
            break;
        }
        let quote = c == '"' && !escaped && !line[..at].ends_with('\'');
        if quote {
            quoted = !quoted;
        }
        if !quoted || quote {
            code.push(c);
        }
        escaped = quoted && c == '\\' && !escaped;
    }
    code
}

/// Every function with its length, told by rustfmt's indentation: it ends with a brace below its first letter.
fn function_lengths(text: &str) -> impl Iterator<Item = (String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let heads = lines.clone().into_iter().enumerate();
    heads.filter_map(move |(at, line)| {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let words: Vec<_> = code.split([' ', '(', '<']).collect();
        let keyword = words.iter().position(|word| *word == "fn")?;
        let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "crate)", "super)"];
        if !words[..keyword].iter().all(|word| qualifiers.contains(word)) {
            return None;
        }
        let end = format!("{indent}}}");
        let length = lines[at..].iter().position(|line| *line == end)? + 1;
        Some((words.get(keyword + 1)?.to_string(), length))
    })
}
