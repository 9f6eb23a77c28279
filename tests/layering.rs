//! Imports go one way. The sources are read and held to the drawing in `src/lib.rs` and DESIGN.md:
//! who may name whom, which outside crates are used where, how long a file may get, and that what
//! is public can be had from the crate's root.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Modules of the crate, and what each may name: modules, or single items of them.
const MAY_NAME: &[(&str, &[&str])] = &[
    // Leaves.
    ("activation", &[]),
    ("border", &[]),
    ("color", &[]),
    ("element", &[]),
    ("shape", &[]),
    // An error tells which algorithm did not apply.
    ("error", &["plan::Algorithm"]),
    ("kernel", &["error"]),
    ("conv", &["activation", "border", "element", "error", "kernel", "shape"]),
    ("problem", &["activation", "border", "conv", "element", "error", "kernel", "shape"]),
    ("plan", &["activation", "border", "conv", "element", "error", "kernel", "problem", "shape"]),
    ("cpu", BELOW_ENGINES),
    ("gpu", BELOW_ENGINES),
    (
        "engine",
        &[
            "activation",
            "border",
            "color",
            "conv",
            "cpu",
            "element",
            "error",
            "gpu",
            "kernel",
            "plan",
            "problem",
            "shape",
        ],
    ),
    ("image", &["activation", "color", "conv", "element", "engine", "error", "problem", "shape"]),
    ("learn", &["conv", "element", "engine", "error", "kernel", "shape"]),
    // The law shares the arithmetic of shapes with what it judges, and nothing else.
    ("reference", &["activation", "border", "element", "problem", "shape"]),
];

const BELOW_ENGINES: &[&str] = &[
    "activation",
    "border",
    "color",
    "conv",
    "element",
    "error",
    "kernel",
    "plan",
    "problem",
    "shape",
];

/// Outside crates, and the modules that may use them; the programs in `src/bin` count as `bin`.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("wgpu", &["gpu"]),
    ("image", &["image", "bin"]),
    ("ndarray", &["conv", "kernel", "engine", "image", "learn", "bin"]),
    ("rayon", &["cpu", "bin"]),
    ("rustfft", &["kernel", "cpu"]),
    ("transpose", &["cpu"]),
    ("fearless_simd", &["cpu"]),
    ("ndarray_npy", &["learn", "bin"]),
    ("rand_pcg", &["learn"]),
    ("safetensors", &["learn"]),
    ("pollster", &["engine", "gpu", "image", "bin"]),
    ("naga", &[]),
];

/// `plan` is a pure function: no clock, thread, environment or file.
const IMPURE: &[&str] = &["env", "fs", "io", "net", "process", "sync", "thread", "time"];

const MOST_LINES: usize = 500;

/// A source file: its path from the crate's root, with `/`, and its text.
type Source = (String, String);

#[derive(Debug, PartialEq)]
struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// The words and signs of Rust code, without comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut i, mut line) = (0, 1);
    let mut out = Vec::new();
    while i < chars.len() {
        let start = i;
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if let Some(end) = string_end(&chars, i) {
            i = end;
        } else if c == '\'' {
            // A character, or else a lifetime.
            if at(i + 1) == '\\' {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            } else if at(i + 2) == '\'' {
                i += 3;
            } else {
                i += 1;
                while word(at(i)) {
                    i += 1;
                }
            }
        } else if word(c) {
            while word(at(i)) {
                i += 1;
            }
            out.push(Token { text: chars[start..i].iter().collect(), line });
        } else if c == ':' && at(i + 1) == ':' {
            i += 2;
            out.push(Token { text: "::".into(), line });
        } else {
            i += 1;
            if !c.is_whitespace() {
                out.push(Token { text: c.to_string(), line });
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// Where the string that starts at `i` ends, if one does: `"`, `r#"`, `b"`, `br#"`, `c"`.
fn string_end(chars: &[char], mut i: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut raw = false;
    if matches!(at(i), 'b' | 'c') {
        i += 1;
    }
    if at(i) == 'r' {
        (raw, i) = (true, i + 1);
    }
    let mut hashes = 0;
    while raw && at(i) == '#' {
        (hashes, i) = (hashes + 1, i + 1);
    }
    if at(i) != '"' {
        return None;
    }
    i += 1;
    while i < chars.len() {
        match at(i) {
            '\\' if !raw => i += 2,
            '"' if (0..hashes).all(|h| at(i + 1 + h) == '#') => return Some(i + 1 + hashes),
            _ => i += 1,
        }
    }
    Some(i)
}

/// Without what is compiled for tests only, and the names of modules that are.
fn without_tests(all: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < all.len() {
        let is = |k: usize, text: &str| all.get(i + k).is_some_and(|t| t.text == text);
        let only = is(3, "(") && is(4, "test") && is(5, ")");
        let with = is(3, "(") && is(4, "all") && is(5, "(") && is(6, "test");
        if is(0, "#") && is(1, "[") && is(2, "cfg") && (only || with) {
            let end = item_end(&all, i);
            for j in i..end {
                if all[j].text == "mod" && all.get(j + 2).is_some_and(|t| t.text == ";") {
                    modules.push(all[j + 1].text.clone());
                }
            }
            i = end;
        } else {
            kept.push(all[i].clone());
            i += 1;
        }
    }
    (kept, modules)
}

/// Behind the item that starts at `i`: behind its `;` or its block.
fn item_end(all: &[Token], mut i: usize) -> usize {
    let mut depth = 0;
    while i < all.len() {
        match all[i].text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
        i += 1;
    }
    i
}

/// A path that code names: its segments, and the modules within the file that surround it.
#[derive(Debug, PartialEq)]
struct Named {
    segments: Vec<String>,
    within: Vec<String>,
    line: usize,
    imported: bool,
}

/// All paths: of `use` trees every leaf in full, elsewhere what is joined by `::`.
fn paths(all: &[Token]) -> Vec<Named> {
    let mut out = Vec::new();
    let mut blocks: Vec<Option<String>> = Vec::new();
    let modules = |blocks: &[Option<String>]| blocks.iter().flatten().cloned().collect::<Vec<_>>();
    let mut i = 0;
    let word = |i: usize| {
        all.get(i).filter(|t| t.text.starts_with(|c: char| c.is_alphabetic() || c == '_'))
    };
    let is = |i: usize, text: &str| all.get(i).is_some_and(|t| t.text == text);
    while i < all.len() {
        if is(i, "{") {
            let module = i >= 2 && is(i - 2, "mod");
            blocks.push(module.then(|| all[i - 1].text.clone()));
        } else if is(i, "}") {
            blocks.pop();
        }
        if is(i, "use") {
            let within = modules(&blocks);
            let mut found = Vec::new();
            i = use_tree(all, i + 1, &mut Vec::new(), &mut found);
            out.extend(found.into_iter().map(|(segments, line)| Named {
                segments,
                within: within.clone(),
                line,
                imported: true,
            }));
            continue;
        }
        let joined =
            i > 0 && (is(i - 1, ".") || (is(i - 1, "::") && i > 1 && word(i - 2).is_some()));
        if let (Some(first), false) = (word(i), joined) {
            let mut segments = vec![first.text.clone()];
            while is(i + 1, "::") && word(i + 2).is_some() {
                segments.push(all[i + 2].text.clone());
                i += 2;
            }
            if segments.len() > 1 {
                out.push(Named {
                    segments,
                    within: modules(&blocks),
                    line: first.line,
                    imported: false,
                });
            }
        }
        i += 1;
    }
    out
}

/// The leaves of the tree at `i`; where it ends.
fn use_tree(
    all: &[Token],
    mut i: usize,
    prefix: &mut Vec<String>,
    out: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let depth = prefix.len();
    let line = all.get(i).map_or(0, |t| t.line);
    while let Some(token) = all.get(i) {
        match token.text.as_str() {
            "::" => i += 1,
            "{" => {
                i += 1;
                while all.get(i).is_some_and(|t| t.text != "}") {
                    i = use_tree(all, i, prefix, out);
                    if all.get(i).is_some_and(|t| t.text == ",") {
                        i += 1;
                    }
                }
                prefix.truncate(depth);
                return i + 1;
            }
            "as" => i += 2,
            "," | "}" | ";" => break,
            other => {
                prefix.push(other.to_string());
                i += 1;
            }
        }
    }
    out.push((prefix.clone(), line));
    prefix.truncate(depth);
    i
}

/// What `lib.rs` says: public modules, and where each name it re-exports comes from.
#[derive(Debug, Default)]
struct Root {
    public_modules: BTreeSet<String>,
    exports: BTreeMap<String, String>,
}

impl Root {
    fn read(lib: &[Token]) -> Self {
        let mut root = Self::default();
        for (i, token) in lib.iter().enumerate() {
            let public = i > 0 && lib[i - 1].text == "pub";
            if public && token.text == "mod" {
                root.public_modules.insert(lib[i + 1].text.clone());
            }
        }
        root.exports = exports(lib);
        root
    }
}

/// Names that `pub use` gives, and the first segment of where they come from.
fn exports(all: &[Token]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for i in 1..all.len() {
        if all[i].text == "use" && all[i - 1].text == "pub" {
            let mut found = Vec::new();
            use_tree(all, i + 1, &mut Vec::new(), &mut found);
            for (segments, _) in found {
                let name = segments.last().cloned().unwrap_or_default();
                out.insert(name, segments[0].clone());
            }
        }
    }
    out
}

/// The module that a file is: empty for `lib.rs`, `bin` first for programs.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    inner.split('/').filter(|s| !matches!(*s, "mod" | "lib")).map(String::from).collect()
}

/// Everything that is against the rules.
fn check(sources: &[Source]) -> Vec<Violation> {
    let mut files = Vec::new();
    let mut test_files = BTreeSet::new();
    for (file, text) in sources {
        let (kept, tests) = without_tests(tokens(text));
        let module = module_of(file);
        test_files.extend(tests.into_iter().map(|test| {
            let mut path = module.clone();
            path.push(test);
            path
        }));
        files.push((file, module, kept, text.lines().count()));
    }
    let modules: BTreeSet<String> =
        files.iter().filter_map(|(_, module, ..)| module.first().cloned()).collect();
    let lib = files.iter().find(|(file, ..)| *file == "src/lib.rs");
    let root = lib.map(|(_, _, lib, _)| Root::read(lib)).unwrap_or_default();

    let mut out = Vec::new();
    for (file, module, code, lines) in &files {
        let mut refuse = |line: usize, rule: String| {
            out.push(Violation { file: file.to_string(), line, rule });
        };
        if *lines > MOST_LINES {
            refuse(*lines, format!("{lines} lines, at most {MOST_LINES} are wanted"));
        }
        if test_files.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let all = paths(code);
        // A program may have an outside crate from us: `use channelwise::wgpu`.
        let from_us: BTreeSet<&String> = all
            .iter()
            .filter(|n| n.imported && n.segments[0] == "channelwise")
            .filter_map(|n| n.segments.last())
            .collect();
        for named in &all {
            if module.first().is_some_and(|m| m == "bin") && from_us.contains(&named.segments[0]) {
                continue;
            }
            for rule in broken(module, named, &modules, &root) {
                refuse(named.line, rule);
            }
        }
        let submodule = files.iter().find(|(_, m, ..)| module.len() > 1 && *m == module[..1]);
        let from_parent = submodule.map(|(_, _, code, _)| exports(code)).unwrap_or_default();
        for (name, line) in public_items(code) {
            let Some(top) = module.first().filter(|top| *top != "bin") else { continue };
            let through_module = root.public_modules.contains(top)
                && (module.len() == 1 || from_parent.contains_key(&name));
            if !through_module && root.exports.get(&name) != Some(top) {
                refuse(line, format!("`{name}` is public, but src/lib.rs does not re-export it"));
            }
        }
    }
    out
}

/// The rules that naming this path in this module breaks.
fn broken(
    module: &[String],
    named: &Named,
    modules: &BTreeSet<String>,
    root: &Root,
) -> Vec<String> {
    let own = module.first().map_or("lib", String::as_str);
    let written = named.segments.join("::");
    let mut out = Vec::new();
    let mut segments = named.segments.clone();
    // Up from here.
    if segments[0] == "super" {
        let mut here: Vec<String> = module.iter().chain(&named.within).cloned().collect();
        while segments.first().is_some_and(|s| s == "super") {
            here.pop();
            segments.remove(0);
        }
        if !here.is_empty() {
            return out;
        }
        segments.insert(0, "crate".into());
    }
    if own == "bin" && segments[0] == "crate" {
        return out;
    }
    if segments[0] == "crate" {
        segments.remove(0);
        // `pub(crate)` and the like.
        let Some(first) = segments.first() else { return out };
        if let Some(from) = root.exports.get(first).filter(|_| !modules.contains(first)) {
            segments.insert(0, from.clone());
        }
        let (target, item) = (&segments[0], segments.get(1));
        let outside = OUTSIDE.iter().any(|(name, _)| name == target);
        if !outside {
            if own == "lib" || target == own {
                return out;
            }
            if !modules.contains(target) {
                return vec![format!(
                    "`{written}` is neither a module nor re-exported at the root"
                )];
            }
            let Some((_, may)) = MAY_NAME.iter().find(|(name, _)| *name == own) else {
                return vec![format!(
                    "module `{own}` has no row in the table of tests/layering.rs"
                )];
            };
            let single = item.map(|item| format!("{target}::{item}"));
            let allowed =
                may.iter().any(|m| m == target || single.as_deref().is_some_and(|s| s == *m));
            if !allowed {
                out.push(format!("`{own}` must not name `{target}` (here `{written}`)"));
            }
            return out;
        }
    }
    if let Some((name, may)) = OUTSIDE.iter().find(|(name, _)| *name == segments[0]) {
        let re_export = own == "lib" && named.imported && segments.len() == 1;
        if !may.contains(&own) && !re_export {
            out.push(format!("`{own}` must not use the crate `{name}` (here `{written}`)"));
        }
    }
    let impure = segments[0] == "std" && segments.get(1).is_some_and(|s| IMPURE.contains(&&**s));
    if own == "plan" && impure {
        out.push(format!("`plan` is pure and must not use `{written}`"));
    }
    out
}

/// Items declared `pub` outside of any block.
fn public_items(code: &[Token]) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    let mut depth = 0;
    for (i, token) in code.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "pub" if depth == 0 => {
                let mut rest = code[i + 1..].iter().map(|t| t.text.as_str());
                let kinds = ["struct", "enum", "trait", "type", "static", "union", "fn"];
                let found = match rest.next() {
                    Some("const") => match rest.next() {
                        Some("fn") => rest.next(),
                        name => name,
                    },
                    Some("async" | "unsafe") => rest.find(|t| *t == "fn").and(rest.next()),
                    Some(kind) if kinds.contains(&kind) => rest.next(),
                    _ => None,
                };
                out.extend(found.map(|name| (name.to_string(), token.line)));
            }
            _ => {}
        }
    }
    out
}

/// All files below `src`.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, out: &mut Vec<Source>) {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                out.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

#[test]
fn imports_go_one_way() {
    let sources = sources();
    assert!(sources.len() >= 25, "{} files", sources.len());
    let found = check(&sources);
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), text.join("\n"));
}

/// The table names no module that is gone.
#[test]
fn the_table_is_of_this_crate() {
    let modules: BTreeSet<String> =
        sources().iter().filter_map(|(file, _)| module_of(file).first().cloned()).collect();
    let named = MAY_NAME.iter().flat_map(|(own, may)| {
        std::iter::once(*own).chain(may.iter().map(|m| m.split("::").next().unwrap_or(m)))
    });
    for module in named {
        assert!(modules.contains(module), "there is no module `{module}`");
    }
}

/// Every rule refuses what breaks it, with the place.
#[test]
fn violations_are_seen() {
    let cases: &[(&str, &str, usize, &str)] = &[
        ("src/border.rs", "\nuse crate::Problem;", 2, "`border` must not name `problem`"),
        ("src/element.rs", "use crate::error::Error;", 1, "`element` must not name `error`"),
        ("src/shape.rs", "use super::Border;", 1, "`shape` must not name `border`"),
        ("src/error.rs", "use crate::Plan;", 1, "`error` must not name `plan`"),
        ("src/error.rs", "use crate::plan::choose;", 1, "`error` must not name `plan`"),
        (
            "src/conv.rs",
            "use crate::{\n    Border,\n    Engine,\n};",
            3,
            "`conv` must not name `engine`",
        ),
        ("src/problem.rs", "fn f(p: &crate::plan::Plan) {}", 1, "`problem` must not name `plan`"),
        ("src/plan/flat.rs", "use crate::gpu::Gpu;", 1, "`plan` must not name `gpu`"),
        ("src/plan/flat.rs", "use super::super::Cpu;", 1, "`plan` must not name `cpu`"),
        ("src/plan/flat.rs", "use std::{fmt, time::Instant};", 1, "`std::time::Instant`"),
        ("src/plan/mod.rs", "fn f() { std::thread::yield_now() }", 1, "`std::thread::yield_now`"),
        ("src/plan/mod.rs", "fn f() { std::env::var(\"X\"); }", 1, "`std::env::var`"),
        ("src/plan/mod.rs", "use wgpu::Limits;", 1, "`plan` must not use the crate `wgpu`"),
        ("src/plan/mod.rs", "use crate::wgpu::Limits;", 1, "`plan` must not use the crate `wgpu`"),
        ("src/cpu/mod.rs", "use crate::gpu::Gpu;", 1, "`cpu` must not name `gpu`"),
        ("src/gpu/mod.rs", "use crate::Cpu;", 1, "`gpu` must not name `cpu`"),
        ("src/gpu/mod.rs", "use rayon::prelude::*;", 1, "must not use the crate `rayon`"),
        (
            "src/gpu/x/y.rs",
            "use fearless_simd::Level;",
            1,
            "must not use the crate `fearless_simd`",
        ),
        (
            "src/gpu/mod.rs",
            "fn f(a: ndarray::Array2<f32>) {}",
            1,
            "must not use the crate `ndarray`",
        ),
        ("src/cpu/mod.rs", "use crate::reference;", 1, "`cpu` must not name `reference`"),
        (
            "src/engine.rs",
            "use crate::reference::Expected;",
            1,
            "`engine` must not name `reference`",
        ),
        ("src/engine.rs", "use wgpu as w;", 1, "`engine` must not use the crate `wgpu`"),
        ("src/reference.rs", "use crate::Cpu;", 1, "`reference` must not name `cpu`"),
        ("src/reference.rs", "use crate::plan;", 1, "`reference` must not name `plan`"),
        ("src/engine.rs", "use crate::nothing::X;", 1, "neither a module"),
        ("src/newcomer.rs", "use crate::Border;", 1, "module `newcomer` has no row"),
        (
            "src/bin/channelwise/x.rs",
            "use wgpu::Backends;",
            1,
            "`bin` must not use the crate `wgpu`",
        ),
        ("src/lib.rs", "use wgpu::Device;", 1, "`lib` must not use the crate `wgpu`"),
        ("src/gpu/mod.rs", "mod a {\n use super::super::Cpu; }", 2, "`gpu` must not name `cpu`"),
        ("src/cpu/mod.rs", "\n\npub struct Hidden;", 3, "`Hidden` is public"),
        ("src/plan/flat.rs", "pub const fn hidden() {}", 1, "`hidden` is public"),
    ];
    for (file, text, line, rule) in cases {
        let mut sources = sources();
        sources.retain(|(name, _)| name != file || *file == "src/lib.rs");
        match sources.iter_mut().find(|(name, _)| name == file) {
            Some((_, lib)) => *lib = format!("{text}\n{lib}"),
            None => sources.push((file.to_string(), text.to_string())),
        }
        let all = check(&sources);
        let here: Vec<_> = all.iter().filter(|v| v.file == *file && v.line == *line).collect();
        assert!(
            here.iter().any(|v| v.rule.contains(rule)),
            "{file}: {text}\n  should be refused for: {rule}\n  found {here:?}"
        );
        let told = here[0].to_string();
        assert!(told.starts_with(&format!("{file}:{line}: ")), "{told}");
    }
    let long = vec![("src/border.rs".to_string(), "//\n".repeat(MOST_LINES + 1))];
    assert!(check(&long)[0].rule.contains("501 lines"));
}

/// Comments, strings and tests are no code that imports.
#[test]
fn what_is_no_import_is_let_alone() {
    let text = r##"
        //! [`Gpu`](crate::gpu::Gpu) is a link, wgpu::Device too.
        /* use crate::gpu::Gpu; /* nested */ use wgpu::X; */
        fn strings() -> [&'static str; 3] { ["use wgpu::X;", r#"crate::gpu::"Gpu" "#, "\"crate::gpu::Gpu"] }
        fn chars<'a>(c: &'a char) -> bool { *c == '"' || *c == '\'' || *c == '{' }
        pub(crate) fn shown() {}
        pub(super) fn inside(x: Thing) { x.wgpu(); let wgpu = 1; }
        use crate::Border;
        use crate::plan::CpuLaunch;
        #[cfg(test)]
        #[allow(unused)]
        mod tests {
            use crate::gpu::Gpu;
            fn f() { wgpu::x(); }
        }
        #[cfg(test)]
        mod others;
    "##;
    let mut all = sources();
    all.push(("src/cpu/x.rs".into(), text.into()));
    all.push(("src/cpu/x/others.rs".into(), "use crate::gpu::Gpu;".into()));
    let program =
        "use channelwise::{reference, wgpu};\nfn f(b: wgpu::Backends) { reference::run() }";
    all.push(("src/bin/x.rs".into(), program.into()));
    let ours = ["src/cpu/x.rs", "src/cpu/x/others.rs", "src/bin/x.rs"];
    let found: Vec<_> =
        check(&all).into_iter().filter(|v| ours.contains(&v.file.as_str())).collect();
    assert_eq!(found, []);
}

#[test]
fn trees_are_read_to_their_leaves() {
    let all = tokens("use a::{b::{self, C as D}, e::*};\npub use f; x::y::<Z>(w.v::<u8>());");
    let found: Vec<(String, usize)> =
        paths(&all).into_iter().map(|n| (n.segments.join("::"), n.line)).collect();
    let want = ["a::b::self", "a::b::C", "a::e::*", "f", "x::y"];
    assert_eq!(found.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), want);
    assert_eq!(found[3].1, 2);
}
